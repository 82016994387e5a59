//! The last millisecond in which something is so, and the first in which it is
//! not.

use std::time::Duration;

use tower_api_token::account::Slot;
use tower_api_token::rotation::{Policy, RotationError};
use tower_api_token::time::Timestamp;

use crate::rotation_rules::world::{DAY, HOUR, MILLISECOND, MINUTE, SECOND, START, World, id};

/// What `act` gives when that much time has passed in `world`.
fn after<T>(world: &World, time: Duration, act: impl Fn(&mut World) -> T) -> T {
    let mut world = world.clone();
    world.wait(time);
    act(&mut world)
}

#[test]
fn a_code_lives_for_ten_minutes_without_the_last_millisecond() {
    let world = World::pending();
    let confirm = |world: &mut World| world.confirm(2).map(|_| world.accepted(2));
    assert_eq!(after(&world, 10 * MINUTE - MILLISECOND, confirm), Ok(Some(Slot::Primary)));
    assert_eq!(after(&world, 10 * MINUTE, confirm), Err(RotationError::ExpiredCode));
    assert_eq!(after(&world, DAY * 365, confirm), Err(RotationError::ExpiredCode));
}

#[test]
fn a_pending_token_can_be_confirmed_for_a_day_with_codes_sent_again() {
    let world = |resent: Duration| {
        let mut world = World::pending();
        world.wait(resent);
        world.resend(2, 5).unwrap();
        World { now: START, ..world }
    };
    let confirm = |world: &mut World| world.confirm(5).map(drop);
    let late = world(DAY - MINUTE);
    assert_eq!(after(&late, DAY - MILLISECOND, confirm), Ok(()));
    assert_eq!(after(&late, DAY, confirm), Err(RotationError::ExpiredCode));
    let early = world(HOUR);
    assert_eq!(after(&early, HOUR + 10 * MINUTE - MILLISECOND, confirm), Ok(()));
    assert_eq!(after(&early, HOUR + 10 * MINUTE, confirm), Err(RotationError::ExpiredCode));
}

#[test]
fn a_code_is_sent_again_for_a_day() {
    let world = World::pending();
    let resend = |world: &mut World| world.resend(2, 5).map(drop);
    assert_eq!(after(&world, DAY - MILLISECOND, resend), Ok(()));
    assert_eq!(after(&world, DAY, resend), Err(RotationError::ExpiredCode));
}

#[test]
fn a_code_is_sent_again_after_exactly_a_minute() {
    let world = World::pending();
    let resend = |world: &mut World| world.resend(2, 5).map(drop);
    let too_soon = |retry_after| Err(RotationError::TooSoon { retry_after });
    assert_eq!(after(&world, Duration::ZERO, resend), too_soon(MINUTE));
    assert_eq!(after(&world, MINUTE - MILLISECOND, resend), too_soon(MILLISECOND));
    assert_eq!(after(&world, MINUTE, resend), Ok(()));
    let mut again = world.clone();
    again.wait(MINUTE);
    again.resend(2, 5).unwrap();
    assert_eq!(after(&again, 59 * SECOND, resend), too_soon(SECOND));
    assert_eq!(after(&again, MINUTE, resend), Ok(()));
}

#[test]
fn a_code_sent_again_has_ten_minutes_of_its_own_and_ends_the_former() {
    let mut world = World::pending();
    world.wait(9 * MINUTE);
    world.resend(2, 5).unwrap();
    assert_eq!(world.clone().confirm(2), Err(RotationError::UnknownCode));
    let confirm = |world: &mut World| world.confirm(5).map(drop);
    assert_eq!(after(&world, 10 * MINUTE - MILLISECOND, confirm), Ok(()));
    assert_eq!(after(&world, 10 * MINUTE, confirm), Err(RotationError::ExpiredCode));
}

#[test]
fn a_dead_code_can_be_followed_by_another() {
    let mut world = World::pending();
    world.wait(HOUR);
    assert_eq!(world.confirm(2), Err(RotationError::ExpiredCode));
    world.resend(2, 5).unwrap();
    world.confirm(5).unwrap();
    assert_eq!(world.tokens(), [Some(2), Some(1), None]);
}

/// A world in which the backup was active for long and used at the start.
fn with_used_backup() -> World {
    World { backup_used: Some(START + DAY), now: START + DAY, ..World::dual() }
}

fn with_used_primary() -> World {
    World { primary_used: Some(START + DAY), now: START + DAY, ..World::dual() }
}

#[test]
fn a_backup_counts_as_in_use_for_a_day() {
    let world = with_used_backup();
    let delete = |world: &mut World| world.delete(1).map(drop);
    let in_use = Err(RotationError::InUse { id: id(1), last_used_at: world.backup_used });
    assert_eq!(after(&world, Duration::ZERO, delete), in_use);
    assert_eq!(after(&world, DAY - MILLISECOND, delete), in_use);
    assert_eq!(after(&world, DAY, delete), Ok(()));
    // The primary's use is none of the backup's.
    let world = World { primary_used: Some(world.now), backup_used: None, ..world };
    assert_eq!(after(&world, Duration::ZERO, delete), Ok(()));
}

