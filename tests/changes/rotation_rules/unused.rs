//! Tokens that nobody uses.

use tower_api_token::account::Slot;
use tower_api_token::audit::Event;
use tower_api_token::rotation::{Command, Policy, RotationError};

use crate::rotation_rules::notices::{announce, due};
use crate::rotation_rules::world::{DAY, HOUR, MILLISECOND, START, World, id, methods};

const NOT_NOW: Result<Event, RotationError> = Err(RotationError::AlreadyDone);

/// Token 1 is the primary, and ends when it is unused for 60 days.
fn unused() -> World {
    World::active_under(Policy::default().unused_lifetime(DAY * 60).unwrap())
}

/// The same on day 30, when its user was told.
fn told() -> World {
    let mut world = unused();
    world.wait(DAY * 30);
    let (expires_at, notice) = (START + DAY * 60, DAY * 30);
    let event = Event::ExpiryAnnounced { id: id(1), expires_at, notice, unless_used: true };
    assert_eq!(announce(&mut world, 1), Ok(event));
    world
}

fn lift(world: &mut World) -> Result<Event, RotationError> {
    world.apply(Command::LiftExpiry { id: id(1) })
}

#[test]
fn a_token_gets_its_end_by_the_first_notice_and_not_before() {
    let mut world = unused();
    assert_eq!(world.account.primary().unwrap().expires_at, None);
    assert_eq!(due(&world), Some(START + DAY * 30));
    world.now = START + (DAY * 30 - MILLISECOND);
    assert_eq!(announce(&mut world, 1), NOT_NOW);
    let mut world = told();
    assert_eq!(world.account.primary().unwrap().expires_at, Some(START + DAY * 60));
    for (day, notice) in [(53, 7), (59, 1)] {
        assert_eq!(due(&world), Some(START + DAY * day));
        world.now = START + DAY * day;
        let (expires_at, notice) = (START + DAY * 60, DAY * notice);
        let event = Event::ExpiryAnnounced { id: id(1), expires_at, notice, unless_used: true };
        assert_eq!(announce(&mut world, 1), Ok(event));
    }
    world.now = START + (DAY * 60 - MILLISECOND);
    assert_eq!(world.accepted(1), Some(Slot::Primary));
    world.wait(MILLISECOND);
    assert_eq!(world.accepted(1), None);
    world.expect(Command::RetireExpired);
    assert_eq!(world.tokens(), [None; 3]);
    assert_eq!(lift(&mut world), NOT_NOW);
}

#[test]
fn whoever_is_told_late_has_all_the_time_that_a_notice_gives() {
    let mut world = unused();
    world.wait(DAY * 500);
    let (expires_at, notice) = (START + DAY * 530, DAY * 30);
    let event = Event::ExpiryAnnounced { id: id(1), expires_at, notice, unless_used: true };
    assert_eq!(announce(&mut world, 1), Ok(event));
}

#[test]
fn a_short_time_is_told_of_by_the_longest_notice_that_fits_or_at_half_of_it() {
    for (life, notice) in [(DAY * 30, DAY * 7), (DAY * 7, DAY), (DAY, HOUR * 12)] {
        let policy = Policy::default().unused_lifetime(life).unwrap();
        let world = World::active_under(policy);
        assert_eq!(due(&world), Some(START + (life - notice)), "{life:?}");
    }
    let policy = Policy::default().unused_lifetime(DAY * 60).unwrap().expiry_notices([]).unwrap();
    assert_eq!(due(&World::active_under(policy)), Some(START + DAY * 30), "without any notice");
}

#[test]
fn a_use_counts_from_when_it_was() {
    let mut world = unused();
    world.primary_used = Some(START + DAY * 20);
    assert_eq!(due(&world), Some(START + DAY * 50));
    world.now = START + (DAY * 50 - MILLISECOND);
    assert_eq!(announce(&mut world, 1), NOT_NOW);
}

