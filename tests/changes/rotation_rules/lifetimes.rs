//! Slots that have a lifetime.

use tower_api_token::account::Slot;
use tower_api_token::rotation::{Command, Policy, RotationError};
use tower_api_token::time::Timestamp;

use crate::rotation_rules::world::{DAY, MILLISECOND, START, World, id, new_token};

fn tokens_live_for(days: u32) -> Policy {
    Policy::default().token_lifetime(DAY * days).unwrap()
}

fn backups_live_for(days: u32) -> Policy {
    Policy::default().backup_lifetime(DAY * days).unwrap()
}

/// The times from which on the primary and the backup are refused.
fn ends(world: &World) -> [Option<Timestamp>; 2] {
    [world.account.primary(), world.account.backup()]
        .map(|token| token.and_then(|token| token.expires_at))
}

#[test]
fn without_a_lifetime_nothing_ends() {
    let mut world = World::dual();
    assert_eq!(ends(&world), [None, None]);
    world.wait(DAY * 36_000);
    assert_eq!((world.accepted(2), world.accepted(1)), (Some(Slot::Primary), Some(Slot::Backup)));
}

#[test]
fn a_token_lives_from_the_moment_that_it_is_the_primary() {
    let mut world = World::active_under(tokens_live_for(10));
    world.wait(DAY);
    world.generate().unwrap();
    world.wait(DAY / 200);
    world.confirm(2).unwrap();
    assert_eq!(ends(&world), [Some(world.now + DAY * 10), Some(START + DAY * 10)]);
    world.now = START + DAY * 10;
    assert_eq!((world.accepted(2), world.accepted(1)), (Some(Slot::Primary), None));
    let before = World { now: START + (DAY * 10 - MILLISECOND), ..world };
    assert_eq!(before.accepted(1), Some(Slot::Backup));
}

#[test]
fn a_backup_lives_from_the_moment_that_it_is_the_backup() {
    let mut world = World::active_under(backups_live_for(3));
    world.wait(DAY * 100);
    world.generate().unwrap();
    world.confirm(2).unwrap();
    assert_eq!(ends(&world), [None, Some(world.now + DAY * 3)]);
    world.wait(DAY * 3);
    assert_eq!((world.accepted(2), world.accepted(1)), (Some(Slot::Primary), None));
}

#[test]
fn the_earlier_of_both_ends_counts_for_a_backup() {
    for (tokens, backups, end) in [(10, 3, 3), (10, 30, 10)] {
        let policy = tokens_live_for(tokens).backup_lifetime(DAY * backups).unwrap();
        let world = World::dual_under(policy);
        assert_eq!(ends(&world)[1], Some(START + DAY * end));
    }
}

#[test]
fn a_backup_that_is_the_primary_again_has_the_lifetime_of_a_primary() {
    let mut world = World::dual_under(backups_live_for(3));
    world.wait(DAY);
    world.roll_back(2).unwrap();
    assert_eq!(ends(&world), [None, None]);
    let policy = tokens_live_for(10).backup_lifetime(DAY * 3).unwrap();
    let mut world = World::dual_under(policy);
    world.wait(DAY);
    world.roll_back(2).unwrap();
    // Since it became active: the roll-back takes the backup's end away and gives none.
    assert_eq!(ends(&world), [Some(START + DAY * 10), None]);
}

#[test]
fn imported_tokens_have_the_lifetime_of_their_slot() {
    let policy = tokens_live_for(10).backup_lifetime(DAY * 3).unwrap();
    let mut world = World { policy, ..World::granted() };
    for (number, slot) in [(5, Slot::Primary), (6, Slot::Backup)] {
        let made_at = Some(START);
        world.wait(DAY);
        world.expect(Command::Import { slot, token: new_token(number), made_at });
    }
    assert_eq!(ends(&world), [Some(START + DAY * 11), Some(START + DAY * 5)]);
}

#[test]
fn a_primary_at_its_end_gives_way_to_the_live_backup_or_to_a_new_token() {
    let policy = tokens_live_for(10);
    let mut world = World::active_under(policy);
    world.wait(DAY * 9);
    world.generate().unwrap();
    world.confirm(2).unwrap();
    world.wait(DAY * 2);
    assert_eq!((world.accepted(2), world.accepted(1)), (Some(Slot::Primary), None));
    let mut world = World::active_under(tokens_live_for(10));
    world.wait(DAY * 11);
    assert_eq!(world.accepted(1), None);
    world.generate().unwrap();
    world.confirm(2).unwrap();
    assert_eq!((world.accepted(2), world.accepted(1)), (Some(Slot::Primary), None));
}

#[test]
fn a_code_is_known_for_as_long_as_its_token_lives() {
    let mut world = World::dual_under(tokens_live_for(10));
    world.wait(DAY * 10 - MILLISECOND);
    assert_eq!(world.confirm(2), Err(RotationError::AlreadyConfirmed { id: id(2) }));
    world.wait(MILLISECOND);
    assert_eq!(world.confirm(2), Err(RotationError::UnknownCode));
}
