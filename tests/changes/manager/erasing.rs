//! Accounts that are erased.

use tower_api_token::account::{Revision, Slot};
use tower_api_token::denial::DenialKind;
use tower_api_token::manage::{GeneratedPrimary, Guard, ImportedToken, ManageError};
use tower_api_token::method::MethodSet;
use tower_api_token::rotation::RotationError;
use tower_api_token::store::{AccountStore, LastUses, StoreErrorKind};
use tower_api_token::token::{TokenId, TokenScheme};
use tower_api_token::user::Actor;

use crate::manager::store::{Call, Fault};
use crate::manager::world::{START, World, alice, bob, is_waiting, root, until_met};

on_every_store!(
    an_erased_user_is_gone_with_tokens_history_and_uses,
    only_a_user_with_an_account_can_be_erased,
    a_new_account_begins_above_the_erased_one,
    a_token_of_an_erased_account_cannot_be_imported,
    nothing_of_the_old_account_meets_the_new_one,
    a_user_without_an_account_is_shown_as_one_after_an_erasure,
    a_change_that_an_erasure_overtakes_finds_no_account,
    an_erasure_that_a_change_overtakes_is_made_all_the_same,
    an_erasure_of_what_was_shown_is_stale_after_a_change,
    after_an_erasure_a_user_without_an_account_still_has_no_revision,
    one_of_many_erases,
    an_erasure_that_fails_changes_nothing,
    an_erasure_whose_answer_is_lost_is_read_back,
    an_erasure_whose_answer_is_lost_for_good_is_told_of_later,
    an_erasure_that_failed_and_is_made_again_is_told_of_once,
    a_change_in_doubt_is_not_taken_for_an_erasure,
    an_erasure_goes_on_when_its_caller_hangs_up,
    whoever_is_told_of_an_erasure_learns_no_name,
);

/// How often an erasure is told of whose caller has been told that nobody knows.
const FOUND_LATER: usize = if cfg!(feature = "tokio") { 1 } else { 0 };

fn refusal<T: std::fmt::Debug>(outcome: Result<T, ManageError>) -> Option<RotationError> {
    outcome.unwrap_err().refusal()
}

fn get() -> MethodSet {
    MethodSet::new(["GET"]).unwrap()
}

/// How often anybody was told of a change, an erasure or by mail.
fn told(world: &World) -> (usize, usize, usize) {
    let notices = world.post.notices.lock().unwrap().len();
    (world.log.entries().len(), world.log.erased().len(), notices + world.post.count())
}

async fn generate_beside(world: &World, backup: TokenId) -> GeneratedPrimary {
    world.manager.generate_primary_replacing(&Actor::User, alice(), backup).await.unwrap()
}

async fn assert_gone(world: &World) {
    assert!(world.store.load(alice()).await.unwrap().account.is_none());
    assert!(world.history().await.is_empty());
    assert!(world.store.usage(alice()).await.unwrap().is_empty());
}

async fn an_erased_user_is_gone_with_tokens_history_and_uses(world: World) {
    let (primary, backup) = world.dual().await;
    let pending = generate_beside(&world, backup.id).await;
    world.grant(bob(), &["GET"]).await;
    assert_eq!(world.auth(&primary.token, "GET").await, Ok(Slot::Primary));
    world.usage.flush().await.unwrap();
    assert!(!world.store.usage(alice()).await.unwrap().is_empty());
    let (entries, _, mails) = told(&world);
    let erased = world.manager.erase(root(), alice()).await.unwrap();
    assert_eq!((erased.at, &erased.actor), (START, root()));
    assert_gone(&world).await;
    for token in [&primary.token, &backup.token, &pending.token] {
        assert_eq!(world.auth(token, "GET").await, Err(DenialKind::InvalidToken));
    }
    assert!(world.manager.summary(alice()).await.unwrap().is_none());
    assert_eq!(world.log.erased(), [erased]);
    assert_eq!(told(&world), (entries, 1, mails), "nothing else is told of, and no mail is sent");
    assert!(world.manager.summary(bob()).await.unwrap().is_some());
}

async fn only_a_user_with_an_account_can_be_erased(world: World) {
    let already_done = Some(RotationError::AlreadyDone);
    assert_eq!(refusal(world.manager.erase(root(), alice()).await), already_done);
    world.grant(alice(), &["GET"]).await;
    world.manager.revoke_access(root(), alice()).await.unwrap();
    let shown = world.account().await.revision();
    world.manager.erase(root(), alice()).await.expect("an account without access is one, too");
    assert_eq!(refusal(world.manager.erase(root(), alice()).await), already_done);
    let again = world.manager.at_revision(shown).erase(root(), alice()).await;
    assert_eq!(refusal(again), already_done, "the same form sent twice");
    assert_eq!(world.log.erased().len(), 1);
}

