//! When a user is told that a token is going to end.

use std::time::Duration;

use tower_api_token::audit::Event;
use tower_api_token::rotation::{Command, Facts, Policy, RotationError, due_at};
use tower_api_token::time::Timestamp;

use crate::rotation_rules::world::{DAY, HOUR, MILLISECOND, START, World, id};

fn lives_for(days: u32) -> World {
    World::active_under(Policy::default().token_lifetime(DAY * days).unwrap())
}

pub(crate) fn announce(world: &mut World, token: u64) -> Result<Event, RotationError> {
    world.apply(Command::AnnounceExpiry { id: id(token) })
}

pub(crate) fn due(world: &World) -> Option<Timestamp> {
    let mut facts = Facts::new(world.now, &world.policy);
    (facts.primary_used, facts.backup_used) = (world.primary_used, world.backup_used);
    due_at(&world.account, &facts)
}

fn told(days: u32, notice: u32) -> Result<Event, RotationError> {
    let expires_at = START + DAY * days;
    let (notice, unless_used) = (DAY * notice, false);
    Ok(Event::ExpiryAnnounced { id: id(1), expires_at, notice, unless_used })
}

const NOT_NOW: Result<Event, RotationError> = Err(RotationError::AlreadyDone);

#[test]
fn each_notice_is_given_once_when_its_time_has_come() {
    let mut world = lives_for(100);
    for (day, notice) in [(70, 30), (93, 7), (99, 1)] {
        assert_eq!(due(&world), Some(START + DAY * day), "the notice of {notice} days");
        world.now = START + (DAY * day - MILLISECOND);
        assert_eq!(announce(&mut world, 1), NOT_NOW, "a moment before {notice} days");
        world.now = START + DAY * day;
        assert_eq!(announce(&mut world, 1), told(100, notice));
        assert_eq!(announce(&mut world, 1), NOT_NOW, "{notice} days again");
        let record = world.account.primary().unwrap();
        assert_eq!(record.announced_end(), Some(START + DAY * 100));
    }
    assert_eq!(due(&world), Some(START + DAY * 100), "then it is to be retired");
    world.now = START + DAY * 100;
    let retired = world.apply(Command::RetireExpired).unwrap();
    let expired_at = START + DAY * 100;
    assert_eq!(retired, Event::TokenExpired { id: id(1), expired_at, promoted: None });
    assert_eq!((due(&world), announce(&mut world, 1)), (None, NOT_NOW));
    assert_eq!(world.apply(Command::RetireExpired), NOT_NOW);
}

#[test]
fn a_token_without_an_end_is_never_due() {
    let mut world = World::dual();
    world.wait(DAY * 10_000);
    assert_eq!(
        (due(&world), announce(&mut world, 1), announce(&mut world, 2)),
        (None, NOT_NOW, NOT_NOW)
    );
    assert_eq!(announce(&mut world, 9), Err(RotationError::Stale));
}

#[test]
fn a_token_with_less_than_a_notice_to_live_gets_the_next_one_only() {
    for (days, first) in [(5, 1), (7, 7), (29, 7), (30, 30), (1, 1)] {
        let mut world = lives_for(days);
        assert_eq!(world.account.primary().unwrap().announced_end(), None);
        assert_eq!(due(&world), Some(START + DAY * (days - first)), "{days} days to live");
        if first < days {
            world.now = START + (DAY * (days - first) - MILLISECOND);
            assert_eq!(announce(&mut world, 1), NOT_NOW, "{days} days to live");
        }
        world.now = START + DAY * (days - first);
        assert_eq!(announce(&mut world, 1), told(days, first));
    }
    let mut world = World::active_under(Policy::default().token_lifetime(HOUR).unwrap());
    assert_eq!(due(&world), Some(START + HOUR), "it lives too short for any");
    world.wait(HOUR - MILLISECOND);
    assert_eq!(announce(&mut world, 1), NOT_NOW);
}

#[test]
fn whoever_looks_late_gives_one_notice_the_shortest_that_is_due() {
    for (day, notice, next) in [(75, 30, 93), (93, 7, 99), (98, 7, 99), (99, 1, 100)] {
        let mut world = lives_for(100);
        world.now = START + DAY * day;
        assert_eq!(announce(&mut world, 1), told(100, notice), "on day {day}");
        assert_eq!(announce(&mut world, 1), NOT_NOW, "the longer ones are given no more");
        assert_eq!(due(&world), Some(START + DAY * next));
    }
}

#[test]
fn notices_are_those_of_the_policy() {
    let policy = |notices: &[Duration]| {
        let policy = Policy::default().token_lifetime(DAY * 100).unwrap();
        policy.expiry_notices(notices.iter().copied()).unwrap()
    };
    let mut world = World::active_under(policy(&[]));
    assert_eq!(due(&world), Some(START + DAY * 100), "it is retired, and nobody is told");
    world.now = START + (DAY * 100 - MILLISECOND);
    assert_eq!(announce(&mut world, 1), NOT_NOW);

    let mut world = World::active_under(policy(&[HOUR, DAY * 2, HOUR]));
    for (time, notice) in [(DAY * 98, DAY * 2), (DAY * 100 - HOUR, HOUR)] {
        assert_eq!(due(&world), Some(START + time));
        world.now = START + time;
        let Ok(Event::ExpiryAnnounced { notice: given, .. }) = announce(&mut world, 1) else {
            panic!("the notice of {notice:?} is not given")
        };
        assert_eq!(given, notice);
        assert_eq!(announce(&mut world, 1), NOT_NOW);
    }
    let short = Policy::default().expiry_notices([Duration::from_millis(999)]);
    assert!(short.is_err(), "a notice of less than a second");
}

#[test]
fn an_account_is_due_for_whichever_of_its_tokens_comes_first() {
    let policy = Policy::default().token_lifetime(DAY * 100).unwrap();
    let policy = policy.backup_lifetime(DAY * 10).unwrap();
    let mut world = World::dual_under(policy);
    assert_eq!(due(&world), Some(START + DAY * 3), "seven days before the backup's end");
    world.now = START + DAY * 3;
    assert_eq!(announce(&mut world, 2), NOT_NOW, "the primary's is not due");
    assert_eq!(announce(&mut world, 1), told(10, 7));
    world.roll_back(2).unwrap();
    assert_eq!(world.account.primary().unwrap().announced_end(), None, "of the later end");
    assert_eq!(due(&world), Some(START + DAY * 70));
}

#[test]
fn an_end_that_a_grant_moves_forward_leaves_out_what_comes_too_late() {
    let mut world = lives_for(100);
    world.wait(DAY);
    let lifetimes = tower_api_token::account::Lifetimes { token: Some(DAY * 5), backup: None };
    let methods = world.account.methods().clone();
    world.expect(Command::Grant { methods, lifetimes: Some(lifetimes) });
    assert_eq!(due(&world), Some(START + DAY * 5), "a day before its end on day 6");
    world.now = START + DAY * 5;
    assert_eq!(announce(&mut world, 1), told(6, 1));
}
