//! Stores that earlier versions have written are opened, migrated, and decide
//! every request as they did.

mod fixture;
mod former;
mod locks;
mod log;
mod peppers;
mod stores;

use std::collections::BTreeMap;
use std::sync::Arc;

use tower_api_token::account::Slot;
use tower_api_token::manage::{Confirmation, Guard, ManageError, TokenManager};
use tower_api_token::rotation::RotationError;
use tower_api_token::sealing::SealingKey;
use tower_api_token::store::{AccountStore, Erasure, PageSize};
use tower_api_token::token::{ConfirmationCode, TokenId, TokenScheme};
use tower_api_token::user::{Actor, UserId};

use self::fixture::{Answers, Fixture};
use self::peppers::{
    a_pepper_is_verified_by_an_accepted_token, a_wrong_key_is_not_verified_by_a_token_made_with_it,
};
use self::stores::Kind;

type Store = Arc<dyn AccountStore>;

const VERSIONS: [&str; 2] = ["b65aa2a", "c8952fe"];

/// Those that kept no check values of peppers.
const WITHOUT_CHECKS: [&str; 1] = ["b65aa2a"];

async fn manager(store: &Store, fixture: &Fixture) -> TokenManager {
    let builder = TokenManager::builder(Arc::clone(store)).scheme(fixture.scheme());
    let builder = builder.sealer(SealingKey::new(1, fixture.sealing_key()).unwrap());
    builder.confirmation(Confirmation::ByCaller).build().await.unwrap()
}

/// How every token of the fixture is answered by the store's accounts.
async fn judged(store: &Store, fixture: &Fixture) -> BTreeMap<String, Answers> {
    let mut judged = BTreeMap::new();
    for token in &fixture.tokens {
        judged.insert(token.text.clone(), fixture::answers(store, fixture.scheme(), token).await);
    }
    judged
}

fn expected(fixture: &Fixture) -> BTreeMap<String, Answers> {
    fixture.tokens.iter().map(|token| (token.text.clone(), token.answers.clone())).collect()
}

async fn every_request_is_decided_as_before(kind: Kind, version: &str) {
    let (fixture, opened) = kind.open(version).await;
    let store = &opened.store;
    assert_eq!(judged(store, &fixture).await, expected(&fixture));
    // Once more, by all that start together.
    let migrations = (0..4).map(|_| opened.migrate());
    for migration in futures_util::future::join_all(migrations).await {
        migration.unwrap();
    }
    assert_eq!(judged(store, &fixture).await, expected(&fixture));
}

async fn every_account_and_its_history_is_kept(kind: Kind, version: &str) {
    let (fixture, opened) = kind.open(version).await;
    let manager = manager(&opened.store, &fixture).await;
    let found = manager.list(None, PageSize::MAX).await.unwrap().items;
    assert_eq!(found.len(), fixture.accounts.len());
    for (found, written) in found.iter().zip(&fixture.accounts) {
        assert_eq!(found.user.as_str(), written.user);
        assert_eq!(found.revision.as_u64(), written.revision, "{}", written.user);
        assert_eq!(found.methods.iter().collect::<Vec<_>>(), written.methods);
        let history = manager.history(&found.user, None, PageSize::MAX).await.unwrap();
        let events: Vec<_> = history.items.iter().map(|entry| entry.event.name()).collect();
        assert_eq!(events, written.history, "{}", written.user);
    }
}

async fn last_uses_and_sealed_tokens_are_kept(kind: Kind, version: &str) {
    let (fixture, opened) = kind.open(version).await;
    let manager = manager(&opened.store, &fixture).await;
    let user = UserId::new("sealed").unwrap();
    let view = manager.view(&user).await.unwrap();
    for token in [view.primary.unwrap(), view.backup.unwrap()] {
        assert!(token.last_used_at.is_some());
        assert_eq!(token.client.unwrap().as_str(), "fixture/1.0");
        let revealed = manager.reveal(&Actor::User, &user, token.id).await.unwrap();
        let written = fixture.token("sealed", token.id.as_u64());
        assert_eq!(revealed.expose_secret(), written.text);
    }
}

async fn what_was_pending_is_confirmed(kind: Kind, version: &str) {
    let (fixture, opened) = kind.open(version).await;
    let manager = manager(&opened.store, &fixture).await;
    assert_eq!(fixture.codes.len(), 3);
    for code in &fixture.codes {
        let user = UserId::new(&code.user).unwrap();
        let text = ConfirmationCode::parse(&code.code).unwrap();
        let before = manager.view(&user).await.unwrap();
        manager.confirm(&Actor::User, &user, &text).await.unwrap();
        let after = manager.view(&user).await.unwrap();
        assert_eq!(after.primary.unwrap().id, TokenId::from_u64(code.id));
        assert_eq!(after.backup.map(|token| token.id), before.primary.map(|token| token.id));
        let pending = fixture.token(&code.user, code.id);
        let now = fixture::answers(&opened.store, fixture.scheme(), pending).await;
        assert_eq!(now["GET"], 200, "{}", code.user);
    }
}

