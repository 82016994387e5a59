//! What is done about accounts that nobody asks for: notices before the end, the end
//! itself, and tokens that nobody uses.

use std::time::Duration;

use tower_api_token::account::{Lifetimes, Slot};
use tower_api_token::audit::Event;
use tower_api_token::denial::DenialKind;
use tower_api_token::manage::{Guard, LeakResponse};
use tower_api_token::method::MethodSet;
use tower_api_token::rotation::{Policy, RotationError};
use tower_api_token::store::{AccountStore, PageSize};
use tower_api_token::token::{TokenId, TokenScheme};
use tower_api_token::user::Actor;

use crate::manager::world::{START, World, alice, bob, root};

on_every_store!(
    a_user_is_told_thirty_days_a_week_and_a_day_before_the_end,
    of_many_managers_one_gives_each_notice,
    a_late_pass_gives_one_notice,
    a_token_that_ends_is_retired_and_its_backup_takes_its_place,
    accounts_without_an_end_are_never_due,
    another_policy_goes_through_all_accounts_once,
    a_token_that_nobody_uses_ends_after_its_user_was_told,
    a_use_at_the_last_moment_keeps_a_token,
    a_use_that_another_node_has_written_keeps_a_token,
    suspension_refuses_every_request_until_it_is_lifted,
    time_suspended_is_no_time_unused,
    a_grant_shortens_what_is_live_and_never_prolongs,
    who_holds_a_token_may_end_it,
    a_leak_is_told_and_ended_as_the_policy_says,
    garbage_costs_the_store_nothing_and_ends_nothing,
);

pub(super) const DAY: Duration = Duration::from_secs(86_400);

fn id(number: u64) -> TokenId {
    TokenId::from_u64(number)
}

pub(super) async fn with_policy(world: World, policy: Policy) -> World {
    world.again(TokenScheme::default(), |builder| builder.policy(policy)).await
}

pub(super) async fn limited(world: World, days: u32) -> World {
    with_policy(world, Policy::default().token_lifetime(DAY * days).unwrap()).await
}

/// What alice was told of ends: the days that were left, in order.
pub(super) fn notices(world: &World) -> Vec<u64> {
    let notices = world.post.notices.lock().unwrap();
    let days = notices.iter().filter_map(|entry| match entry.event {
        Event::ExpiryAnnounced { notice, .. } => Some(notice.as_secs() / 86_400),
        _ => None,
    });
    days.collect()
}

pub(super) async fn pass(world: &World) -> u64 {
    world.manager.do_what_is_due().await.unwrap()
}

async fn a_user_is_told_thirty_days_a_week_and_a_day_before_the_end(world: World) {
    let world = limited(world, 90).await;
    world.active().await;
    for day in 0..90 {
        pass(&world).await;
        let told = match day {
            0..60 => 0,
            60..83 => 1,
            83..89 => 2,
            _ => 3,
        };
        assert_eq!(notices(&world).len(), told, "on day {day}");
        let announced = world.account().await.primary().unwrap().announced_end();
        assert_eq!(announced, (told > 0).then_some(START + DAY * 90), "on day {day}");
        world.pass(DAY);
    }
    assert_eq!(notices(&world), [30, 7, 1]);
    let by = world.store.history(alice(), None, PageSize::clamped(1)).await.unwrap();
    assert_eq!(by.items[0].actor, Actor::program("expiry").unwrap());
}

async fn of_many_managers_one_gives_each_notice(world: World) {
    let world = limited(world, 40).await;
    world.active().await;
    for _ in 0..40 {
        let passes = (0..8).map(|_| {
            let manager = world.manager.clone();
            tokio::spawn(async move { manager.do_what_is_due().await.unwrap() })
        });
        for pass in passes.collect::<Vec<_>>() {
            pass.await.unwrap();
        }
        world.pass(DAY);
    }
    assert_eq!(notices(&world), [30, 7, 1]);
}

async fn a_late_pass_gives_one_notice(world: World) {
    let world = limited(world, 90).await;
    world.active().await;
    world.pass(DAY * 85);
    assert_eq!(pass(&world).await, 1);
    assert_eq!(pass(&world).await, 0);
    assert_eq!(notices(&world), [7], "the shortest that is due");
}

async fn a_token_that_ends_is_retired_and_its_backup_takes_its_place(world: World) {
    let world = limited(world, 10).await;
    world.active().await;
    world.pass(DAY * 5);
    let (_, code) = world.generate().await;
    world.confirm(&code).await;
    world.manager.roll_back(root(), alice(), id(2), Guard::EvenIfInUse).await.unwrap();
    let (third, code) = world.generate().await;
    world.confirm(&code).await;
    world.pass(DAY * 5);
    pass(&world).await;
    let account = world.account().await;
    assert_eq!((account.primary().unwrap().id, account.backup()), (third.id, None));
    assert!(world.history().await.contains(&"token_expired"));
    world.pass(DAY * 5);
    pass(&world).await;
    assert_eq!(world.account().await.primary(), None, "the last one ends too");
    assert_eq!(pass(&world).await, 0);
}

