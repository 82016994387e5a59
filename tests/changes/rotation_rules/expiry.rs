//! What has expired stands in nobody's way, and nothing is said of it as if it
//! worked.

use tower_api_token::account::{Ending, Place, Slot};
use tower_api_token::audit::Event;
use tower_api_token::rotation::{Command, Facts, Policy, RotationError, retire_expired};
use tower_api_token::time::Timestamp;

use crate::rotation_rules::world::{
    DAY, HOUR, MILLISECOND, START, World, code, digest, id, methods, new_token,
};

fn tokens_live_for(days: u32) -> Policy {
    Policy::default().token_lifetime(DAY * days).unwrap()
}

fn backups_live_for(days: u32) -> Policy {
    Policy::default().backup_lifetime(DAY * days).unwrap()
}

fn expired(token: u64, expired_at: Timestamp, promoted: Option<u64>) -> Event {
    Event::TokenExpired { id: id(token), expired_at, promoted: promoted.map(id) }
}

/// Token 1, the primary, has expired.
fn primary_expired() -> World {
    let mut world = World::active_under(tokens_live_for(10));
    world.wait(DAY * 10);
    world
}

/// Of primary 2 and backup 1 the backup has expired, and was used just before.
fn backup_expired() -> World {
    let mut world = World::dual_under(backups_live_for(3));
    world.wait(DAY * 3);
    world.backup_used = Some(START + (DAY * 3 - MILLISECOND));
    world
}

/// Primary 2 and backup 1 have expired.
fn both_expired() -> World {
    let mut world = World::dual_under(tokens_live_for(10));
    world.wait(DAY * 10);
    world
}

/// Primary 1 has expired, and backup 2, which was imported beside it five days later,
/// lives on.
fn backup_lives_on() -> World {
    let mut world = World { policy: tokens_live_for(10), ..World::granted() };
    world.expect(Command::Issue { token: new_token(1) });
    world.wait(DAY * 5);
    world.expect(Command::Import { slot: Slot::Backup, token: new_token(2), made_at: None });
    world.wait(DAY * 5);
    world
}

/// As the table of `table.rs`, for a command about the tokens that have expired.
const TABLE: &str = "
command            | primary gone  | backup gone  | both gone    | backup lives on
grant POST         | m             | mp           | m            | mp
revoke access      | -             | -            | -            | -
generate           | mw            | mpw          | mw           | mpw
replacing 1        | mw            | mpw          | mw           | mpw
delete 1           | AlreadyDone   | AlreadyDone  | AlreadyDone  | AlreadyDone
delete 2           | Stale         | Stale        | AlreadyDone  | Stale
roll back 1        | NoLiveBackup  | AlreadyDone  | NoLiveBackup | AlreadyDone
roll back 2        | Stale         | NoLiveBackup | NoLiveBackup | NoLiveBackup
revoke all         | AlreadyDone   | m            | AlreadyDone  | m
issue              | mp            | PrimaryExists | mp          | PrimaryExists
import primary     | mp            | SlotTaken    | mp           | SlotTaken
import backup      | NoLivePrimary | mpb          | NoLivePrimary | mpb
reveal 1           | Stale         | Stale        | Stale        | Stale
";

fn command(row: &str) -> Command {
    let (token, made_at) = (new_token(90), None);
    let generate = |replacing_backup| Command::GeneratePrimary {
        token: new_token(90),
        code: code(90),
        replacing_backup,
    };
    // Guards that ask for uses do not apply to what nobody can use.
    let even_if_in_use = false;
    match row {
        "grant POST" => Command::Grant { methods: methods(&["POST"]), lifetimes: None },
        "revoke access" => Command::RevokeAccess,
        "generate" => generate(None),
        "replacing 1" => generate(Some(id(1))),
        "delete 1" => Command::DeleteBackup { id: id(1), even_if_in_use },
        "delete 2" => Command::DeleteBackup { id: id(2), even_if_in_use },
        "roll back 1" => Command::RollBack { give_up: id(1), even_if_in_use },
        "roll back 2" => Command::RollBack { give_up: id(2), even_if_in_use },
        "revoke all" => Command::RevokeAll,
        "issue" => Command::Issue { token },
        "import primary" => Command::Import { slot: Slot::Primary, token, made_at },
        "import backup" => Command::Import { slot: Slot::Backup, token, made_at },
        "reveal 1" => Command::Reveal { id: id(1) },
        _ => panic!("the row {row} has no command"),
    }
}

