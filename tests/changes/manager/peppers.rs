//! Keys that change, and a generator that repeats itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tower_api_token::ConfigError;
use tower_api_token::account::{Account, Revision, Slot};
use tower_api_token::audit::{AuditEntry, Event};
use tower_api_token::manage::{ImportedToken, ManageError, TokenManager};
use tower_api_token::method::MethodSet;
use tower_api_token::rotation::RotationError;
use tower_api_token::store::{AccountStore, Replacement, StoreErrorKind};
use tower_api_token::token::{Pepper, PepperVersion, RandomSource, Token, TokenScheme};
use tower_api_token::user::Actor;

use crate::manager::store::{Call, Fault};
use crate::manager::world::{START, World, alice, bob, root};

on_every_store!(
    rotation_027_a_token_is_never_shared,
    a_generator_that_fails_fails_the_change,
    a_start_without_a_pepper_in_use_is_refused,
    a_start_needs_an_answer_from_the_store,
    a_foreign_digest_is_imported_under_the_pepper,
    a_pepper_is_changed_while_tokens_live,
    a_token_known_under_the_former_pepper_is_known,
    another_key_under_the_same_version_is_refused,
    of_two_first_starts_with_different_keys_one_wins,
    a_short_key_is_refused_unless_tokens_need_it,
    a_short_key_that_tokens_need_starts,
    tokens_under_several_former_peppers_are_recognised_together,
);

/// Repeats itself for some fills, then is random.
struct Repeating {
    fills: Arc<AtomicUsize>,
    repeats: usize,
}

impl RandomSource for Repeating {
    fn fill(&self, bytes: &mut [u8]) -> std::io::Result<()> {
        if self.fills.fetch_add(1, Ordering::SeqCst) < self.repeats {
            (0..).zip(bytes).for_each(|(place, byte)| *byte = place);
            return Ok(());
        }
        getrandom::fill(bytes).map_err(std::io::Error::from)
    }
}

async fn repeating(world: World, repeats: usize) -> World {
    let fills = Arc::default();
    let source = Repeating { fills, repeats };
    world.again(TokenScheme::default(), |b| b.dangerous_random_source(source)).await
}

async fn rotation_027_a_token_is_never_shared(world: World) {
    // Carol's token is the generator's first; then it gives that again.
    let world = repeating(world, 4).await;
    world.grant(bob(), &["GET"]).await;
    world.grant(alice(), &["GET"]).await;
    let first = world.manager.issue(&Actor::User, bob()).await.unwrap();
    let second = world.manager.issue(&Actor::User, alice()).await.unwrap();
    assert_ne!(first.token.expose_secret(), second.token.expose_secret());
    assert_eq!(world.auth(&second.token, "GET").await, Ok(Slot::Primary));

    let world = repeating(world, usize::MAX).await;
    let error = world.manager.generate_primary(&Actor::User, alice()).await.unwrap_err();
    assert!(matches!(error, ManageError::RepeatedToken), "{error}");
    let generate = world.manager.generate_primary(&Actor::User, bob()).await;
    assert!(matches!(generate, Err(ManageError::RepeatedToken)));
    let owner = world.store.load(bob()).await.unwrap().account.unwrap();
    assert_eq!(owner.slot_of(&world.scheme.digest(&first.token).digest), Some(Slot::Primary));
    assert!(world.account().await.pending().is_none());
}

async fn a_generator_that_fails_fails_the_change(world: World) {
    struct Empty;
    impl RandomSource for Empty {
        fn fill(&self, _: &mut [u8]) -> std::io::Result<()> {
            Err(std::io::Error::other("no entropy"))
        }
    }
    let world = world.again(TokenScheme::default(), |b| b.dangerous_random_source(Empty)).await;
    world.grant(alice(), &["GET"]).await;
    let error = world.manager.issue(&Actor::User, alice()).await.unwrap_err();
    assert!(matches!(error, ManageError::Random(_)), "{error}");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "no entropy");
    assert!(world.account().await.primary().is_none());
}

fn pepper(version: u16) -> Pepper {
    Pepper::new(version, &[version as u8; 32]).unwrap()
}

fn peppered(version: u16) -> TokenScheme {
    TokenScheme::default().accept_foreign_tokens(true).pepper(pepper(version)).unwrap()
}

async fn start(world: &World, scheme: TokenScheme) -> Result<TokenManager, ManageError> {
    TokenManager::builder(Arc::clone(&world.store))
        .confirmation(tower_api_token::manage::Confirmation::ByCaller)
        .scheme(scheme)
        .build()
        .await
}