async fn accounts_without_an_end_are_never_due(world: World) {
    world.active().await;
    pass(&world).await;
    let until = START + DAY * 36_500;
    let due = world.store.due_accounts().unwrap();
    assert_eq!(due.due(until, None, PageSize::MAX).await.unwrap().items, []);
}

async fn another_policy_goes_through_all_accounts_once(world: World) {
    let world = limited(world, 90).await;
    world.active().await;
    pass(&world).await;
    world.pass(DAY * 31);
    assert_eq!(pass(&world).await, 0);
    let policy = Policy::default().token_lifetime(DAY * 90).unwrap();
    let world = with_policy(world, policy.expiry_notices([DAY * 60]).unwrap()).await;
    assert_eq!(pass(&world).await, 1, "59 days are left, and the new notice is for 60");
    assert_eq!(notices(&world), [60]);
}

pub(super) async fn unused(world: World) -> World {
    with_policy(world, Policy::default().unused_lifetime(DAY * 90).unwrap()).await
}

async fn a_token_that_nobody_uses_ends_after_its_user_was_told(world: World) {
    let world = unused(world).await;
    let issued = world.active().await;
    world.pass(DAY * 59);
    assert_eq!(pass(&world).await, 0);
    world.pass(DAY);
    assert_eq!(pass(&world).await, 1);
    assert_eq!(world.account().await.primary().unwrap().expires_at, Some(START + DAY * 90));
    for _ in 60..90 {
        pass(&world).await;
        world.pass(DAY);
    }
    assert_eq!(notices(&world), [30, 7, 1]);
    assert_eq!(world.auth(&issued.token, "GET").await, Err(DenialKind::InvalidToken));
    assert_eq!(pass(&world).await, 1);
    assert_eq!(world.history().await.last(), Some(&"token_expired"));
}

async fn a_use_at_the_last_moment_keeps_a_token(world: World) {
    let world = unused(world).await;
    let issued = world.active().await;
    world.pass(DAY * 60);
    pass(&world).await;
    world.pass(DAY * 30 - Duration::from_millis(1));
    assert_eq!(world.auth(&issued.token, "GET").await, Ok(Slot::Primary));
    pass(&world).await;
    assert_eq!(world.account().await.primary().unwrap().expires_at, None);
    assert_eq!(world.history().await.last(), Some(&"expiry_lifted"));
    world.pass(DAY * 59);
    assert_eq!(pass(&world).await, 0, "it counts from its last use");
    world.pass(DAY);
    pass(&world).await;
    assert_eq!(world.history().await.last(), Some(&"expiry_announced"));
}

async fn a_use_that_another_node_has_written_keeps_a_token(world: World) {
    let world = unused(world).await;
    let issued = world.active().await;
    world.pass(DAY * 60);
    pass(&world).await;
    world.pass(DAY * 5);
    let used = tower_api_token::account::LastUse::new(issued.id, START + DAY * 65, None);
    let uses = world.store.last_uses().unwrap();
    uses.record_usage(&[(alice().clone(), used)]).await.unwrap();
    world.pass(DAY * 18);
    pass(&world).await;
    assert_eq!(world.account().await.primary().unwrap().expires_at, None);
    assert_eq!(notices(&world), [30]);
}

async fn suspension_refuses_every_request_until_it_is_lifted(world: World) {
    let (primary, backup) = world.dual().await;
    world.manager.suspend(root(), alice()).await.unwrap();
    for token in [&primary.token, &backup.token] {
        for method in ["GET", "POST", "DELETE"] {
            assert_eq!(world.auth(token, method).await, Err(DenialKind::AccessSuspended));
        }
    }
    let again = world.manager.suspend(root(), alice()).await.unwrap_err();
    assert_eq!(again.refusal(), Some(RotationError::AlreadyDone));
    let generate = world.manager.generate_primary_replacing(&Actor::User, alice(), backup.id);
    let refused = generate.await.unwrap_err();
    assert_eq!(refused.refusal(), Some(RotationError::Suspended));
    assert!(world.manager.view(alice()).await.is_ok(), "the user may look");
    let guard = Guard::EvenIfInUse;
    world.manager.delete_backup(&Actor::User, alice(), backup.id, guard).await.unwrap();
    world.manager.resume(root(), alice()).await.unwrap();
    assert_eq!(world.auth(&primary.token, "GET").await, Ok(Slot::Primary));
    assert_eq!(world.auth(&backup.token, "GET").await, Err(DenialKind::InvalidToken));
    let history = world.history().await;
    assert_eq!(history[4..], ["access_suspended", "backup_deleted", "access_resumed"]);
    let nobody = world.manager.suspend(root(), bob()).await.unwrap_err();
    assert_eq!(nobody.refusal(), Some(RotationError::NoAccess));
}

