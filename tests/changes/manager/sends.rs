//! What is sent to users, and what if it cannot be.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tower_api_token::account::Slot;
use tower_api_token::audit::Event;
use tower_api_token::manage::{Confirmation, Delivery, Guard, ManageError, TokenManager};
use tower_api_token::notify::ConfirmationMessage;
use tower_api_token::token::TokenScheme;
use tower_api_token::user::Actor;

use crate::manager::world::{START, World, alice, root};

on_every_store!(
    the_notifier_gets_what_the_user_needs,
    a_failed_send_is_told_beside_the_token,
    by_caller_sends_nothing,
    a_call_may_choose_another_way,
    without_a_notifier_nothing_can_be_sent,
    a_notice_follows_what_matters,
    a_user_is_told_of_a_token_that_somebody_else_was_issued,
    a_failed_notice_fails_nothing,
);

async fn the_notifier_gets_what_the_user_needs(world: World) {
    world.active().await;
    let (new, code) = world.generate().await;
    assert!(matches!(new.delivery, Delivery::Sent));
    assert_eq!(new.code_expires_at, START + Duration::from_secs(600));
    assert_eq!(new.expires_at, START + Duration::from_secs(86_400));
    let ConfirmationMessage { user, token, code_expires_at, pending_expires_at, .. } =
        world.post.messages.lock().unwrap().pop().unwrap();
    assert_eq!((&user, token), (alice(), new.id));
    assert_eq!((code_expires_at, pending_expires_at), (new.code_expires_at, new.expires_at));
    world.confirm(&code).await;
}

async fn a_failed_send_is_told_beside_the_token(world: World) {
    let old = world.active().await;
    world.post.fails.store(true, Ordering::SeqCst);
    let new = world.manager.generate_primary(&Actor::User, alice()).await.unwrap();
    let Delivery::NotSent(error) = &new.delivery else { panic!("{:?}", new.delivery) };
    assert_eq!(std::error::Error::source(error).unwrap().to_string(), "no postman today");
    let last = world.log.entries().pop().unwrap();
    assert_eq!(last.event, Event::ConfirmationNotSent { id: new.id });
    assert_eq!((last.user, last.at), (alice().clone(), START));
    // It is no change, so the history does not have it.
    assert_eq!(world.history().await.last(), Some(&"primary_generated"));
    assert_eq!(world.auth(&old.token, "GET").await, Ok(Slot::Primary));
    world.post.fails.store(false, Ordering::SeqCst);
    world.pass(Duration::from_secs(60));
    let resend = world.manager.resend_confirmation(&Actor::User, alice(), new.id);
    let (_, delivery) = resend.await.unwrap();
    assert!(matches!(delivery, Delivery::Sent));
    world.confirm(&world.post.last_code()).await;
    assert_eq!(world.auth(&new.token, "GET").await, Ok(Slot::Primary));
}

async fn by_caller_sends_nothing(world: World) {
    let world =
        world.again(TokenScheme::default(), |b| b.confirmation(Confirmation::ByCaller)).await;
    world.active().await;
    let new = world.manager.generate_primary(&Actor::User, alice()).await.unwrap();
    let Delivery::ToCaller(first) = new.delivery else { panic!("{:?}", new.delivery) };
    world.pass(Duration::from_secs(60));
    let resend = world.manager.resend_confirmation(&Actor::User, alice(), new.id);
    let (_, delivery) = resend.await.unwrap();
    let Delivery::ToCaller(second) = delivery else { panic!("{delivery:?}") };
    assert_eq!(world.post.count(), 0);
    assert!(world.manager.confirm(&Actor::User, alice(), &first).await.is_err());
    world.confirm(&second).await;
}

async fn a_call_may_choose_another_way(world: World) {
    world.active().await;
    let by_caller = world.manager.with_confirmation(Confirmation::ByCaller);
    let new = by_caller.generate_primary(&Actor::User, alice()).await.unwrap();
    assert!(matches!(new.delivery, Delivery::ToCaller(_)));
    world.pass(Duration::from_secs(60));
    let resent = by_caller.resend_confirmation(&Actor::User, alice(), new.id);
    let (_, delivery) = resent.await.unwrap();
    assert!(matches!(delivery, Delivery::ToCaller(_)));
    assert_eq!(world.post.count(), 0);
    let by_notifier = by_caller.with_confirmation(Confirmation::ByNotifier);
    by_notifier.generate_primary(&Actor::User, alice()).await.unwrap();
    assert_eq!(world.post.count(), 1);
}

async fn without_a_notifier_nothing_can_be_sent(world: World) {
    let manager = TokenManager::builder(Arc::clone(&world.store))
        .confirmation(Confirmation::ByCaller)
        .build()
        .await
        .unwrap();
    world.active().await;
    let before = world.account().await;
    let by_notifier = manager.with_confirmation(Confirmation::ByNotifier);
    let error = by_notifier.generate_primary(&Actor::User, alice()).await.unwrap_err();
    assert!(matches!(error, ManageError::NoNotifier), "{error}");
    assert_eq!(world.account().await, before);
    // Notices are simply not sent.
    manager.revoke_all(&Actor::User, alice()).await.unwrap();
}

async fn a_notice_follows_what_matters(world: World) {
    let (_, old) = world.dual().await;
    let manager = &world.manager;
    let guard = Guard::EvenIfInUse;
    manager.delete_backup(&Actor::User, alice(), old.id, guard).await.unwrap();
    let (new, code) = world.generate().await;
    world.confirm(&code).await;
    manager.roll_back(&Actor::User, alice(), new.id, guard).await.unwrap();
    manager.revoke_all(&Actor::User, alice()).await.unwrap();
    manager.revoke_access(root(), alice()).await.unwrap();
    let notices = world.post.notices.lock().unwrap();
    let names: Vec<_> = notices.iter().map(|notice| notice.event.name()).collect();
    let expected = [
        "primary_confirmed",
        "backup_deleted",
        "primary_confirmed",
        "rolled_back",
        "all_revoked",
        "access_revoked",
    ];
    assert_eq!(names, expected);
    let last = notices.last().unwrap();
    assert_eq!((&last.user, &last.actor, last.at), (alice(), root(), START));
}

async fn a_user_is_told_of_a_token_that_somebody_else_was_issued(world: World) {
    world.active().await;
    assert_eq!(world.post.notices.lock().unwrap().len(), 0, "it was the user");
    let rotator = Actor::program("rotator").unwrap();
    for actor in [root(), &rotator] {
        world.manager.revoke_all(&Actor::User, alice()).await.unwrap();
        let issued = world.manager.issue(actor, alice()).await.unwrap();
        let notice = world.post.notices.lock().unwrap().pop().unwrap();
        assert_eq!(notice.event, Event::TokenIssued { id: issued.id });
        assert_eq!((&notice.user, &notice.actor), (alice(), actor));
    }
}

async fn a_failed_notice_fails_nothing(world: World) {
    let (new, old) = world.dual().await;
    world.post.fails.store(true, Ordering::SeqCst);
    let manager = &world.manager;
    let guard = Guard::EvenIfInUse;
    manager.roll_back(&Actor::User, alice(), new.id, guard).await.unwrap();
    assert_eq!(world.auth(&old.token, "GET").await, Ok(Slot::Primary));
    assert_eq!(world.log.entries().last().unwrap().event.name(), "rolled_back");
}