async fn a_start_without_a_pepper_in_use_is_refused(world: World) {
    let world = world.again(peppered(1), |b| b).await;
    world.active().await;
    let error = start(&world, peppered(2)).await.unwrap_err();
    let ManageError::Config(ConfigError::UnknownPepper { version, tokens: 1 }) = error else {
        panic!("{error}")
    };
    assert_eq!(version, 1);
    assert!(error.to_string().contains("version 1"), "{error}");
    assert!(start(&world, TokenScheme::default()).await.is_err());
    start(&world, peppered(2).former_pepper(pepper(1)).unwrap()).await.unwrap();
    // No token, no need of its pepper.
    world.manager.revoke_all(&Actor::User, alice()).await.unwrap();
    start(&world, peppered(2)).await.unwrap();
}

async fn a_start_needs_an_answer_from_the_store(world: World) {
    world.store.plan(Call::PepperVersions, Fault::Error(StoreErrorKind::Unavailable));
    let error = start(&world, TokenScheme::default()).await.unwrap_err();
    assert!(matches!(error, ManageError::Store(_)), "{error}");
    let error = TokenManager::builder(Arc::clone(&world.store)).build().await.unwrap_err();
    assert!(matches!(error, ManageError::Config(ConfigError::NoNotifier)), "{error}");
}

const FOREIGN: &str = "3f2b8c1e-9d7a-4650-b1c2-d3e4f5a69788";

fn foreign_sha256() -> ImportedToken {
    use sha2::Digest;
    ImportedToken::Sha256(sha2::Sha256::digest(FOREIGN).into())
}

async fn a_foreign_digest_is_imported_under_the_pepper(world: World) {
    let world = world.again(peppered(1), |b| b).await;
    world.grant(alice(), &["GET"]).await;
    let token = foreign_sha256();
    world.manager.import(root(), alice(), Slot::Primary, &token, None).await.unwrap();
    assert_eq!(world.auth_text(FOREIGN, "GET").await, Ok(Slot::Primary));
    let stored = world.account().await.primary().unwrap().digest;
    assert_eq!(stored.pepper, PepperVersion::from_u16(1));
    let ImportedToken::Sha256(plain) = foreign_sha256() else { panic!() };
    assert_ne!(stored.digest.as_bytes(), &plain);
}

async fn a_pepper_is_changed_while_tokens_live(world: World) {
    // From none to the first, and from the first to the second.
    let old = world.active().await;
    let scheme = peppered(1).formerly_without_pepper().unwrap();
    let world = world.again(scheme, |b| b).await;
    assert_eq!(world.auth(&old.token, "GET").await, Ok(Slot::Primary));
    let (new, code) = world.generate().await;
    world.confirm(&code).await;
    assert_eq!(world.auth(&new.token, "GET").await, Ok(Slot::Primary));
    assert_eq!(world.auth(&old.token, "GET").await, Ok(Slot::Backup));
    let versions = world.store.pepper_versions().await.unwrap();
    assert_eq!(versions, [(PepperVersion::NONE, 1), (PepperVersion::from_u16(1), 1)]);
    let only_peppers = peppered(2).former_pepper(pepper(1)).unwrap();
    assert!(start(&world, only_peppers.clone()).await.is_err(), "the plain one is still in use");
    let guard = tower_api_token::manage::Guard::EvenIfInUse;
    world.manager.delete_backup(&Actor::User, alice(), old.id, guard).await.unwrap();
    let world = world.again(only_peppers, |b| b).await;
    assert_eq!(world.auth(&new.token, "GET").await, Ok(Slot::Primary));
}

async fn a_token_known_under_the_former_pepper_is_known(world: World) {
    let world = world.again(peppered(1), |b| b).await;
    world.grant(alice(), &["GET"]).await;
    world.grant(bob(), &["GET"]).await;
    let import = |world: &World| {
        let manager = world.manager.clone();
        async move { manager.import(root(), alice(), Slot::Primary, &foreign_sha256(), None).await }
    };
    import(&world).await.unwrap();
    let world = world.again(peppered(2).former_pepper(pepper(1)).unwrap(), |b| b).await;
    assert_eq!(import(&world).await.unwrap_err().refusal(), Some(RotationError::AlreadyDone));
    let token = foreign_sha256();
    let stolen = world.manager.import(root(), bob(), Slot::Primary, &token, None);
    assert_eq!(stolen.await.unwrap_err().refusal(), Some(RotationError::DigestInUse));
    assert_eq!(world.auth_text(FOREIGN, "GET").await, Ok(Slot::Primary));
}

fn other_key(version: u16) -> TokenScheme {
    let pepper = Pepper::new(version, &[0xee; 32]).unwrap();
    TokenScheme::default().pepper(pepper).unwrap()
}

