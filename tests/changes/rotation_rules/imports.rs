//! Tokens that exist elsewhere already.

use tower_api_token::account::Slot;
use tower_api_token::rotation::{Command, RotationError};
use tower_api_token::time::Timestamp;

use crate::rotation_rules::world::{DAY, START, World, digest, id, new_token};

fn import(
    world: &mut World,
    slot: Slot,
    number: u64,
    made_at: Option<Timestamp>,
) -> Result<(), RotationError> {
    world.apply(Command::Import { slot, token: new_token(number), made_at }).map(drop)
}

#[test]
fn an_imported_token_works_at_once() {
    let mut world = World::granted();
    import(&mut world, Slot::Primary, 5, None).unwrap();
    import(&mut world, Slot::Backup, 6, None).unwrap();
    assert_eq!((world.accepted(5), world.accepted(6)), (Some(Slot::Primary), Some(Slot::Backup)));
    assert_eq!(world.tokens(), [Some(1), Some(2), None]);
}

#[test]
fn a_digest_that_the_account_names_is_refused_wherever_it_stands() {
    let mut world = World::dual();
    world.generate_replacing(Some(id(1))).unwrap();
    world.generate_replacing(Some(id(1))).unwrap();
    // Retired, backup, primary and pending.
    for number in [3, 1, 2, 4] {
        let mut world = world.clone();
        if number == 1 {
            world.expect(Command::RollBack { give_up: id(2), even_if_in_use: true });
        } else {
            world.expect(Command::DeleteBackup { id: id(1), even_if_in_use: true });
        }
        let answer = import(&mut world, Slot::Backup, number, None);
        assert_eq!(answer, Err(RotationError::DigestInUse), "token {number}");
    }
}

#[test]
fn the_time_that_an_importer_gives_is_kept_unless_it_is_to_come() {
    let times = [
        (None, START),
        (Some(Timestamp::default()), Timestamp::default()),
        (Some(START), START),
        (Some(START + DAY), START),
    ];
    for (given, kept) in times {
        let mut world = World::granted();
        import(&mut world, Slot::Primary, 5, given).unwrap();
        let primary = world.account.primary().unwrap();
        assert_eq!((primary.made_at, primary.active_since), (kept, START));
    }
}

#[test]
fn a_backup_that_was_imported_meanwhile_is_not_replaced_unasked() {
    let mut world = World::pending();
    import(&mut world, Slot::Backup, 9, None).unwrap();
    assert_eq!(world.confirm(2), Err(RotationError::Stale));
    assert_eq!(world.accepted(9), Some(Slot::Backup));
    world.expect(Command::DeleteBackup { id: id(3), even_if_in_use: true });
    world.confirm(2).unwrap();
    assert_eq!(world.account.slot_of(&digest(2)), Some(Slot::Primary));
}

#[test]
fn a_token_that_waits_is_confirmed_beside_an_imported_primary() {
    let mut world = World::granted();
    world.generate().unwrap();
    import(&mut world, Slot::Primary, 9, None).unwrap();
    world.confirm(1).unwrap();
    assert_eq!(world.tokens(), [Some(1), Some(2), None]);
}
