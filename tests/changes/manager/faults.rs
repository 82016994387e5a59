//! Stores that fail, hang, conflict or lose their answer.

use std::sync::mpsc;

use tower_api_token::account::Slot;
use tower_api_token::audit::{AuditEntry, Event, EventSink};
use tower_api_token::denial::DenialKind;
use tower_api_token::manage::{ImportedToken, ManageError};
use tower_api_token::method::MethodSet;
use tower_api_token::rotation::RotationError;
use tower_api_token::store::StoreErrorKind;
use tower_api_token::token::TokenScheme;
use tower_api_token::user::Actor;

use crate::manager::store::{Call, Fault};
use crate::manager::world::{World, alice, bob, is_waiting, root, until_met};

on_every_store!(
    store_001_a_failing_store_fails_the_change,
    store_002_a_hanging_store_holds_up_nobody_else,
    store_021_a_lost_answer_is_read_back,
    store_021_an_answer_lost_for_good_is_not_guessed,
    store_021_another_actors_change_is_not_ones_own,
    a_change_that_failed_and_is_made_again_is_told_of_once,
    a_conflict_is_tried_again_and_not_for_ever,
    a_digest_conflict_is_told_from_a_revision_conflict,
    log_016_a_blocked_sink_holds_up_no_authentication,
);

/// How often a change is told of whose caller has been told that nobody knows.
const FOUND_LATER: usize = if cfg!(feature = "tokio") { 1 } else { 0 };

fn kind(error: &ManageError) -> Option<StoreErrorKind> {
    match error {
        ManageError::Store(error) => Some(error.kind()),
        _ => None,
    }
}

async fn store_001_a_failing_store_fails_the_change(world: World) {
    let old = world.active().await;
    for call in [Call::Find, Call::Load, Call::Replace] {
        for fault in [StoreErrorKind::Unavailable, StoreErrorKind::Corrupt] {
            let (before, told) = (world.account().await, world.log.entries().len());
            world.store.plan(call, Fault::Error(fault));
            let error = world.manager.generate_primary(&Actor::User, alice()).await.unwrap_err();
            assert_eq!(kind(&error), Some(fault), "{call:?}");
            let source = std::error::Error::source(&error).expect("the cause is kept");
            assert_eq!(source.to_string(), "a test did it");
            assert_eq!(world.account().await, before);
            assert_eq!(world.log.entries().len(), told);
            assert_eq!(world.post.count(), 0);
        }
    }
    world.store.plan(Call::Find, Fault::Error(StoreErrorKind::Unavailable));
    assert_eq!(world.auth(&old.token, "GET").await, Err(DenialKind::StoreUnavailable));
    for call in [Call::Load, Call::Usage] {
        world.store.plan(call, Fault::Error(StoreErrorKind::Unavailable));
        assert!(world.manager.view(alice()).await.is_err());
    }
}

async fn store_002_a_hanging_store_holds_up_nobody_else(world: World) {
    world.active().await;
    for call in [Call::Find, Call::Load, Call::Replace] {
        let before = world.account().await;
        world.store.plan(call, Fault::Hang);
        let mut stuck = Box::pin(world.manager.generate_primary(&Actor::User, alice()));
        until_met(&world, &mut stuck).await;
        assert!(is_waiting(&mut stuck));
        // Others go on, and giving up leaves nothing behind.
        world.manager.view(alice()).await.unwrap();
        drop(stuck);
        assert_eq!(world.account().await, before, "{call:?}");
    }
    world.generate().await;
}

async fn store_021_a_lost_answer_is_read_back(world: World) {
    world.grant(alice(), &["GET"]).await;
    world.store.plan(Call::Replace, Fault::LostAnswer);
    let issued = world.manager.issue(&Actor::User, alice()).await.unwrap();
    assert_eq!(world.store.unmet(), 0);
    assert_eq!(world.auth(&issued.token, "GET").await, Ok(Slot::Primary));
    assert_eq!(world.log.count(|event| matches!(event, Event::TokenIssued { .. })), 1);
    assert_eq!(world.history().await, ["access_granted", "token_issued"]);
    world.store.plan(Call::Replace, Fault::LostAnswer);
    let (new, code) = world.generate().await;
    world.store.plan(Call::Replace, Fault::LostAnswer);
    world.confirm(&code).await;
    assert_eq!(world.auth(&new.token, "GET").await, Ok(Slot::Primary));
}

async fn store_021_an_answer_lost_for_good_is_not_guessed(world: World) {
    let old = world.active().await;
    let (new, code) = world.generate().await;
    world.store.plan(Call::Replace, Fault::LostAnswer);
    world.store.plan(Call::History, Fault::Error(StoreErrorKind::Unavailable));
    let error = world.manager.confirm(&Actor::User, alice(), &code).await.unwrap_err();
    assert_eq!(kind(&error), Some(StoreErrorKind::Unavailable));
    // It is told of as soon as the store can say so.
    world.manager.idle().await;
    let told = world.log.count(|event| matches!(event, Event::PrimaryConfirmed { .. }));
    assert_eq!((told, world.post.notices.lock().unwrap().len()), (FOUND_LATER, FOUND_LATER));
    // It had happened, and asking again says so.
    let again = world.manager.confirm(&Actor::User, alice(), &code).await.unwrap_err();
    assert_eq!(again.refusal(), Some(RotationError::AlreadyConfirmed { id: new.id }));
    assert_eq!(world.auth(&old.token, "GET").await, Ok(Slot::Backup));
}

