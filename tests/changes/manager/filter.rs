//! Which accounts an administrator finds.

use std::time::Duration;

use tower_api_token::manage::{AccountFilter, ManageError};
use tower_api_token::rotation::Policy;
use tower_api_token::store::{PageSize, StoreErrorKind};
use tower_api_token::token::{Pepper, PepperVersion, TokenScheme};
use tower_api_token::user::{Actor, UserId};

use crate::manager::world::{World, alice, bob, root};

on_every_store!(
    a_filter_without_a_condition_selects_every_account,
    the_first_end_of_a_live_token_counts,
    users_are_unused_since_the_last_use_of_any_token,
    a_backup_a_pepper_and_a_suspension_are_found,
    of_several_conditions_all_must_hold,
    a_page_looks_through_as_many_accounts_as_it_is_long,
);

const DAY: Duration = Duration::from_secs(86_400);

fn carol() -> UserId {
    UserId::new("carol").unwrap()
}

/// The users that are found when the list is gone through to its end.
async fn found(world: &World, set: impl FnOnce(&mut AccountFilter)) -> Vec<String> {
    let mut filter = AccountFilter::default();
    set(&mut filter);
    let page = world.manager.list_where(&filter, None, PageSize::MAX).await.unwrap();
    assert_eq!(page.next, None);
    page.items.iter().map(|account| account.user.to_string()).collect()
}

async fn issue(world: &World, user: &UserId) {
    world.grant(user, &["GET"]).await;
    world.manager.issue(&Actor::User, user).await.unwrap();
}

async fn limited(world: World, days: u32) -> World {
    let policy = Policy::default().token_lifetime(DAY * days).unwrap();
    world.again(TokenScheme::default(), |builder| builder.policy(policy)).await
}

async fn a_filter_without_a_condition_selects_every_account(world: World) {
    assert_eq!(found(&world, |_| ()).await, [""; 0]);
    world.active().await;
    world.grant(bob(), &["GET"]).await;
    world.manager.revoke_access(root(), bob()).await.unwrap();
    assert_eq!(found(&world, |_| ()).await, ["alice", "bob"]);
}

async fn the_first_end_of_a_live_token_counts(world: World) {
    issue(&world, bob()).await;
    let world = limited(world, 30).await;
    world.active().await;
    world.pass(DAY * 10);
    let (_, code) = world.generate().await;
    world.confirm(&code).await;
    let within = |days| move |filter: &mut AccountFilter| filter.expiring_within = Some(DAY * days);
    assert_eq!(found(&world, within(19)).await, [""; 0]);
    assert_eq!(found(&world, within(20)).await, ["alice"], "her backup");
    world.pass(DAY * 20);
    assert_eq!(found(&world, within(9)).await, [""; 0], "the backup has ended");
    assert_eq!(found(&world, within(10)).await, ["alice"], "her primary");
}

async fn users_are_unused_since_the_last_use_of_any_token(world: World) {
    let token = world.active().await.token;
    issue(&world, bob()).await;
    world.grant(&carol(), &["GET"]).await;
    let unused = |days| move |filter: &mut AccountFilter| filter.unused_for = Some(DAY * days);
    world.pass(DAY * 5);
    world.auth(&token, "GET").await.unwrap();
    assert_eq!(found(&world, unused(5)).await, ["bob"], "a use that is not written yet counts");
    world.pass(DAY * 5);
    assert_eq!(found(&world, unused(5)).await, ["alice", "bob"]);
    assert_eq!(found(&world, unused(6)).await, ["bob"]);
    let (_, code) = world.generate().await;
    world.confirm(&code).await;
    assert_eq!(found(&world, unused(5)).await, ["bob"], "alice's new primary is in use");
}

async fn a_backup_a_pepper_and_a_suspension_are_found(world: World) {
    issue(&world, bob()).await;
    let pepper = Pepper::new(7, &[7; 32]).unwrap();
    let scheme = TokenScheme::default().pepper(pepper).unwrap().formerly_without_pepper().unwrap();
    let world = world.again(scheme, |builder| builder).await;
    world.dual().await;
    world.manager.suspend(root(), bob()).await.unwrap();
    assert_eq!(found(&world, |filter| filter.on_backup = true).await, ["alice"]);
    assert_eq!(found(&world, |filter| filter.suspended = true).await, ["bob"]);
    let version = |number| {
        move |filter: &mut AccountFilter| filter.pepper = Some(PepperVersion::from_u16(number))
    };
    assert_eq!(found(&world, version(7)).await, ["alice"]);
    assert_eq!(found(&world, version(0)).await, ["bob"]);
    assert_eq!(found(&world, version(8)).await, [""; 0]);
}

async fn of_several_conditions_all_must_hold(world: World) {
    world.dual().await;
    issue(&world, bob()).await;
    world.manager.suspend(root(), bob()).await.unwrap();
    let both = |filter: &mut AccountFilter| (filter.on_backup, filter.suspended) = (true, true);
    assert_eq!(found(&world, both).await, [""; 0]);
    world.manager.suspend(root(), alice()).await.unwrap();
    assert_eq!(found(&world, both).await, ["alice"]);
}

async fn a_page_looks_through_as_many_accounts_as_it_is_long(world: World) {
    for number in 0..5 {
        world.grant(&UserId::new(format!("user {number}")).unwrap(), &["GET"]).await;
    }
    let last = UserId::new("user 4").unwrap();
    world.manager.suspend(root(), &last).await.unwrap();
    let mut filter = AccountFilter::default();
    filter.suspended = true;
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let size = PageSize::clamped(2);
        let page = world.manager.list_where(&filter, after.as_ref(), size).await.unwrap();
        pages.push(page.items.len());
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(pages, [0, 0, 1]);
}

#[tokio::test]
async fn a_store_without_last_uses_cannot_tell_who_is_unused() {
    let world = World::in_memory().await;
    world.active().await;
    world.store.keep_no_uses();
    let mut filter = AccountFilter::default();
    filter.unused_for = Some(DAY);
    let error = world.manager.list_where(&filter, None, PageSize::MAX).await.unwrap_err();
    let ManageError::Store(error) = error else { panic!("{error:?}") };
    assert_eq!(error.kind(), StoreErrorKind::Unsupported);
}