#[test]
fn a_primary_counts_as_in_use_for_a_day() {
    let world = with_used_primary();
    let roll_back = |world: &mut World| world.roll_back(2).map(drop);
    let in_use = Err(RotationError::InUse { id: id(2), last_used_at: world.primary_used });
    assert_eq!(after(&world, Duration::ZERO, roll_back), in_use);
    assert_eq!(after(&world, DAY - MILLISECOND, roll_back), in_use);
    assert_eq!(after(&world, DAY, roll_back), Ok(()));
    let world = World { primary_used: None, backup_used: Some(world.now), ..world };
    assert_eq!(after(&world, Duration::ZERO, roll_back), Ok(()));
}

#[test]
fn a_use_by_a_clock_that_is_ahead_counts() {
    let ahead = World { backup_used: Some(START + DAY * 30), ..World::dual() };
    let delete = |world: &mut World| world.delete(1).map(drop);
    let in_use = Err(RotationError::InUse { id: id(1), last_used_at: ahead.backup_used });
    assert_eq!(after(&ahead, HOUR, delete), in_use);
}

#[test]
fn a_token_without_a_recorded_use_counts_as_in_use_for_two_intervals() {
    let unknown = |token| Err(RotationError::InUse { id: id(token), last_used_at: None });
    let delete = |world: &mut World| world.delete(1).map(drop);
    let roll_back = |world: &mut World| world.roll_back(2).map(drop);
    let world = World::dual();
    assert_eq!(after(&world, 20 * SECOND - MILLISECOND, delete), unknown(1));
    assert_eq!(after(&world, 20 * SECOND, delete), Ok(()));
    assert_eq!(after(&world, 20 * SECOND - MILLISECOND, roll_back), unknown(2));
    assert_eq!(after(&world, 20 * SECOND, roll_back), Ok(()));
}

#[test]
fn the_guard_follows_the_policy() {
    let policy = Policy::default().guard_window(HOUR).unwrap().usage_interval(MINUTE).unwrap();
    let delete = |world: &mut World| world.delete(1).map(drop);
    let used = World { policy: policy.clone(), ..with_used_backup() };
    let in_use = Err(RotationError::InUse { id: id(1), last_used_at: used.backup_used });
    assert_eq!(after(&used, HOUR - MILLISECOND, delete), in_use);
    assert_eq!(after(&used, HOUR, delete), Ok(()));
    let unused = World { policy, ..World::dual() };
    let unknown = Err(RotationError::InUse { id: id(1), last_used_at: None });
    assert_eq!(after(&unused, 2 * MINUTE - MILLISECOND, delete), unknown);
    assert_eq!(after(&unused, 2 * MINUTE, delete), Ok(()));
    // A window shorter than a use takes to be recorded would let a token go that
    // is used all the time.
    let short = Policy::default().guard_window(SECOND).unwrap().usage_interval(MINUTE).unwrap();
    let used = World { policy: short, ..used };
    assert_eq!(after(&used, 2 * MINUTE - MILLISECOND, delete), in_use);
    assert_eq!(after(&used, 2 * MINUTE, delete), Ok(()));
    let off = Policy::default().guard_window(Duration::ZERO).unwrap();
    assert_eq!(after(&World { policy: off, ..used }, Duration::ZERO, delete), Ok(()));
}

#[test]
fn times_follow_the_policy() {
    let policy = Policy::default().code_lifetime(MINUTE).unwrap().pending_lifetime(HOUR).unwrap();
    let policy = policy.resend_interval(Duration::ZERO).unwrap();
    let mut world = World::active_under(policy);
    world.generate().unwrap();
    let confirm = |world: &mut World| world.confirm(2).map(drop);
    assert_eq!(after(&world, MINUTE - MILLISECOND, confirm), Ok(()));
    assert_eq!(after(&world, MINUTE, confirm), Err(RotationError::ExpiredCode));
    let resend = |world: &mut World| world.resend(2, 5).map(drop);
    assert_eq!(after(&world, Duration::ZERO, resend), Ok(()));
    assert_eq!(after(&world, HOUR, resend), Err(RotationError::ExpiredCode));
}

#[test]
fn the_end_of_time_is_no_panic() {
    let mut world = World { now: Timestamp::from_unix_millis(u64::MAX), ..World::active() };
    world.generate().unwrap();
    assert_eq!(world.confirm(2), Err(RotationError::ExpiredCode));
    let mut world = World { now: Timestamp::default(), ..World::dual() };
    world.generate_replacing(Some(id(1))).unwrap();
    world.confirm(3).unwrap();
}