async fn a_new_account_begins_above_the_erased_one(world: World) {
    world.dual().await;
    let before = world.account().await;
    world.manager.erase(root(), alice()).await.unwrap();
    let first = world.active().await;
    let entry = world.manager.history(alice(), None, Default::default()).await.unwrap().items;
    assert_eq!(entry.len(), 2, "the history begins anew");
    assert!(entry[1].revision > before.revision(), "{entry:?}");
    assert!(first.id > before.primary().unwrap().id, "{first:?}");
    // And so does that of somebody who never had one.
    world.grant(bob(), &["GET"]).await;
    let other = world.manager.issue(&Actor::User, bob()).await.unwrap();
    assert!(other.id > before.primary().unwrap().id, "{other:?}");
}

async fn a_token_of_an_erased_account_cannot_be_imported(world: World) {
    let world = world.again(TokenScheme::default().accept_foreign_tokens(true), |b| b).await;
    let old = world.active().await;
    world.manager.erase(root(), alice()).await.unwrap();
    for user in [alice(), bob()] {
        world.grant(user, &["GET"]).await;
        let token = ImportedToken::Token(old.token.clone());
        let import = world.manager.import(root(), user, Slot::Primary, &token, None).await;
        assert_eq!(refusal(import), Some(RotationError::DigestInUse), "{user}");
    }
    assert_eq!(world.auth(&old.token, "GET").await, Err(DenialKind::InvalidToken));
}

async fn nothing_of_the_old_account_meets_the_new_one(world: World) {
    let (_, backup) = world.dual().await;
    let pending = generate_beside(&world, backup.id).await;
    let code = world.post.last_code();
    let shown = world.account().await.revision();
    world.manager.erase(root(), alice()).await.unwrap();
    world.active().await;
    let (new, new_code) = world.generate().await;
    let before = world.account().await;
    let manager = &world.manager;
    let stale = Some(RotationError::Stale);
    let confirm = manager.confirm(&Actor::User, alice(), &code).await;
    assert_eq!(refusal(confirm), Some(RotationError::UnknownCode));
    let at_shown = || manager.at_revision(shown);
    assert_eq!(refusal(at_shown().grant(root(), alice(), MethodSet::empty()).await), stale);
    assert_eq!(refusal(at_shown().revoke_all(root(), alice()).await), stale);
    assert_eq!(refusal(at_shown().erase(root(), alice()).await), stale);
    assert_eq!(refusal(manager.cancel_pending(root(), alice(), pending.id).await), stale);
    let delete = manager.delete_backup(root(), alice(), backup.id, Guard::EvenIfInUse).await;
    assert_eq!(refusal(delete), stale);
    assert_eq!(world.account().await, before);
    world.confirm(&new_code).await;
    assert_eq!(world.auth(&new.token, "GET").await, Ok(Slot::Primary));
}

/// Although what is made of it begins above what the erased account had reached.
async fn a_user_without_an_account_is_shown_as_one_after_an_erasure(world: World) {
    world.active().await;
    world.manager.erase(root(), alice()).await.unwrap();
    for user in [alice(), bob()] {
        let absent = world.manager.at_revision(Revision::ABSENT);
        absent.grant(root(), user, get()).await.unwrap();
        assert_eq!(refusal(absent.grant(root(), user, get()).await), Some(RotationError::Stale));
    }
}

/// The change has read the account before it is erased.
async fn a_change_that_an_erasure_overtakes_finds_no_account(world: World) {
    let old = world.active().await;
    world.store.plan(Call::Replace, Fault::Held(None));
    let mut generating = Box::pin(world.manager.revoke_all(&Actor::User, alice()));
    until_met(&world, &mut generating).await;
    world.manager.erase(root(), alice()).await.unwrap();
    world.store.let_go();
    assert!(generating.await.is_err());
    world.manager.idle().await;
    assert_gone(&world).await;
    assert_eq!(world.auth(&old.token, "GET").await, Err(DenialKind::InvalidToken));
}

/// The erasure has read the account before it is changed.
async fn an_erasure_that_a_change_overtakes_is_made_all_the_same(world: World) {
    world.active().await;
    world.store.plan(Call::Erase, Fault::Held(None));
    let mut erasing = Box::pin(world.manager.erase(root(), alice()));
    until_met(&world, &mut erasing).await;
    world.grant(alice(), &["GET"]).await;
    world.store.let_go();
    erasing.await.unwrap();
    assert_gone(&world).await;
    assert_eq!(world.log.erased().len(), 1);
}

async fn an_erasure_of_what_was_shown_is_stale_after_a_change(world: World) {
    world.active().await;
    let shown = world.account().await.revision();
    world.store.plan(Call::Erase, Fault::Held(None));
    let at_shown = world.manager.at_revision(shown);
    let mut erasing = Box::pin(at_shown.erase(root(), alice()));
    until_met(&world, &mut erasing).await;
    world.grant(alice(), &["GET"]).await;
    let before = world.account().await;
    world.store.let_go();
    assert_eq!(refusal(erasing.await), Some(RotationError::Stale));
    assert_eq!(world.account().await, before);
    let now = world.manager.at_revision(before.revision());
    now.erase(root(), alice()).await.unwrap();
    assert_gone(&world).await;
    let absent = world.manager.at_revision(Revision::ABSENT).erase(root(), alice()).await;
    assert_eq!(refusal(absent), Some(RotationError::AlreadyDone));
}

