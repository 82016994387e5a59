//! Each command in each state of an account: what comes of it, or which guard
//! refuses.

use tower_api_token::account::{Ending, Place, Slot};
use tower_api_token::rotation::{Command, RotationError};

use crate::rotation_rules::world::{MINUTE, World, code, digest, id, methods, new_token};

/// The states, in the order of the table's columns.
fn states() -> [(&'static str, World); 9] {
    let mut waiting = World::granted();
    waiting.generate().unwrap();
    let mut waiting_beside_both = World::dual();
    waiting_beside_both.generate_replacing(Some(id(1))).unwrap();
    let mut revoked = World::dual();
    revoked.expect(Command::RevokeAll);
    let mut no_access = World::dual();
    no_access.expect(Command::RevokeAccess);
    [
        ("absent", World::absent()),
        ("no access", no_access),
        ("granted", World::granted()),
        ("revoked", revoked),
        ("waiting", waiting),
        ("active", World::active()),
        ("pending", World::pending()),
        ("dual", World::dual()),
        ("both", waiting_beside_both),
    ]
    .map(|(name, mut world)| {
        // Past every pause and interval, and before every end.
        world.wait(MINUTE);
        (name, world)
    })
}

/// What each command makes of each state: `m` has methods, `p` a primary, `b` a
/// backup, `w` a pending token, `-` nothing; or the guard that refuses.
const TABLE: &str = "
command            | absent      | no access   | granted     | revoked     | waiting      | active        | pending      | dual        | both
grant GET          | m           | m           | AlreadyDone | AlreadyDone | AlreadyDone  | AlreadyDone   | AlreadyDone  | AlreadyDone | AlreadyDone
grant POST         | m           | m           | m           | m           | mw           | mp            | mpw          | mpb         | mpbw
grant nothing      | AlreadyDone | AlreadyDone | -           | -           | -            | -             | -            | -           | -
revoke access      | AlreadyDone | AlreadyDone | -           | -           | -            | -             | -            | -           | -
generate           | NoAccess    | NoAccess    | mw          | mw          | mw           | mpw           | mpw          | BackupExists | BackupExists
generate replacing | NoAccess    | NoAccess    | Stale       | Stale       | Stale        | Stale         | Stale        | mpbw        | mpbw
generate other     | NoAccess    | NoAccess    | Stale       | Stale       | Stale        | Stale         | Stale        | Stale       | Stale
resend             | Stale       | Stale       | Stale       | Stale       | mw           | Stale         | mpw          | Stale       | mpbw
resend other       | Stale       | Stale       | Stale       | Stale       | Stale        | Stale         | Stale        | Stale       | Stale
confirm            | UnknownCode | UnknownCode | UnknownCode | UnknownCode | mp           | UnknownCode   | mpb          | AlreadyConfirmed | mpb
confirm other      | UnknownCode | UnknownCode | UnknownCode | UnknownCode | UnknownCode  | UnknownCode   | UnknownCode  | UnknownCode | UnknownCode
cancel             | Stale       | Stale       | Stale       | Stale       | m            | Stale         | mp           | Stale       | mpb
cancel other       | Stale       | Stale       | Stale       | Stale       | Stale        | Stale         | Stale        | Stale       | Stale
delete backup      | Stale       | Stale       | Stale       | Stale       | Stale        | Stale         | Stale        | mp          | mpw
delete other       | Stale       | Stale       | Stale       | Stale       | Stale        | Stale         | Stale        | Stale       | Stale
roll back          | Stale       | Stale       | Stale       | Stale       | Stale        | NoLiveBackup  | NoLiveBackup | mp          | mpw
roll back other    | Stale       | Stale       | Stale       | Stale       | Stale        | Stale         | Stale        | Stale       | Stale
revoke all         | AlreadyDone | AlreadyDone | AlreadyDone | AlreadyDone | m            | m             | m            | m           | m
issue              | NoAccess    | NoAccess    | mp          | mp          | mpw          | PrimaryExists | PrimaryExists | PrimaryExists | PrimaryExists
import primary     | NoAccess    | NoAccess    | mp          | mp          | mpw          | SlotTaken     | SlotTaken    | SlotTaken   | SlotTaken
import backup      | NoAccess    | NoAccess    | NoLivePrimary | NoLivePrimary | NoLivePrimary | mpb        | mpbw         | SlotTaken   | SlotTaken
reveal primary     | NoAccess    | NoAccess    | Stale       | Stale       | Stale        | mp            | mpw          | mpb         | mpbw
reveal backup      | NoAccess    | NoAccess    | Stale       | Stale       | mw           | mp            | mpw          | mpb         | mpbw
reveal pending     | NoAccess    | NoAccess    | Stale       | Stale       | mw           | Stale         | mpw          | mpb         | mpbw
reveal other       | NoAccess    | NoAccess    | Stale       | Stale       | Stale        | Stale         | Stale        | Stale       | Stale
";

/// The command of a row, about the tokens that the state has; where it has
/// none, about the one that would have been.
fn command(row: &str, world: &World) -> Command {
    let [primary, backup, pending] = world.tokens();
    let (primary, backup) = (id(primary.unwrap_or(2)), id(backup.unwrap_or(1)));
    let (pending, other) = (pending.unwrap_or(2), id(77));
    let (token, even_if_in_use) = (new_token(90), true);
    let generate = |replacing_backup| Command::GeneratePrimary {
        token: new_token(90),
        code: code(90),
        replacing_backup,
    };
    match row {
        "grant GET" => Command::Grant { methods: methods(&["GET"]), lifetimes: None },
        "grant POST" => Command::Grant { methods: methods(&["POST"]), lifetimes: None },
        "grant nothing" => Command::Grant { methods: methods(&[]), lifetimes: None },
        "revoke access" => Command::RevokeAccess,
        "generate" => generate(None),
        "generate replacing" => generate(Some(backup)),
        "generate other" => generate(Some(other)),
        "resend" => Command::ResendConfirmation { id: id(pending), code: code(90) },
        "resend other" => Command::ResendConfirmation { id: other, code: code(90) },
        "confirm" => Command::Confirm { code: code(pending) },
        "confirm other" => Command::Confirm { code: code(77) },
        "cancel" => Command::CancelPending { id: id(pending) },
        "cancel other" => Command::CancelPending { id: other },
        "delete backup" => Command::DeleteBackup { id: backup, even_if_in_use },
        "delete other" => Command::DeleteBackup { id: other, even_if_in_use },
        "roll back" => Command::RollBack { give_up: primary, even_if_in_use },
        "roll back other" => Command::RollBack { give_up: other, even_if_in_use },
        "revoke all" => Command::RevokeAll,
        "issue" => Command::Issue { token },
        "import primary" => Command::Import { slot: Slot::Primary, token, made_at: None },
        "import backup" => Command::Import { slot: Slot::Backup, token, made_at: None },
        "reveal primary" => Command::Reveal { id: primary },
        "reveal backup" => Command::Reveal { id: backup },
        "reveal pending" => Command::Reveal { id: id(pending) },
        "reveal other" => Command::Reveal { id: other },
        _ => panic!("the row {row} has no command"),
    }
}

/// What a command came to, as the table says it.
fn outcome(world: &mut World, command: Command) -> String {
    match world.apply(command) {
        Err(RotationError::BackupExists { .. }) => String::from("BackupExists"),
        Err(RotationError::AlreadyConfirmed { .. }) => String::from("AlreadyConfirmed"),
        Err(RotationError::SlotTaken { .. }) => String::from("SlotTaken"),
        Err(error) => format!("{error:?}"),
        Ok(_) => {
            let has = [!world.account.methods().is_empty()];
            let has = has.into_iter().chain(world.tokens().map(|token| token.is_some()));
            let shape: String =
                has.zip("mpbw".chars()).filter(|(has, _)| *has).map(|(_, letter)| letter).collect();
            if shape.is_empty() { String::from("-") } else { shape }
        }
    }
}

#[test]
fn each_command_in_each_state() {
    let mut rows = TABLE.trim().lines().map(|line| line.split('|').map(str::trim));
    let names: Vec<_> = rows.next().unwrap().skip(1).collect();
    assert!(names.iter().eq(states().iter().map(|(name, _)| name)));
    let mut cells = 0;
    for mut row in rows {
        let row_name = row.next().unwrap();
        for ((state, world), expected) in states().iter().zip(row) {
            let mut world = world.clone();
            let command = command(row_name, &world);
            let seen = outcome(&mut world, command);
            assert_eq!(seen, expected, "{row_name} when {state}");
            cells += 1;
        }
    }
    assert_eq!(cells, 25 * 9);
}

/// Which token goes where.
#[test]
fn each_effect_moves_the_tokens_that_it_names() {
    let after = |mut world: World, command| {
        world.expect(command);
        world.tokens()
    };
    let confirm = Command::Confirm { code: code(2) };
    assert_eq!(after(World::pending(), confirm), [Some(2), Some(1), None]);
    let delete = Command::DeleteBackup { id: id(1), even_if_in_use: true };
    assert_eq!(after(World::dual(), delete), [Some(2), None, None]);
    let roll_back = Command::RollBack { give_up: id(2), even_if_in_use: true };
    assert_eq!(after(World::dual(), roll_back), [Some(1), None, None]);
    let mut replacing = World::dual();
    replacing.generate_replacing(Some(id(1))).unwrap();
    replacing.confirm(3).unwrap();
    assert_eq!(replacing.tokens(), [Some(3), Some(2), None]);
    assert_eq!(replacing.account.place_of(&digest(1)), Some(Place::Retired(id(1))));
}

/// How each token that ends is remembered.
#[test]
fn each_effect_retires_with_its_ending() {
    let both = || {
        let mut both = World::dual();
        both.generate_replacing(Some(id(1))).unwrap();
        both
    };
    let generate = |token, replacing_backup| Command::GeneratePrimary {
        token: new_token(token),
        code: code(token),
        replacing_backup,
    };
    let even_if_in_use = true;
    let cases: [(Command, &[(u64, Ending)]); 8] = [
        (generate(9, Some(id(1))), &[(3, Ending::Superseded)]),
        (Command::Confirm { code: code(3) }, &[(1, Ending::Replaced)]),
        (Command::CancelPending { id: id(3) }, &[(3, Ending::Cancelled)]),
        (Command::DeleteBackup { id: id(1), even_if_in_use }, &[(1, Ending::Deleted)]),
        (Command::RollBack { give_up: id(2), even_if_in_use }, &[(2, Ending::RolledBack)]),
        (Command::RevokeAll, &[(3, Ending::Revoked), (1, Ending::Revoked), (2, Ending::Revoked)]),
        (
            Command::RevokeAccess,
            &[(3, Ending::AccessRevoked), (1, Ending::AccessRevoked), (2, Ending::AccessRevoked)],
        ),
        (Command::Grant { methods: methods(&["PUT"]), lifetimes: None }, &[]),
    ];
    for (command, expected) in cases {
        let mut world = both();
        world.wait(MINUTE);
        let what = format!("{command:?}");
        world.expect(command);
        let retired = world.account.retired().iter();
        assert!(retired.clone().all(|retired| retired.at == world.now), "{what}");
        let mut endings: Vec<_> =
            retired.map(|retired| (retired.id.as_u64(), retired.ending)).collect();
        endings.sort_by_key(|(id, _)| *id);
        let mut expected = expected.to_vec();
        expected.sort_by_key(|(id, _)| *id);
        assert_eq!(endings, expected, "{what}");
    }
}

/// A grant is the user's, whichever token a request comes with.
#[test]
fn a_grant_applies_to_both_slots_at_once() {
    let mut world = World::dual();
    world.expect(Command::Grant { methods: methods(&["DELETE"]), lifetimes: None });
    assert_eq!(world.account.methods(), &methods(&["DELETE"]));
    assert_eq!((world.accepted(2), world.accepted(1)), (Some(Slot::Primary), Some(Slot::Backup)));
}
