//! Tokens that have expired: dead to every change, view and list, and written
//! down with the next change.

use std::time::Duration;

use tower_api_token::account::{Ending, Slot};
use tower_api_token::audit::Event;
use tower_api_token::manage::{Confirmation, Delivery, Guard, ImportItem, ImportedToken};
use tower_api_token::rotation::{Command, Policy, RotationError};
use tower_api_token::store::PageSize;
use tower_api_token::token::{TokenId, TokenScheme};
use tower_api_token::user::Actor;

use crate::manager::world::{START, World, alice, root};

on_every_store!(
    what_has_expired_is_written_with_the_next_change,
    a_refused_change_writes_no_expiry,
    a_rotation_goes_on_although_both_tokens_have_expired,
    views_and_lists_show_what_the_next_change_finds,
    a_list_does_not_show_a_token_as_waiting_that_can_no_more_be_confirmed,
    a_preview_is_of_live_tokens,
    no_guard_asks_for_the_uses_of_what_has_expired,
    an_expired_token_does_not_come_back_by_an_import,
    an_import_takes_the_place_of_what_has_expired,
);

const LIFETIME: Duration = Duration::from_secs(30 * 86_400);

fn id(number: u64) -> TokenId {
    TokenId::from_u64(number)
}

fn expired(number: u64, promoted: Option<u64>) -> Event {
    Event::TokenExpired { id: id(number), expired_at: START + LIFETIME, promoted: promoted.map(id) }
}

/// The same, with tokens that live for thirty days.
async fn limited(world: World) -> World {
    let policy = Policy::default().token_lifetime(LIFETIME).unwrap();
    let scheme = TokenScheme::default().accept_foreign_tokens(true);
    world.again(scheme, |builder| builder.policy(policy)).await
}

/// Alice with primary 1, which has expired, and backup 2, which was imported a day later
/// and lives on.
async fn backup_lives_on(world: World) -> World {
    const DAY: Duration = Duration::from_secs(86_400);

    let world = limited(world).await;
    world.active().await;
    world.pass(DAY);
    let token = ImportedToken::Sha256([7; 32]);
    world.manager.import(root(), alice(), Slot::Backup, &token, None).await.unwrap();
    world.pass(LIFETIME - DAY);
    world
}

async fn what_has_expired_is_written_with_the_next_change(world: World) {
    let world = limited(world).await;
    world.dual().await;
    world.pass(LIFETIME + Duration::from_secs(5));
    let (before, told) = (world.account().await, world.log.entries().len());
    world.generate().await;
    let account = world.account().await;
    assert_eq!(account.revision().as_u64(), before.revision().as_u64() + 3);
    let endings: Vec<_> = account.retired().iter().map(|it| (it.id, it.ending, it.at)).collect();
    let now = START + LIFETIME + Duration::from_secs(5);
    assert_eq!(endings, [(id(1), Ending::Expired, now), (id(2), Ending::Expired, now)]);
    let history = world.manager.history(alice(), None, PageSize::clamped(3)).await.unwrap();
    let entries: Vec<_> = history.items.into_iter().rev().collect();
    assert_eq!(world.log.entries()[told..], entries, "each is told of, too");
    let events: Vec<_> = entries.iter().map(|entry| entry.event.clone()).collect();
    let generated = Event::PrimaryGenerated { id: id(3), superseded: None };
    assert_eq!(events, [expired(1, None), expired(2, None), generated]);
    let revisions: Vec<_> = entries.iter().map(|entry| entry.revision.as_u64()).collect();
    let last = account.revision().as_u64();
    assert_eq!(revisions, [last - 2, last - 1, last]);
    let expiry = Actor::program("expiry").unwrap();
    let actors: Vec<_> = entries.into_iter().map(|entry| entry.actor).collect();
    assert_eq!(actors, [expiry.clone(), expiry, Actor::User], "nobody has asked for it");
}

async fn a_refused_change_writes_no_expiry(world: World) {
    let world = limited(world).await;
    world.dual().await;
    world.pass(LIFETIME);
    let (before, told) = (world.account().await, world.log.entries().len());
    let manager = &world.manager;
    for refused in [
        manager.revoke_all(&Actor::User, alice()).await,
        manager.delete_backup(&Actor::User, alice(), id(1), Guard::UnlessInUse).await,
        manager.grant(root(), alice(), before.methods().clone()).await,
    ] {
        assert_eq!(refused.unwrap_err().refusal(), Some(RotationError::AlreadyDone));
    }
    assert_eq!(world.account().await, before);
    assert_eq!(world.log.entries().len(), told);
}

/// Bug report B51 (b): there was no way out of this state but one that no
/// program finds.
async fn a_rotation_goes_on_although_both_tokens_have_expired(world: World) {
    let world = limited(world).await;
    world.dual().await;
    world.pass(LIFETIME);
    let manager = world.manager.with_confirmation(Confirmation::ByCaller);
    let generated = manager.generate_primary(&Actor::User, alice()).await.unwrap();
    let Delivery::ToCaller(code) = &generated.delivery else { panic!("the code comes back") };
    let entry = world.confirm(code).await;
    let event = Event::PrimaryConfirmed { id: generated.id, backup: None, replaced: None };
    assert_eq!(entry.event, event);
}