#[test]
fn a_use_after_the_announcement_keeps_the_token() {
    let mut world = told();
    world.primary_used = Some(world.now);
    world.now = START + DAY * 60;
    assert!(world.clone().apply(Command::RetireExpired).is_ok());
    world.primary_used = Some(START + DAY * 30 + MILLISECOND);
    let lifted = Event::ExpiryLifted { id: id(1), expires_at: None };
    for command in [Command::RetireExpired, Command::AnnounceExpiry { id: id(1) }] {
        let mut world = world.clone();
        if matches!(command, Command::AnnounceExpiry { .. }) {
            world.now = START + DAY * 59;
        }
        assert_eq!(world.apply(command), Ok(lifted.clone()));
        let record = world.account.primary().unwrap();
        assert_eq!((record.expires_at, record.announced_end()), (None, None));
        assert_eq!(due(&world), Some(world.now + DAY * 30), "counted from then on");
    }
    world.expect(Command::Grant { methods: methods(&["PUT"]), lifetimes: None });
    assert_eq!((world.expired.clone(), world.tokens()), (vec![lifted], [Some(1), None, None]));
}

/// A node writes a use a moment after it was.
#[test]
fn a_use_just_before_the_announcement_that_was_recorded_after_it_keeps_the_token() {
    let mut world = told();
    world.primary_used = Some(START + (DAY * 30 - MILLISECOND));
    world.now = START + DAY * 60;
    let lifted = Event::ExpiryLifted { id: id(1), expires_at: None };
    assert_eq!(world.apply(Command::RetireExpired), Ok(lifted));
    assert_eq!(world.tokens(), [Some(1), None, None]);
}

#[test]
fn an_end_is_lifted_once_and_even_late() {
    let mut world = told();
    world.now = START + DAY * 60;
    let lifted = Event::ExpiryLifted { id: id(1), expires_at: None };
    assert_eq!(lift(&mut world), Ok(lifted), "it was used in time, whenever that is told");
    assert_eq!(lift(&mut world), NOT_NOW);
    assert_eq!(world.accepted(1), Some(Slot::Primary));
    assert_eq!(world.apply(Command::LiftExpiry { id: id(9) }), Err(RotationError::Stale));
}

#[test]
fn a_token_that_ends_sooner_by_its_lifetime_gets_no_other_end() {
    let policy = Policy::default().unused_lifetime(DAY * 60).unwrap();
    let mut world = World::active_under(policy.token_lifetime(DAY * 60).unwrap());
    world.wait(DAY * 30);
    let (expires_at, notice) = (START + DAY * 60, DAY * 30);
    let event = Event::ExpiryAnnounced { id: id(1), expires_at, notice, unless_used: false };
    assert_eq!(announce(&mut world, 1), Ok(event));
    assert_eq!(lift(&mut world), NOT_NOW);
}

#[test]
fn a_policy_that_lets_unused_tokens_live_lifts_their_ends() {
    let mut world = told();
    world.policy = Policy::default();
    world.now = START + DAY * 60;
    world.expect(Command::RetireExpired);
    assert_eq!(world.tokens(), [Some(1), None, None]);
}

#[test]
fn an_idle_primary_gives_way_to_its_backup() {
    let policy = Policy::default().unused_lifetime(DAY * 60).unwrap();
    let mut world = World::dual_under(policy);
    world.backup_used = Some(START + DAY * 50);
    world.wait(DAY * 30);
    announce(&mut world, 2).unwrap();
    world.wait(DAY * 30);
    let (expired_at, promoted) = (START + DAY * 60, Some(id(1)));
    let event = Event::TokenExpired { id: id(2), expired_at, promoted };
    assert_eq!(world.apply(Command::RetireExpired), Ok(event));
    assert_eq!(world.tokens(), [Some(1), None, None]);
}

#[test]
fn the_use_of_a_primary_that_has_ended_is_none_of_the_backup_that_takes_its_place() {
    let mut world = unused();
    world.policy = world.policy.token_lifetime(DAY * 20).unwrap();
    world.generate().unwrap();
    world.confirm(2).unwrap();
    world.policy = unused().policy;
    world.primary_used = Some(START + DAY * 15);
    world.wait(DAY * 16);
    world.expect(Command::Suspend);
    world.wait(DAY * 30);
    world.expect(Command::Resume);
    assert_eq!(world.tokens(), [Some(1), None, None]);
    world.primary_used = None;
    assert_eq!(due(&world), Some(world.now + DAY * 14), "unused for 16 days before");
}