async fn one_of_many_erases(world: World) {
    for round in 1..=world.rounds(20) {
        world.active().await;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let manager = world.manager.clone();
            tasks.spawn(async move { manager.erase(root(), alice()).await });
        }
        let outcomes = tasks.join_all().await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        for lost in outcomes.into_iter().filter(Result::is_err) {
            assert_eq!(refusal(lost), Some(RotationError::AlreadyDone));
        }
        assert_eq!(world.log.erased().len(), round);
    }
}

async fn an_erasure_that_fails_changes_nothing(world: World) {
    let old = world.active().await;
    let before = world.account().await;
    for call in [Call::Load, Call::Erase] {
        world.store.plan(call, Fault::Error(StoreErrorKind::Corrupt));
        let error = world.manager.erase(root(), alice()).await.unwrap_err();
        assert!(matches!(error, ManageError::Store(_)), "{error:?}");
        assert_eq!(world.account().await, before);
    }
    for _ in 0..64 {
        world.store.plan(Call::Erase, Fault::Error(StoreErrorKind::Conflict));
    }
    let error = world.manager.erase(root(), alice()).await.unwrap_err();
    assert!(matches!(error, ManageError::Contended), "{error:?}");
    world.manager.idle().await;
    assert_eq!(world.auth(&old.token, "GET").await, Ok(Slot::Primary));
    assert!(world.log.erased().is_empty());
}

async fn an_erasure_whose_answer_is_lost_is_read_back(world: World) {
    world.active().await;
    world.store.plan(Call::Erase, Fault::LostAnswer);
    world.manager.erase(root(), alice()).await.unwrap();
    assert_eq!(world.store.unmet(), 0);
    assert_gone(&world).await;
    assert_eq!(world.log.erased().len(), 1);
}

async fn an_erasure_whose_answer_is_lost_for_good_is_told_of_later(world: World) {
    world.active().await;
    world.store.plan(Call::Erase, Fault::LostAnswer);
    world.store.plan(Call::History, Fault::Error(StoreErrorKind::Unavailable));
    let error = world.manager.erase(root(), alice()).await.unwrap_err();
    let kind = StoreErrorKind::Unavailable;
    assert!(matches!(&error, ManageError::Store(error) if error.kind() == kind), "{error:?}");
    // Somebody of that name is there again before anybody looks.
    world.grant(alice(), &["GET"]).await;
    world.manager.idle().await;
    assert_eq!(world.log.erased().len(), FOUND_LATER);
}

async fn an_erasure_that_failed_and_is_made_again_is_told_of_once(world: World) {
    world.active().await;
    world.store.plan(Call::Erase, Fault::Error(StoreErrorKind::Unavailable));
    world.manager.erase(root(), alice()).await.unwrap_err();
    world.manager.erase(root(), alice()).await.unwrap();
    world.manager.idle().await;
    assert_eq!(world.log.erased().len(), 1);
}

/// The erasure was not made, and the account has changed since.
async fn a_change_in_doubt_is_not_taken_for_an_erasure(world: World) {
    world.active().await;
    world.store.plan(Call::Erase, Fault::Error(StoreErrorKind::Unavailable));
    world.manager.erase(root(), alice()).await.unwrap_err();
    world.manager.grant(root(), alice(), get()).await.unwrap();
    world.manager.grant(root(), alice(), MethodSet::empty()).await.unwrap();
    world.manager.idle().await;
    assert!(world.log.erased().is_empty());
}

async fn an_erasure_goes_on_when_its_caller_hangs_up(world: World) {
    world.active().await;
    world.store.plan(Call::Erase, Fault::Held(None));
    let mut erasing = Box::pin(world.manager.erase(root(), alice()));
    until_met(&world, &mut erasing).await;
    assert!(is_waiting(&mut erasing));
    if cfg!(feature = "tokio") {
        drop(erasing);
        world.store.let_go();
        world.manager.idle().await;
    } else {
        world.store.let_go();
        erasing.await.unwrap();
    }
    assert_gone(&world).await;
    assert_eq!(world.log.erased().len(), 1);
}

async fn whoever_is_told_of_an_erasure_learns_no_name(world: World) {
    let namesake = Actor::administrator("alice").unwrap();
    for actor in [root(), &Actor::User, &namesake] {
        world.grant(alice(), &["GET"]).await;
        world.manager.erase(actor, alice()).await.unwrap();
    }
    let erased = world.log.erased();
    let actors: Vec<_> = erased.iter().map(|erased| erased.actor.to_string()).collect();
    assert_eq!(actors, ["administrator root", "user", "user"]);
    assert!(!format!("{erased:?}").contains("alice"));
}

/// A new account begins above what was erased, and yet none is there before it.
async fn after_an_erasure_a_user_without_an_account_still_has_no_revision(world: World) {
    world.dual().await;
    world.manager.erase(root(), alice()).await.unwrap();
    let absent = world.manager.at_revision(Revision::ABSENT);
    absent.grant(root(), bob(), get()).await.unwrap();
    let again = absent.grant(root(), bob(), get());
    assert_eq!(refusal(again.await), Some(RotationError::Stale));
}