fn outcome(world: &mut World, command: Command) -> String {
    let before = world.account.clone();
    match world.apply(command) {
        Err(error) => {
            assert_eq!(world.account, before, "a refused command writes nothing");
            let text = format!("{error:?}");
            text.split([' ', '{']).next().unwrap().to_owned()
        }
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
fn each_command_deals_with_live_tokens_alone() {
    let states = [
        ("primary gone", primary_expired()),
        ("backup gone", backup_expired()),
        ("both gone", both_expired()),
        ("backup lives on", backup_lives_on()),
    ];
    let mut cells = 0;
    for row in TABLE.trim().lines().skip(1) {
        let mut row = row.split('|').map(str::trim);
        let name = row.next().unwrap();
        for ((state, world), expected) in states.iter().zip(row) {
            let mut world = world.clone();
            assert_eq!(outcome(&mut world, command(name)), expected, "{name}: {state}");
            cells += 1;
        }
    }
    assert_eq!(cells, 13 * 4);
}

#[test]
fn what_has_expired_ends_by_an_event_of_its_own_before_that_of_the_command() {
    let grant = || Command::Grant { methods: methods(&["PUT"]), lifetimes: None };
    let end = START + DAY * 10;
    for (mut world, events) in [
        (primary_expired(), vec![expired(1, end, None)]),
        (backup_expired(), vec![expired(1, START + DAY * 3, None)]),
        (both_expired(), vec![expired(1, end, None), expired(2, end, None)]),
        (backup_lives_on(), vec![expired(1, end, Some(2))]),
    ] {
        world.wait(HOUR);
        world.expect(grant());
        assert_eq!(world.expired, events);
        for event in events {
            let token = event.token().unwrap();
            let retired = world.account.retired().iter().find(|retired| retired.id == token);
            let retired = retired.unwrap();
            assert_eq!((retired.ending, retired.at), (Ending::Expired, world.now));
            let place = world.account.place_of(&digest(token.as_u64()));
            assert_eq!(place, Some(Place::Retired(token)));
        }
        world.expect(Command::Grant { methods: methods(&["GET"]), lifetimes: None });
        assert_eq!(world.expired, [], "it ends once");
    }
}

/// Whoever was asked to agree to the end of a backup has not agreed to the end
/// of the only token left.
#[test]
fn a_confirmation_beside_an_expired_primary_ends_no_live_backup() {
    let mut world = backup_lives_on();
    world.now = START + (DAY * 10 - MILLISECOND);
    world.generate_replacing(Some(id(2))).unwrap();
    world.wait(MILLISECOND);
    world.confirm(3).unwrap();
    assert_eq!(world.expired, [expired(1, START + DAY * 10, Some(2))]);
    assert_eq!(world.tokens(), [Some(3), Some(2), None]);
    assert_eq!((world.accepted(3), world.accepted(2)), (Some(Slot::Primary), Some(Slot::Backup)));
}

#[test]
fn a_confirmation_fills_the_place_of_what_has_expired() {
    let mut world = World::dual_under(tokens_live_for(10));
    world.wait(DAY * 10 - MILLISECOND);
    world.generate_replacing(Some(id(1))).unwrap();
    world.wait(MILLISECOND);
    let event = world.confirm(3).unwrap();
    assert_eq!(event, Event::PrimaryConfirmed { id: id(3), backup: None, replaced: None });
    assert_eq!(world.tokens(), [Some(3), None, None]);
}

#[test]
fn a_pending_token_outlives_what_has_expired_and_answers_as_before() {
    let mut world = World::active_under(tokens_live_for(10));
    world.wait(DAY * 10 - HOUR / 10);
    world.generate().unwrap();
    world.wait(HOUR / 6);
    assert_eq!(world.confirm(2), Err(RotationError::ExpiredCode));
    world.resend(2, 9).unwrap();
    assert_eq!(world.expired, [expired(1, START + DAY * 10, None)]);
    world.wait(DAY);
    assert_eq!(world.confirm(9), Err(RotationError::ExpiredCode));
    assert_eq!(world.resend(2, 8), Err(RotationError::ExpiredCode));
    world.cancel(2).unwrap();
}

/// The backup was imported when tokens had no lifetime yet.
#[test]
fn a_promoted_backup_keeps_its_own_end_or_gets_a_sooner_one() {
    for (backups, end) in [(12, 12), (10_000, 20)] {
        let policy = tokens_live_for(10).backup_lifetime(DAY * backups).unwrap();
        let mut world = World { policy: policy.clone(), ..World::granted() };
        world.expect(Command::Issue { token: new_token(1) });
        world.policy = backups_live_for(backups);
        world.expect(Command::Import { slot: Slot::Backup, token: new_token(2), made_at: None });
        world.policy = policy;
        world.wait(DAY * 10);
        world.expect(Command::Grant { methods: methods(&["PUT"]), lifetimes: None });
        assert_eq!(world.tokens(), [Some(2), None, None]);
        assert_eq!(world.account.primary().unwrap().expires_at, Some(START + DAY * end));
    }
}

#[test]
fn a_promoted_backup_that_is_the_backup_again_lives_no_longer_by_that() {
    let policy = tokens_live_for(10).backup_lifetime(DAY * 6).unwrap();
    let mut world = World { policy, ..World::granted() };
    world.expect(Command::Issue { token: new_token(1) });
    world.wait(DAY * 5);
    world.expect(Command::Import { slot: Slot::Backup, token: new_token(2), made_at: None });
    world.wait(DAY * 5);
    world.generate().unwrap();
    world.confirm(3).unwrap();
    assert_eq!(world.tokens(), [Some(3), Some(2), None]);
    assert_eq!(world.account.backup().unwrap().expires_at, Some(START + DAY * 11));
}

#[test]
fn an_account_is_shown_as_the_next_command_finds_it() {
    let world = backup_lives_on();
    let facts = Facts::new(world.now, &world.policy);
    let (shown, events) = retire_expired(&world.account, &facts);
    assert_eq!(events, [expired(1, START + DAY * 10, Some(2))]);
    assert_eq!(shown.primary().map(|token| token.id), Some(id(2)));
    assert_eq!(shown.backup(), None);
    assert_eq!(shown.revision(), world.account.revision(), "nothing has changed yet");
    let before = Facts::new(START + (DAY * 10 - MILLISECOND), &world.policy);
    let (shown, events) = retire_expired(&world.account, &before);
    assert_eq!((&*shown, events), (&world.account, Vec::new()));
}
