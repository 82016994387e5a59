//! Tokens that whoever holds them ends, leaks, and lifetimes that a grant sets.

use tower_api_token::account::{Ending, Lifetimes, Slot};
use tower_api_token::audit::Event;
use tower_api_token::rotation::{Command, Policy, RotationError};

use crate::rotation_rules::world::{DAY, MILLISECOND, START, World, id, methods};

const DONE: Result<Event, RotationError> = Err(RotationError::AlreadyDone);

fn end(world: &mut World, token: u64) -> Result<Event, RotationError> {
    world.apply(Command::EndToken { id: id(token) })
}

fn ended(token: u64, promoted: Option<u64>) -> Result<Event, RotationError> {
    Ok(Event::TokenEnded { id: id(token), promoted: promoted.map(id) })
}

#[test]
fn a_backup_beside_an_ended_primary_becomes_the_primary() {
    let mut world = World::dual();
    assert_eq!(end(&mut world, 2), ended(2, Some(1)));
    assert_eq!(world.tokens(), [Some(1), None, None]);
    assert_eq!(world.accepted(1), Some(Slot::Primary));
    assert_eq!(world.account.retired().last().unwrap().ending, Ending::Ended);
    assert_eq!(end(&mut world, 2), DONE);
    assert_eq!(end(&mut world, 1), ended(1, None));
    assert_eq!((world.tokens(), end(&mut world, 1)), ([None; 3], DONE));
    assert_eq!(end(&mut world, 9), Err(RotationError::Stale));
}

#[test]
fn a_backup_ends_alone_and_a_pending_token_is_cancelled() {
    let mut world = World::dual();
    assert_eq!(end(&mut world, 1), ended(1, None));
    assert_eq!(world.tokens(), [Some(2), None, None]);
    let mut world = World::pending();
    assert_eq!(end(&mut world, 2), Ok(Event::PendingCancelled { id: id(2) }));
    assert_eq!(world.tokens(), [Some(1), None, None]);
    assert_eq!(end(&mut world, 2), DONE, "that very effect has happened to it");
    assert_eq!(world.confirm(2), Err(RotationError::UnknownCode));
}

#[test]
fn a_token_in_use_is_ended_all_the_same() {
    let mut world = World::dual();
    (world.primary_used, world.backup_used) = (Some(world.now), Some(world.now));
    assert_eq!(end(&mut world, 2), ended(2, Some(1)));
}

#[test]
fn a_promoted_backup_keeps_the_end_that_it_has_as_the_backup() {
    let policy = Policy::default().backup_lifetime(DAY * 3).unwrap();
    let mut world = World::dual_under(policy);
    world.wait(DAY);
    end(&mut world, 2).unwrap();
    assert_eq!(world.account.primary().unwrap().expires_at, Some(START + DAY * 3));
    world.now = START + DAY * 3;
    assert_eq!(world.accepted(1), None);
}

#[test]
fn a_token_that_has_ended_otherwise_is_stale_and_one_that_has_expired_is_done() {
    let mut world = World::dual();
    world.expect(Command::RevokeAll);
    assert_eq!(end(&mut world, 1), Err(RotationError::Stale));
    let mut world = World::active_under(Policy::default().token_lifetime(DAY).unwrap());
    world.wait(DAY);
    assert_eq!(end(&mut world, 1), DONE);
}

#[test]
fn a_leak_is_kept_and_changes_no_token() {
    let report = |token| Command::ReportLeak { id: id(token), found: "a commit".to_owned() };
    let mut world = World::pending();
    let before = world.tokens();
    for token in [1, 2, 1] {
        let found = "a commit".to_owned();
        assert_eq!(world.expect(report(token)), Event::LeakReported { id: id(token), found });
        assert_eq!(world.tokens(), before);
    }
    assert_eq!(world.apply(report(9)), Err(RotationError::Stale));
    end(&mut world, 1).unwrap();
    assert_eq!(world.apply(report(1)), DONE);
}

fn grant(token: Option<u32>, backup: Option<u32>) -> Command {
    let [token, backup] = [token, backup].map(|days| days.map(|days| DAY * days));
    Command::Grant { methods: methods(&["GET"]), lifetimes: Some(Lifetimes { token, backup }) }
}

fn ends(world: &World) -> [Option<u64>; 2] {
    let days = |end: tower_api_token::time::Timestamp| end.since(START).as_secs() / 86_400;
    [world.account.primary(), world.account.backup()]
        .map(|token| token.and_then(|token| token.expires_at).map(days))
}

#[test]
fn a_grant_shortens_the_lives_of_live_tokens_and_prolongs_none() {
    let mut world = World::dual();
    world.wait(DAY);
    world.expect(grant(Some(20), Some(5)));
    assert_eq!(ends(&world), [Some(21), Some(6)]);
    world.expect(grant(Some(50), Some(30)));
    assert_eq!(ends(&world), [Some(21), Some(6)], "a later end is none of theirs");
    world.expect(grant(None, None));
    assert_eq!(ends(&world), [Some(21), Some(6)]);
    world.expect(grant(Some(3), None));
    assert_eq!(ends(&world), [Some(4), Some(4)], "a token's lifetime counts in either slot");
    assert_eq!(world.apply(grant(Some(3), None)), DONE);
}

#[test]
fn a_grant_gives_new_tokens_its_lifetimes() {
    let mut world = World::granted();
    world.expect(grant(Some(20), Some(5)));
    world.expect(Command::Issue { token: crate::rotation_rules::world::new_token(1) });
    world.generate().unwrap();
    world.confirm(2).unwrap();
    assert_eq!(ends(&world), [Some(20), Some(5)]);
}

#[test]
fn a_grant_gives_no_longer_life_than_the_policy() {
    let policy = Policy::default().token_lifetime(DAY * 90).unwrap();
    let policy = policy.backup_lifetime(DAY * 7).unwrap();
    let mut world = World { policy, ..World::granted() };
    let before = world.account.clone();
    for (command, slot, longest) in [
        (grant(Some(91), None), Slot::Primary, DAY * 90),
        (grant(None, Some(8)), Slot::Backup, DAY * 7),
        (grant(Some(91), Some(8)), Slot::Primary, DAY * 90),
    ] {
        let refusal = RotationError::LifetimeTooLong { slot, longest };
        assert_eq!(world.apply(command), Err(refusal));
        assert_eq!(world.account, before);
    }
    let lifetimes = Some(Lifetimes { token: Some(DAY * 90 + MILLISECOND), backup: None });
    let longer = Command::Grant { methods: methods(&["GET"]), lifetimes };
    assert!(world.apply(longer).is_err(), "by a moment");
    world.expect(grant(Some(90), Some(7)));
    world.expect(Command::Grant { methods: methods(&["PUT"]), lifetimes: None });
    assert_eq!(world.account.lifetimes().token, Some(DAY * 90), "as they are");
}
