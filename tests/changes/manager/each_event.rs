//! Every event: done once, repeated, and late.

use tower_api_token::account::Slot;
use tower_api_token::audit::{AuditEntry, Event};
use tower_api_token::denial::DenialKind;
use tower_api_token::manage::{Guard, ManageError};
use tower_api_token::method::MethodSet;
use tower_api_token::rotation::RotationError;
use tower_api_token::token::TokenId;
use tower_api_token::user::Actor;

use crate::manager::world::{World, alice, root};

on_every_store!(
    grant_then_already_done,
    revoke_access_then_already_done,
    generate_needs_access_and_supersedes,
    resend_kills_the_old_code_and_goes_stale,
    confirm_then_already_confirmed_then_unknown,
    confirm_fills_an_empty_primary,
    confirm_is_stale_when_another_backup_has_come,
    cancel_pending_then_already_done_or_stale,
    delete_backup_then_already_done_or_stale,
    roll_back_then_already_done_or_stale,
    revoke_all_then_already_done,
    issue_once,
    every_change_has_its_actor,
);

/// The change is the last that was emitted, and the last in the history.
async fn told(world: &World, entry: &AuditEntry) {
    assert_eq!(world.log.entries().last(), Some(entry));
    let size = tower_api_token::store::PageSize::clamped(1);
    let history = world.manager.history(alice(), None, size).await.unwrap();
    assert_eq!(history.items, std::slice::from_ref(entry));
    assert_eq!(world.account().await.revision(), entry.revision);
}

/// The change is refused so, and nothing is written or told.
async fn refused<T: std::fmt::Debug>(
    world: &World,
    change: impl Future<Output = Result<T, ManageError>>,
    why: RotationError,
) {
    let (account, told) = (world.account().await, world.log.entries().len());
    assert_eq!(change.await.unwrap_err().refusal(), Some(why));
    assert_eq!(world.account().await, account);
    assert_eq!(world.log.entries().len(), told);
}

async fn grant_then_already_done(world: World) {
    let methods = MethodSet::new(["GET", "PURGE"]).unwrap();
    let grant = || world.manager.grant(root(), alice(), methods.clone());
    let entry = grant().await.unwrap();
    assert_eq!(
        entry.event,
        Event::AccessGranted {
            methods: methods.clone(),
            lifetimes: tower_api_token::account::Lifetimes::default()
        }
    );
    told(&world, &entry).await;
    refused(&world, grant(), RotationError::AlreadyDone).await;
}

async fn revoke_access_then_already_done(world: World) {
    let (new, old) = world.dual().await;
    let revoke = || world.manager.grant(root(), alice(), MethodSet::empty());
    let entry = revoke().await.unwrap();
    assert_eq!(entry.event, Event::AccessRevoked);
    told(&world, &entry).await;
    refused(&world, revoke(), RotationError::AlreadyDone).await;
    refused(&world, world.manager.revoke_access(root(), alice()), RotationError::AlreadyDone).await;
    world.grant(alice(), &["GET"]).await;
    for token in [&new.token, &old.token] {
        assert_eq!(world.auth(token, "GET").await, Err(DenialKind::InvalidToken));
    }
    let issued = world.manager.issue(&Actor::User, alice()).await.unwrap();
    assert!(issued.id > new.id, "ids only rise");
}

async fn generate_needs_access_and_supersedes(world: World) {
    let nobody = world.manager.generate_primary(&Actor::User, alice()).await.unwrap_err();
    assert_eq!(nobody.refusal(), Some(RotationError::NoAccess));
    world.active().await;
    let (first, _) = world.generate().await;
    let (second, _) = world.generate().await;
    let entry = world.log.entries().pop().unwrap();
    let superseded = Some(first.id);
    assert_eq!(entry.event, Event::PrimaryGenerated { id: second.id, superseded });
    told(&world, &entry).await;
}

async fn resend_kills_the_old_code_and_goes_stale(world: World) {
    world.active().await;
    let (new, old_code) = world.generate().await;
    world.pass(std::time::Duration::from_secs(61));
    let resend = || world.manager.resend_confirmation(&Actor::User, alice(), new.id);
    drop(resend().await.unwrap());
    told(&world, &world.log.entries().pop().unwrap()).await;
    let old = world.manager.confirm(&Actor::User, alice(), &old_code);
    refused(&world, old, RotationError::UnknownCode).await;
    world.confirm(&world.post.last_code()).await;
    refused(&world, resend().into_future(), RotationError::Stale).await;
}

async fn confirm_then_already_confirmed_then_unknown(world: World) {
    let old = world.active().await;
    let (new, code) = world.generate().await;
    let entry = world.confirm(&code).await;
    let event = Event::PrimaryConfirmed { id: new.id, backup: Some(old.id), replaced: None };
    assert_eq!(entry.event, event);
    told(&world, &entry).await;
    let again = || world.manager.confirm(&Actor::User, alice(), &code);
    refused(&world, again(), RotationError::AlreadyConfirmed { id: new.id }).await;
    world.manager.revoke_all(&Actor::User, alice()).await.unwrap();
    refused(&world, again(), RotationError::UnknownCode).await;
}

