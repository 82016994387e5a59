//! Events that come again, or late.

use tower_api_token::audit::Event;
use tower_api_token::rotation::{Command, RotationError};
use tower_api_token::token::TokenId;

use crate::rotation_rules::world::{DAY, MINUTE, World, id, methods};

const DELETE: Command = Command::DeleteBackup { id: TokenId::from_u64(1), even_if_in_use: true };
const ROLL_BACK: Command =
    Command::RollBack { give_up: TokenId::from_u64(2), even_if_in_use: true };

#[test]
fn an_effect_that_has_happened_is_not_repeated() {
    let cases = [
        (World::dual(), DELETE),
        (World::dual(), ROLL_BACK),
        (World::pending(), Command::CancelPending { id: id(2) }),
        (World::dual(), Command::RevokeAll),
        (World::dual(), Command::RevokeAccess),
        (World::dual(), Command::Grant { methods: methods(&["PUT"]), lifetimes: None }),
    ];
    for (mut world, command) in cases {
        let what = format!("{command:?}");
        world.expect(command.clone());
        let before = world.account.clone();
        for _ in 0..3 {
            world.wait(MINUTE);
            assert_eq!(world.apply(command.clone()), Err(RotationError::AlreadyDone), "{what}");
            assert_eq!(world.account, before);
        }
    }
}

#[test]
fn an_effect_is_known_to_have_happened_only_to_the_token_it_happened_to() {
    let mut deleted = World::dual();
    deleted.expect(DELETE);
    let roll_back_of_one = Command::RollBack { give_up: id(1), even_if_in_use: true };
    assert_eq!(deleted.apply(roll_back_of_one), Err(RotationError::Stale));
    assert_eq!(deleted.cancel(1), Err(RotationError::Stale));
    let mut rolled_back = World::dual();
    rolled_back.expect(ROLL_BACK);
    let delete_of_two = Command::DeleteBackup { id: id(2), even_if_in_use: true };
    assert_eq!(rolled_back.apply(delete_of_two), Err(RotationError::Stale));
    let mut revoked = World::dual();
    revoked.expect(Command::RevokeAll);
    for command in [DELETE, ROLL_BACK] {
        assert_eq!(revoked.apply(command), Err(RotationError::Stale));
    }
}

#[test]
fn a_late_delete_does_not_reach_the_next_backup() {
    let mut world = World::dual();
    world.expect(DELETE);
    world.generate().unwrap();
    world.confirm(3).unwrap();
    assert_eq!(world.tokens(), [Some(3), Some(2), None]);
    assert_eq!(world.apply(DELETE), Err(RotationError::AlreadyDone));
    assert_eq!(world.tokens(), [Some(3), Some(2), None]);
}

#[test]
fn a_late_roll_back_does_not_reach_the_next_primary() {
    let mut world = World::dual();
    world.generate_replacing(Some(id(1))).unwrap();
    world.confirm(3).unwrap();
    assert_eq!(world.apply(ROLL_BACK), Err(RotationError::Stale));
    assert_eq!(world.tokens(), [Some(3), Some(2), None]);
}

#[test]
fn a_code_activates_once_whatever_follows() {
    let mut world = World::pending();
    world.confirm(2).unwrap();
    assert_eq!(world.confirm(2), Err(RotationError::AlreadyConfirmed { id: id(2) }));
    // As the backup it still is live.
    world.expect(DELETE);
    world.generate().unwrap();
    assert_eq!(world.confirm(2), Err(RotationError::AlreadyConfirmed { id: id(2) }));
    world.expect(Command::RevokeAll);
    assert_eq!(world.confirm(2), Err(RotationError::UnknownCode));
    assert_eq!(world.tokens(), [None; 3]);
}

#[test]
fn the_code_of_a_token_that_was_given_up_activates_nothing() {
    let mut world = World::dual();
    world.expect(ROLL_BACK);
    assert_eq!(world.confirm(2), Err(RotationError::UnknownCode));
    assert_eq!(world.tokens(), [Some(1), None, None]);
}

#[test]
fn a_backup_deleted_meanwhile_needs_no_replacing() {
    let mut world = World::dual();
    world.generate_replacing(Some(id(1))).unwrap();
    world.expect(DELETE);
    let confirmed = Event::PrimaryConfirmed { id: id(3), backup: Some(id(2)), replaced: None };
    assert_eq!(world.confirm(3), Ok(confirmed));
}

#[test]
fn a_roll_back_while_a_token_waits_leaves_it_waiting() {
    let mut world = World::dual();
    world.generate_replacing(Some(id(1))).unwrap();
    world.expect(ROLL_BACK);
    assert_eq!(world.tokens(), [Some(1), None, Some(3)]);
    let confirmed = Event::PrimaryConfirmed { id: id(3), backup: Some(id(1)), replaced: None };
    assert_eq!(world.confirm(3), Ok(confirmed));
}

#[test]
fn a_replaced_backup_is_named_in_the_event() {
    let mut world = World::dual();
    world.generate_replacing(Some(id(1))).unwrap();
    let confirmed =
        Event::PrimaryConfirmed { id: id(3), backup: Some(id(2)), replaced: Some(id(1)) };
    assert_eq!(world.confirm(3), Ok(confirmed));
}

#[test]
fn after_a_revocation_a_user_starts_anew() {
    let mut world = World::pending();
    world.expect(Command::RevokeAccess);
    world.wait(DAY);
    world.expect(Command::Grant { methods: methods(&["GET"]), lifetimes: None });
    assert_eq!(world.tokens(), [None; 3]);
    for number in [1, 2] {
        assert_eq!(world.accepted(number), None);
    }
    assert_eq!(world.confirm(2), Err(RotationError::UnknownCode));
}