async fn another_key_under_the_same_version_is_refused(world: World) {
    let world = world.again(peppered(1), |b| b).await;
    world.active().await;
    let error = start(&world, other_key(1)).await.unwrap_err();
    let ManageError::Config(ConfigError::WrongPepper { version }) = error else {
        panic!("{error}")
    };
    assert_eq!(version, 1);
    assert!(error.to_string().contains("version 1"), "{error}");
    start(&world, peppered(1)).await.unwrap();
    // As a former pepper too, and when nobody needs it any more.
    let former = other_key(2).former_pepper(Pepper::new(1, &[0xdd; 32]).unwrap()).unwrap();
    assert!(matches!(
        start(&world, former).await,
        Err(ManageError::Config(ConfigError::WrongPepper { .. }))
    ));
    world.manager.revoke_all(&Actor::User, alice()).await.unwrap();
    assert!(matches!(
        start(&world, other_key(1)).await,
        Err(ManageError::Config(ConfigError::WrongPepper { .. }))
    ));
}

async fn of_two_first_starts_with_different_keys_one_wins(world: World) {
    let (one, other) = tokio::join!(start(&world, peppered(9)), start(&world, other_key(9)));
    let outcomes = [one.map(drop), other.map(drop)];
    let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let lost = |outcome: &Result<(), _>| {
        matches!(outcome, Err(ManageError::Config(ConfigError::WrongPepper { .. })))
    };
    assert_eq!((won, outcomes.iter().filter(|outcome| lost(outcome)).count()), (1, 1));
}

fn short_key(key: &[u8]) -> TokenScheme {
    let pepper = Pepper::dangerous_short_key(3, key).unwrap();
    TokenScheme::default().pepper(pepper).unwrap()
}

async fn a_short_key_is_refused_unless_tokens_need_it(world: World) {
    let error = start(&world, short_key(b"sixteen bytes ok")).await.unwrap_err();
    assert!(matches!(error, ManageError::Config(ConfigError::ShortPepper { .. })), "{error}");
    assert!(error.to_string().contains("32 bytes"), "{error}");
}

async fn a_short_key_that_tokens_need_starts(world: World) {
    let scheme = short_key(b"sixteen bytes ok");
    let issued = world.active().await;
    made_under(&world, &scheme, &issued.token).await;
    let world = world.again(scheme.clone(), |b| b).await;
    assert!(world.store.pepper_checks().await.unwrap().values.is_empty());
    assert_eq!(world.auth(&issued.token, "GET").await, Ok(Slot::Primary));
    world.usage.flush().await.unwrap();
    let kept = world.store.pepper_checks().await.unwrap();
    assert_eq!(kept.values, scheme.pepper_checks().collect::<Vec<_>>());
    start(&world, scheme).await.unwrap();
    let other = start(&world, short_key(b"sixteen others !")).await;
    assert!(matches!(other, Err(ManageError::Config(ConfigError::WrongPepper { .. }))));
}

/// Makes alice's primary one that an earlier version has made under `scheme`.
async fn made_under(world: &World, scheme: &TokenScheme, token: &Token) {
    let before = world.account().await;
    let mut primary = before.primary().unwrap().clone();
    primary.digest = scheme.digest(token);
    let revision = Revision::from_u64(before.revision().as_u64() + 1);
    let account = Account::builder(alice().clone())
        .revision(revision)
        .methods(before.methods().clone())
        .primary(primary.clone())
        .next_token(2)
        .build()
        .unwrap();
    let event = Event::TokenIssued { id: primary.id };
    let entry = AuditEntry::new(alice().clone(), revision, START, root().clone(), event);
    let replacement = Replacement::new(account, Some(before.revision()), entry);
    world.store.replace(replacement).await.unwrap();
}

async fn tokens_under_several_former_peppers_are_recognised_together(world: World) {
    let plain = world.active().await;
    let with = |version: u16| {
        let mut scheme = peppered(version);
        for former in (1..version).rev() {
            scheme = scheme.former_pepper(pepper(former)).unwrap();
        }
        scheme.formerly_without_pepper().unwrap()
    };
    let world = world.again(with(1), |b| b).await;
    world.grant(bob(), &["GET"]).await;
    let first = world.manager.issue(&Actor::User, bob()).await.unwrap();
    let world = world.again(with(2), |b| b).await;
    let carol = tower_api_token::user::UserId::new("carol").unwrap();
    world.grant(&carol, &["GET"]).await;
    let second = world.manager.issue(&Actor::User, &carol).await.unwrap();
    let world = world.again(with(3), |b| b).await;
    for token in [&plain.token, &first.token, &second.token] {
        assert_eq!(world.auth(token, "GET").await, Ok(Slot::Primary));
    }
    // None of them may go to another user.
    for token in [&plain.token, &first.token, &second.token] {
        let again = ImportedToken::Token(token.clone());
        let dave = tower_api_token::user::UserId::new("dave").unwrap();
        let _ = world.manager.grant(root(), &dave, MethodSet::new(["GET"]).unwrap()).await;
        let stolen = world.manager.import(root(), &dave, Slot::Primary, &again, None).await;
        assert_eq!(stolen.unwrap_err().refusal(), Some(RotationError::DigestInUse));
    }
}