/// The history of the account that is deepest in retired tokens goes on, and
/// none of them comes back to life.
async fn accounts_go_on_from_where_they_are(kind: Kind, version: &str) {
    let (fixture, opened) = kind.open(version).await;
    let manager = manager(&opened.store, &fixture).await;
    let user = UserId::new("many-retired").unwrap();
    let before = manager.view(&user).await.unwrap();
    let made = manager.generate_primary(&Actor::User, &user).await.unwrap();
    let greatest = fixture.tokens.iter().filter(|token| token.user == user.as_str());
    assert!(made.id.as_u64() > greatest.map(|token| token.id).max().unwrap());
    manager.cancel_pending(&Actor::User, &user, made.id).await.unwrap();
    let after = manager.view(&user).await.unwrap();
    assert!(after.revision > before.revision);
    assert_eq!(judged(&opened.store, &fixture).await, expected(&fixture));
    let slot = |token: &fixture::Written| match token.place.as_str() {
        "primary" => Some(Slot::Primary),
        "backup" => Some(Slot::Backup),
        _ => None,
    };
    for token in fixture.tokens.iter().filter(|token| slot(token) == Some(Slot::Backup)) {
        let (user, id) = (UserId::new(&token.user).unwrap(), TokenId::from_u64(token.id));
        let deleted = manager.delete_backup(&Actor::User, &user, id, Guard::EvenIfInUse).await;
        match (token.user.as_str(), deleted) {
            // Its primary has expired: the backup is the last token.
            ("expired-primary", Err(ManageError::Refused(refused))) => {
                assert!(
                    matches!(refused, RotationError::NoLivePrimary | RotationError::Stale),
                    "{refused:?}"
                );
            }
            (name, deleted) => {
                deleted.unwrap_or_else(|error| panic!("{name}: {error}"));
                let answers = fixture::answers(&opened.store, fixture.scheme(), token).await;
                assert_eq!(answers["GET"], 401, "{name}");
            }
        }
    }
}

/// What a later version counts of the accounts is right of those that it has not
/// written, and of those that it changes.
async fn tokens_are_counted_by_prefix(kind: Kind, version: &str) {
    let (_, opened) = kind.open(version).await;
    let counted = async || {
        let accounts = opened.store.list(None, PageSize::MAX).await.unwrap().items;
        let mut counts = BTreeMap::new();
        for prefix in accounts.iter().flat_map(|account| account.prefixes_in_use()) {
            *counts.entry(prefix).or_insert(0_u64) += 1;
        }
        assert!(counts.len() > 1, "the fixture has foreign tokens and others");
        let found: BTreeMap<_, _> = opened.store.prefixes().await.unwrap().into_iter().collect();
        assert_eq!(found, counts);
        accounts
    };
    let accounts = counted().await;
    for account in accounts.iter().filter(|account| account.primary().is_some()).take(5) {
        let loaded = opened.store.load(account.user()).await.unwrap();
        opened
            .store
            .erase(Erasure::new((**account).clone(), loaded.now, Actor::User))
            .await
            .unwrap();
    }
    counted().await;
}

async fn no_check_value_is_made_up(kind: Kind, version: &str) {
    let (_, opened) = kind.open(version).await;
    let checks = opened.store.pepper_checks().await.unwrap();
    assert!(checks.values.is_empty() && checks.kept_since.is_some());
}

/// Uses of tokens that their accounts had forgotten are gone, and no others.
async fn no_uses_of_forgotten_tokens_are_left(kind: Kind, version: &str) {
    let (_, opened) = kind.open(version).await;
    let mut used = 0;
    for account in opened.store.list(None, PageSize::MAX).await.unwrap().items {
        let retired = |id| account.retired().iter().any(|retired| retired.id == id);
        for usage in opened.store.last_uses().unwrap().usage(account.user()).await.unwrap() {
            assert!(account.token(usage.id).is_some() || retired(usage.id), "{usage:?}");
            used += 1;
        }
    }
    assert!(used > 0);
}

/// Without the pepper that the fixture's tokens need nothing starts.
async fn a_start_without_the_pepper_is_refused(kind: Kind, version: &str) {
    let (_, opened) = kind.open(version).await;
    let builder = TokenManager::builder(Arc::clone(&opened.store)).scheme(TokenScheme::default());
    let built = builder.confirmation(Confirmation::ByCaller).build().await;
    assert!(built.is_err());
}

macro_rules! for_every_store {
    ($($case:ident of $versions:ident),+ $(,)?) => {
        for_every_store!(@kind sqlite, Sqlite, $($case $versions)+);
        for_every_store!(@kind postgres_server, Postgres, $($case $versions)+);
        for_every_store!(@kind redis_server, Redis, $($case $versions)+);
    };
    (@kind $module:ident, $kind:ident, $($case:ident $versions:ident)+) => {
        mod $module {
            $(
                #[tokio::test]
                async fn $case() {
                    for version in super::$versions {
                        super::$case(super::Kind::$kind, version).await;
                    }
                }
            )+
        }
    };
}

for_every_store! {
    every_request_is_decided_as_before of VERSIONS,
    every_account_and_its_history_is_kept of VERSIONS,
    last_uses_and_sealed_tokens_are_kept of VERSIONS,
    what_was_pending_is_confirmed of VERSIONS,
    accounts_go_on_from_where_they_are of VERSIONS,
    a_start_without_the_pepper_is_refused of VERSIONS,
    a_pepper_is_verified_by_an_accepted_token of WITHOUT_CHECKS,
    a_wrong_key_is_not_verified_by_a_token_made_with_it of WITHOUT_CHECKS,
    no_check_value_is_made_up of WITHOUT_CHECKS,
    tokens_are_counted_by_prefix of VERSIONS,
    no_uses_of_forgotten_tokens_are_left of VERSIONS,
}