async fn confirm_fills_an_empty_primary(world: World) {
    world.grant(alice(), &["GET"]).await;
    let (new, code) = world.generate().await;
    let entry = world.confirm(&code).await;
    let event = Event::PrimaryConfirmed { id: new.id, backup: None, replaced: None };
    assert_eq!(entry.event, event);
    assert_eq!(world.auth(&new.token, "GET").await, Ok(Slot::Primary));
}

/// The caller agreed to the end of one backup; by now there is another.
async fn confirm_is_stale_when_another_backup_has_come(world: World) {
    let world = world.accepting_foreign().await;
    let (_, old) = world.dual().await;
    world.manager.generate_primary_replacing(&Actor::User, alice(), old.id).await.unwrap();
    let code = world.post.last_code();
    let manager = &world.manager;
    manager.delete_backup(&Actor::User, alice(), old.id, Guard::EvenIfInUse).await.unwrap();
    let token = tower_api_token::manage::ImportedToken::Sha256([7; 32]);
    manager.import(root(), alice(), Slot::Backup, &token, None).await.unwrap();
    let confirm = manager.confirm(&Actor::User, alice(), &code);
    refused(&world, confirm, RotationError::Stale).await;
}

async fn cancel_pending_then_already_done_or_stale(world: World) {
    world.active().await;
    let (first, _) = world.generate().await;
    let cancel = |id| world.manager.cancel_pending(&Actor::User, alice(), id);
    let entry = cancel(first.id).await.unwrap();
    assert_eq!(entry.event, Event::PendingCancelled { id: first.id });
    told(&world, &entry).await;
    refused(&world, cancel(first.id), RotationError::AlreadyDone).await;
    let (second, code) = world.generate().await;
    world.confirm(&code).await;
    refused(&world, cancel(second.id), RotationError::Stale).await;
}

async fn delete_backup_then_already_done_or_stale(world: World) {
    let (new, old) = world.dual().await;
    let delete = |id| world.manager.delete_backup(&Actor::User, alice(), id, Guard::EvenIfInUse);
    refused(&world, delete(new.id), RotationError::Stale).await;
    let entry = delete(old.id).await.unwrap();
    assert_eq!(entry.event, Event::BackupDeleted { id: old.id });
    told(&world, &entry).await;
    refused(&world, delete(old.id), RotationError::AlreadyDone).await;
    refused(&world, delete(TokenId::from_u64(999)), RotationError::Stale).await;
}

async fn roll_back_then_already_done_or_stale(world: World) {
    let (new, old) = world.dual().await;
    let roll_back = |id| world.manager.roll_back(&Actor::User, alice(), id, Guard::EvenIfInUse);
    refused(&world, roll_back(old.id), RotationError::Stale).await;
    let entry = roll_back(new.id).await.unwrap();
    assert_eq!(entry.event, Event::RolledBack { given_up: new.id, primary: old.id });
    told(&world, &entry).await;
    refused(&world, roll_back(new.id), RotationError::AlreadyDone).await;
    refused(&world, roll_back(old.id), RotationError::NoLiveBackup).await;
}

async fn revoke_all_then_already_done(world: World) {
    let (new, old) = world.dual().await;
    let pending =
        world.manager.generate_primary_replacing(&Actor::User, alice(), old.id).await.unwrap();
    let code = world.post.last_code();
    let revoke = || world.manager.revoke_all(&Actor::User, alice());
    let entry = revoke().await.unwrap();
    assert_eq!(entry.event, Event::AllRevoked);
    told(&world, &entry).await;
    for token in [&new.token, &old.token, &pending.token] {
        assert_eq!(world.auth(token, "GET").await, Err(DenialKind::InvalidToken));
    }
    refused(&world, revoke(), RotationError::AlreadyDone).await;
    let confirm = world.manager.confirm(&Actor::User, alice(), &code);
    refused(&world, confirm, RotationError::UnknownCode).await;
    world.manager.issue(&Actor::User, alice()).await.unwrap();
}

async fn issue_once(world: World) {
    let nobody = world.manager.issue(&Actor::User, alice()).await.unwrap_err();
    assert_eq!(nobody.refusal(), Some(RotationError::NoAccess));
    let issued = world.active().await;
    assert_eq!(issued.expires_at, None);
    let entry = world.log.entries().pop().unwrap();
    assert_eq!(entry.event, Event::TokenIssued { id: issued.id });
    told(&world, &entry).await;
    let again = world.manager.issue(&Actor::User, alice());
    refused(&world, again, RotationError::PrimaryExists).await;
}

async fn every_change_has_its_actor(world: World) {
    let rotator = Actor::program("rotator").unwrap();
    world.grant(alice(), &["GET"]).await;
    world.manager.issue(&rotator, alice()).await.unwrap();
    world.manager.revoke_all(&Actor::User, alice()).await.unwrap();
    let size = tower_api_token::store::PageSize::default();
    let history = world.manager.history(alice(), None, size).await.unwrap().items;
    let actors: Vec<_> = history.into_iter().map(|entry| entry.actor).collect();
    assert_eq!(actors, [Actor::User, rotator, root().clone()]);
}
