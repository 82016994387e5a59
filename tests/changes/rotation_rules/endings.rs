//! How long a token that is no more is remembered.

use std::time::Duration;

use tower_api_token::account::Place;
use tower_api_token::rotation::{Command, Policy, RotationError};

use crate::rotation_rules::world::{
    DAY, MILLISECOND, START, World, code, digest, id, methods, new_token,
};

const NINETY_DAYS: Duration = Duration::from_secs(90 * 86_400);

/// Retires that many tokens, with a pause before each.
fn retire(world: &mut World, count: usize, pause: Duration) {
    for _ in 0..count {
        world.wait(pause);
        world.generate().unwrap();
        let waiting = world.tokens()[2].unwrap();
        world.cancel(waiting).unwrap();
    }
}

fn remembers(world: &World, token: u64) -> bool {
    world.account.place_of(&digest(token)) == Some(Place::Retired(id(token)))
}

#[test]
fn the_last_sixteen_are_remembered_whatever_their_age() {
    let mut world = World::active();
    retire(&mut world, 16, Duration::ZERO);
    world.wait(DAY * 10_000);
    world.expect(Command::Grant { methods: methods(&["PUT"]), lifetimes: None });
    assert!((2..=17).all(|token| remembers(&world, token)));
    retire(&mut world, 1, Duration::ZERO);
    assert!(!remembers(&world, 2) && (3..=18).all(|token| remembers(&world, token)));
}

#[test]
fn every_one_is_remembered_for_ninety_days() {
    let mut world = World::active();
    retire(&mut world, 40, Duration::ZERO);
    let after = |time| {
        let mut world = world.clone();
        retire(&mut world, 1, time);
        world.account.retired().len()
    };
    assert_eq!(after(Duration::ZERO), 41);
    assert_eq!(after(NINETY_DAYS), 41);
    assert_eq!(after(NINETY_DAYS + MILLISECOND), 16);
}

#[test]
fn they_are_remembered_for_as_long_as_the_policy_says() {
    let policy = Policy::default().retired_lifetime(DAY * 400).unwrap();
    let mut world = World::active_under(policy);
    retire(&mut world, 40, Duration::ZERO);
    retire(&mut world, 1, DAY * 400);
    assert_eq!(world.account.retired().len(), 41);
    retire(&mut world, 1, DAY);
    assert_eq!(world.account.retired().len(), 16);
}

/// Whoever may generate, or issue, must not be able to fill the record.
#[test]
fn of_each_kind_the_latest_sixty_four_are_remembered() {
    let mut world = World::active();
    retire(&mut world, 70, Duration::ZERO);
    assert_eq!(world.account.retired().len(), Policy::NEVER_LIVED_KEPT);
    assert!((8..=71).all(|token| remembers(&world, token)) && !remembers(&world, 7));
    world.expect(Command::RevokeAll);
    for _ in 0..70 {
        let token = new_token(world.account.next_token());
        world.expect(Command::Issue { token });
        world.expect(Command::RevokeAll);
    }
    assert!((78..=141).all(|token| remembers(&world, token)) && !remembers(&world, 77));
    assert!((8..=71).all(|token| remembers(&world, token)), "the other kind stays");
    assert_eq!(world.account.retired().len(), Policy::LIVED_KEPT + Policy::NEVER_LIVED_KEPT);
}

#[test]
fn generating_without_end_forgets_nothing_that_lived() {
    let mut world = World::granted();
    world.expect(Command::Issue { token: new_token(1) });
    world.expect(Command::RevokeAll);
    world.expect(Command::Issue { token: new_token(2) });
    retire(&mut world, 2 * Policy::NEVER_LIVED_KEPT, Duration::ZERO);
    assert!(remembers(&world, 1), "it was live once");
    assert_eq!(world.account.retired().len(), 1 + Policy::NEVER_LIVED_KEPT);
}

#[test]
fn a_clock_that_goes_back_forgets_nothing() {
    let mut world = World::active();
    retire(&mut world, 20, DAY);
    let former = world.now;
    world.now = START;
    retire(&mut world, 5, Duration::ZERO);
    assert_eq!(world.account.retired().len(), 25);
    world.now = former;
    retire(&mut world, 1, Duration::ZERO);
    assert_eq!(world.account.retired().len(), 26);
}

#[test]
fn a_remembered_token_cannot_come_back() {
    let mut world = World::active();
    retire(&mut world, 1, Duration::ZERO);
    let (token, code) = (new_token(2), code(9));
    let generate = Command::GeneratePrimary { token, code, replacing_backup: None };
    assert_eq!(world.apply(generate), Err(RotationError::DigestInUse));
    world.expect(Command::RevokeAll);
    let issue = Command::Issue { token: new_token(2) };
    assert_eq!(world.apply(issue), Err(RotationError::DigestInUse));
    let issue = Command::Issue { token: new_token(1) };
    assert_eq!(world.apply(issue), Err(RotationError::DigestInUse));
}

#[test]
fn ids_go_on_rising_when_tokens_are_forgotten_and_access_was_revoked() {
    let mut world = World::active();
    retire(&mut world, 30, DAY * 10);
    world.expect(Command::RevokeAccess);
    assert_eq!(world.account.next_token(), 32);
    let revision = world.account.revision();
    world.expect(Command::Grant { methods: methods(&["GET"]), lifetimes: None });
    world.expect(Command::Issue { token: new_token(100) });
    assert_eq!(world.tokens(), [Some(32), None, None]);
    assert!(world.account.revision() > revision);
}