async fn time_suspended_is_no_time_unused(world: World) {
    let world = unused(world).await;
    world.active().await;
    world.pass(DAY * 50);
    world.manager.suspend(root(), alice()).await.unwrap();
    world.pass(DAY * 1_000);
    assert_eq!(pass(&world).await, 0);
    world.manager.resume(root(), alice()).await.unwrap();
    world.pass(DAY * 9);
    assert_eq!(pass(&world).await, 0);
    world.pass(DAY);
    assert_eq!(pass(&world).await, 1, "50 days before and 10 days since");
    assert_eq!(notices(&world), [30]);
}

async fn a_grant_shortens_what_is_live_and_never_prolongs(world: World) {
    let world = limited(world, 90).await;
    world.active().await;
    let end = async || world.account().await.primary().unwrap().expires_at;
    assert_eq!(end().await, Some(START + DAY * 90));
    let methods = || MethodSet::new(["GET"]).unwrap();
    let grant = async |days: u32| {
        let lifetimes = Lifetimes { token: Some(DAY * days), backup: None };
        world.manager.grant_with_lifetimes(root(), alice(), methods(), lifetimes).await
    };
    let refused = grant(91).await.unwrap_err().refusal();
    let longest = DAY * 90;
    assert_eq!(refused, Some(RotationError::LifetimeTooLong { slot: Slot::Primary, longest }));
    grant(10).await.unwrap();
    assert_eq!(end().await, Some(START + DAY * 10));
    grant(60).await.unwrap();
    assert_eq!(end().await, Some(START + DAY * 10), "nothing prolongs it");
    world.manager.grant(root(), alice(), MethodSet::new(["PUT"]).unwrap()).await.unwrap();
    assert_eq!(world.account().await.lifetimes().token, Some(DAY * 60), "a grant keeps them");
    world.manager.revoke_access(root(), alice()).await.unwrap();
    assert_eq!(world.account().await.lifetimes(), Lifetimes::default());
}

async fn who_holds_a_token_may_end_it(world: World) {
    let (primary, backup) = world.dual().await;
    let holder = Actor::program("revocation").unwrap();
    let entry = world.manager.end_token(&holder, primary.token.expose_secret()).await.unwrap();
    let event = Event::TokenEnded { id: primary.id, promoted: Some(backup.id) };
    assert_eq!(entry.unwrap().event, event);
    assert_eq!(world.auth(&primary.token, "GET").await, Err(DenialKind::InvalidToken));
    assert_eq!(world.auth(&backup.token, "GET").await, Ok(Slot::Primary));
    let again = world.manager.end_token(&holder, primary.token.expose_secret()).await.unwrap();
    assert_eq!(again, None);
    let (pending, _) = world.generate().await;
    let entry = world.manager.end_token(&holder, pending.token.expose_secret()).await.unwrap();
    assert_eq!(entry.unwrap().event, Event::PendingCancelled { id: pending.id });
    assert_eq!(world.post.notices.lock().unwrap().last().unwrap().event, event);
}

async fn a_leak_is_told_and_ended_as_the_policy_says(world: World) {
    let scanner = Actor::program("secret scanning").unwrap();
    let report = async |token: &str, response| {
        let found = "commit https://example.com/alice/repository";
        world.manager.report_leak(&scanner, token, found, response).await.unwrap()
    };
    let (primary, backup) = world.dual().await;
    let (primary_text, backup_text) = (primary.token.expose_secret(), backup.token.expose_secret());
    for _ in 0..2 {
        assert!(report(backup_text, LeakResponse::Tell).await, "again, which says nothing new");
    }
    assert_eq!(world.auth(&backup.token, "GET").await, Ok(Slot::Backup));
    assert!(report(backup_text, LeakResponse::EndToken).await);
    assert_eq!(world.auth(&backup.token, "GET").await, Err(DenialKind::InvalidToken));
    assert!(report(backup_text, LeakResponse::EndToken).await, "it was a token of this system");
    assert!(report(primary_text, LeakResponse::EndAll).await);
    assert_eq!(world.account().await.primary(), None);
    let history = world.history().await;
    let expected =
        ["leak_reported", "leak_reported", "token_ended", "leak_reported", "all_revoked"];
    assert_eq!(history[4..], expected);
    let told = world.post.notices.lock().unwrap().len();
    assert_eq!(told, 1 + expected.len(), "of the confirmation too");
    let damaged = primary_text.replace("tat_", "tat_x");
    assert!(!report(&damaged, LeakResponse::EndAll).await);
}

async fn garbage_costs_the_store_nothing_and_ends_nothing(world: World) {
    world.active().await;
    let before = world.account().await.revision();
    let long = "a".repeat(600);
    let holder = Actor::program("revocation").unwrap();
    for garbage in
        ["", " ", "tat_", "tat_0123456789abcdefghijklmnopqrstuvwxyz000000", &long, "\u{0}"]
    {
        assert_eq!(world.manager.end_token(&holder, garbage).await.unwrap(), None);
    }
    assert_eq!(world.account().await.revision(), before);
}