async fn views_and_lists_show_what_the_next_change_finds(world: World) {
    let world = backup_lives_on(world).await;
    let view = world.manager.view(alice()).await.unwrap();
    let ids = |tokens: &[tower_api_token::manage::TokenView]| -> Vec<_> {
        tokens.iter().map(|token| (token.id, token.in_use)).collect()
    };
    assert_eq!(view.primary.map(|token| token.id), Some(id(2)), "it takes the place");
    assert_eq!((view.backup, ids(&view.expired)), (None, vec![(id(1), false)]));
    assert_eq!(view.revision, world.account().await.revision(), "nothing is written by a look");
    let summary = world.manager.summary(alice()).await.unwrap().unwrap();
    assert_eq!((summary.primary, summary.backup), (Some(id(2)), None));
    assert_eq!(summary.expired, [id(1)]);
    let page = world.manager.list(None, PageSize::default()).await.unwrap();
    assert_eq!(page.items, [summary]);
    // Once a change has been made it is history.
    world.grant(alice(), &["PUT"]).await;
    let view = world.manager.view(alice()).await.unwrap();
    assert_eq!((view.primary.unwrap().id, view.expired), (id(2), vec![]));
    let history = world.history().await;
    assert_eq!(history[history.len() - 2..], ["token_expired", "access_granted"]);
}

async fn a_list_does_not_show_a_token_as_waiting_that_can_no_more_be_confirmed(world: World) {
    world.active().await;
    let (pending, _) = world.generate().await;
    let summary = async || world.manager.summary(alice()).await.unwrap().unwrap();
    assert_eq!((summary().await.pending, summary().await.expired), (Some(pending.id), vec![]));
    world.pass(Duration::from_secs(86_400));
    assert_eq!((summary().await.pending, summary().await.expired), (None, vec![pending.id]));
    let view = world.manager.view(alice()).await.unwrap();
    assert!(view.pending.unwrap().expires_at <= view.now, "its owner sees until when it was");
}

async fn a_preview_is_of_live_tokens(world: World) {
    let world = backup_lives_on(world).await;
    let preview = |command| world.manager.preview(alice(), command);
    let even_if_in_use = false;
    let delete = preview(Command::DeleteBackup { id: id(2), even_if_in_use }).await;
    assert_eq!(delete.unwrap_err().refusal(), Some(RotationError::Stale));
    let roll_back = preview(Command::RollBack { give_up: id(1), even_if_in_use }).await;
    assert_eq!(roll_back.unwrap_err().refusal(), Some(RotationError::AlreadyDone));
    assert_eq!(preview(Command::RevokeAll).await.unwrap(), Event::AllRevoked);
}

/// Bug report B51 (c).
async fn no_guard_asks_for_the_uses_of_what_has_expired(world: World) {
    let policy = Policy::default().backup_lifetime(Duration::from_secs(2)).unwrap();
    let world = world.again(TokenScheme::default(), |builder| builder.policy(policy)).await;
    let (new, old) = world.dual().await;
    world.pass(Duration::from_secs(1));
    let (manager, guard) = (&world.manager, Guard::UnlessInUse);
    let delete = || manager.delete_backup(&Actor::User, alice(), old.id, guard);
    let why = delete().await.unwrap_err().refusal();
    assert_eq!(why, Some(RotationError::InUse { id: old.id, last_used_at: None }));
    world.pass(Duration::from_secs(1));
    assert_eq!(delete().await.unwrap_err().refusal(), Some(RotationError::AlreadyDone));
    let roll_back = manager.roll_back(&Actor::User, alice(), new.id, guard).await;
    assert_eq!(roll_back.unwrap_err().refusal(), Some(RotationError::NoLiveBackup));
    world.generate().await;
}

async fn an_expired_token_does_not_come_back_by_an_import(world: World) {
    let world = limited(world).await;
    world.grant(alice(), &["GET"]).await;
    let token = ImportedToken::Sha256([7; 32]);
    let import = || world.manager.import(root(), alice(), Slot::Primary, &token, None);
    import().await.unwrap();
    assert_eq!(import().await.unwrap_err().refusal(), Some(RotationError::AlreadyDone));
    world.pass(LIFETIME);
    assert_eq!(import().await.unwrap_err().refusal(), Some(RotationError::DigestInUse));
    let item = ImportItem::new(alice().clone(), Slot::Primary, token.clone());
    let mut answers = world.manager.import_many(root(), &[item]).await.unwrap();
    let refusal = answers.remove(0).unwrap_err().refusal();
    assert_eq!(refusal, Some(RotationError::DigestInUse));
}

async fn an_import_takes_the_place_of_what_has_expired(world: World) {
    let world = limited(world).await;
    world.dual().await;
    world.pass(LIFETIME);
    let item =
        |slot, byte| ImportItem::new(alice().clone(), slot, ImportedToken::Sha256([byte; 32]));
    let items = [item(Slot::Primary, 8), item(Slot::Backup, 9)];
    for answer in world.manager.import_many(root(), &items).await.unwrap() {
        answer.unwrap();
    }
    let account = world.account().await;
    assert_eq!(account.primary().map(|token| token.id), Some(id(3)));
    assert_eq!(account.backup().map(|token| token.id), Some(id(4)));
    let history = world.history().await;
    let expected = ["token_expired", "token_expired", "token_imported", "token_imported"];
    assert_eq!(history[history.len() - 4..], expected);
}