/// Two administrators grant the same. The one whose change failed does not take
/// the other's for its own.
async fn store_021_another_actors_change_is_not_ones_own(world: World) {
    let other = Actor::administrator("other").unwrap();
    let methods = MethodSet::new(["GET"]).unwrap();
    world.store.plan(Call::Replace, Fault::Held(Some(StoreErrorKind::Unavailable)));
    let mut failing = Box::pin(world.manager.grant(root(), alice(), methods.clone()));
    until_met(&world, &mut failing).await;
    world.manager.grant(&other, alice(), methods).await.unwrap();
    world.store.let_go();
    let error = failing.await.unwrap_err();
    assert_eq!(kind(&error), Some(StoreErrorKind::Unavailable));
    world.manager.idle().await;
    let actors: Vec<_> = world.log.entries().into_iter().map(|entry| entry.actor).collect();
    assert_eq!(actors, [other]);
}

/// In the same millisecond, so that both attempts would add the same entry.
async fn a_change_that_failed_and_is_made_again_is_told_of_once(world: World) {
    world.dual().await;
    let manager = &world.manager;
    world.store.plan(Call::Replace, Fault::Error(StoreErrorKind::Unavailable));
    manager.revoke_all(root(), alice()).await.unwrap_err();
    manager.revoke_all(root(), alice()).await.unwrap();
    manager.idle().await;
    let revoked = |event: &Event| matches!(event, Event::AllRevoked);
    assert_eq!(world.log.count(revoked), 1);
    let notices = world.post.notices.lock().unwrap();
    assert_eq!(notices.iter().filter(|notice| revoked(&notice.event)).count(), 1);
}

async fn a_conflict_is_tried_again_and_not_for_ever(world: World) {
    world.grant(alice(), &["GET"]).await;
    let conflict = Fault::Error(StoreErrorKind::Conflict);
    (0..63).for_each(|_| world.store.plan(Call::Replace, conflict));
    world.grant(alice(), &["GET", "POST"]).await;
    assert_eq!(world.store.unmet(), 0);
    (0..64).for_each(|_| world.store.plan(Call::Replace, conflict));
    let before = world.account().await;
    let error = world.manager.revoke_access(root(), alice()).await.unwrap_err();
    assert!(matches!(error, ManageError::Contended), "{error}");
    assert_eq!(world.store.unmet(), 0);
    assert_eq!(world.account().await, before);
}

async fn a_digest_conflict_is_told_from_a_revision_conflict(world: World) {
    let world = world.accepting_foreign().await;
    world.grant(alice(), &["GET"]).await;
    let conflict = Fault::Error(StoreErrorKind::Conflict);
    // A conflict although nobody changed the account: it was the digest.
    world.store.plan(Call::Replace, conflict);
    world.store.take_calls(Call::Find);
    world.manager.issue(&Actor::User, alice()).await.unwrap();
    assert_eq!(world.store.take_calls(Call::Find), 2, "a second token was generated");
    world.grant(bob(), &["GET"]).await;
    world.store.plan(Call::Replace, conflict);
    let token = ImportedToken::Sha256([7; 32]);
    let import = world.manager.import(root(), bob(), Slot::Primary, &token, None);
    assert_eq!(import.await.unwrap_err().refusal(), Some(RotationError::DigestInUse));
    // A conflict because another changed the account: tried again.
    world.store.plan(Call::Replace, Fault::Held(None));
    let mut import = Box::pin(world.manager.import(root(), bob(), Slot::Primary, &token, None));
    until_met(&world, &mut import).await;
    world.grant(bob(), &["POST"]).await;
    world.store.let_go();
    import.await.unwrap();
}

/// A sink that blocks holds up its own caller, after the commit.
async fn log_016_a_blocked_sink_holds_up_no_authentication(world: World) {
    struct Blocked(std::sync::Mutex<mpsc::Receiver<()>>);
    impl EventSink for Blocked {
        fn record(&self, _: &AuditEntry) {
            // Ends when the sender is dropped.
            let _ = self.0.lock().unwrap().recv();
        }
    }
    let old = world.active().await;
    let (release, blocked) = mpsc::channel();
    let events = Blocked(std::sync::Mutex::new(blocked));
    let world = world.again(TokenScheme::default(), |builder| builder.events(events)).await;
    let manager = world.manager.clone();
    let generating =
        tokio::spawn(async move { manager.generate_primary(&Actor::User, alice()).await });
    while world.account().await.pending().is_none() {
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        assert_eq!(world.auth(&old.token, "GET").await, Ok(Slot::Primary));
    }
    assert!(!generating.is_finished());
    assert_eq!(world.history().await.last(), Some(&"primary_generated"));
    drop(release);
    generating.await.unwrap().unwrap();
}
