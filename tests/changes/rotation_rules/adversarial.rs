//! The adversarial cases of area `rotation` that the rules alone decide, by
//! their ids (see `tests/adversarial`).

use std::time::Duration;

use tower_api_token::account::{Account, Slot};
use tower_api_token::rotation::{Command, RotationError};
use tower_api_token::token::{CodeDigest, ConfirmationCode, Token, TokenDigest, TokenScheme};
use tower_api_token::user::UserId;

use crate::rotation_rules::world::{DAY, MINUTE, SECOND, World, code, id, methods, new_token};

#[test]
fn rotation_001_the_documented_procedure() {
    let mut world = World::active();
    world.generate().unwrap();
    assert_eq!((world.accepted(2), world.accepted(1)), (None, Some(Slot::Primary)));
    world.confirm(2).unwrap();
    assert_eq!((world.accepted(2), world.accepted(1)), (Some(Slot::Primary), Some(Slot::Backup)));
    world.wait(MINUTE);
    world.delete(1).unwrap();
    assert_eq!((world.accepted(2), world.accepted(1)), (Some(Slot::Primary), None));
}

#[test]
fn rotation_003_a_code_that_is_sent_32_times_works_once() {
    let mut world = World::pending();
    let revision = world.account.revision().as_u64();
    let answers: Vec<_> = (0..32).map(|_| world.confirm(2)).collect();
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    let again = Err(RotationError::AlreadyConfirmed { id: id(2) });
    assert!(answers[1..].iter().all(|answer| *answer == again));
    assert_eq!(world.tokens(), [Some(2), Some(1), None]);
    assert_eq!(world.account.revision().as_u64(), revision + 1);
}

#[test]
fn rotation_004_the_last_of_32_generated_tokens_can_be_confirmed() {
    let mut world = World::active();
    for _ in 0..32 {
        world.generate().unwrap();
    }
    let confirmed = (2..=33).filter(|&number| world.confirm(number).is_ok());
    assert_eq!(confirmed.collect::<Vec<_>>(), [33]);
    assert_eq!(world.tokens(), [Some(33), Some(1), None]);
}

#[test]
fn rotation_005_an_older_code_is_dead_once_a_newer_token_waits() {
    let mut world = World::active();
    world.generate().unwrap();
    world.generate().unwrap();
    assert_eq!(world.confirm(2), Err(RotationError::UnknownCode));
    assert_eq!(world.accepted(2), None);
    world.confirm(3).unwrap();
    assert_eq!(world.accepted(3), Some(Slot::Primary));
}

#[test]
fn rotation_007_no_second_rotation_while_a_backup_exists() {
    let mut world = World::dual();
    assert_eq!(world.generate(), Err(RotationError::BackupExists { id: id(1) }));
    assert_eq!(world.generate_replacing(Some(id(2))), Err(RotationError::Stale));
    assert_eq!(world.tokens(), [Some(2), Some(1), None]);
}

#[test]
fn rotation_008_a_backup_is_deleted_once() {
    let mut world = World::dual();
    world.wait(MINUTE);
    let answers = [world.delete(1).is_ok(), world.delete(1) == Err(RotationError::AlreadyDone)];
    assert_eq!(answers, [true; 2]);
}

#[test]
fn rotation_009_delete_and_roll_back_never_empty_both_slots() {
    let delete = Command::DeleteBackup { id: id(1), even_if_in_use: true };
    let roll_back = Command::RollBack { give_up: id(2), even_if_in_use: true };
    let mut deleted = World::dual();
    deleted.expect(delete.clone());
    assert_eq!(deleted.apply(roll_back.clone()), Err(RotationError::NoLiveBackup));
    assert_eq!(deleted.accepted(2), Some(Slot::Primary));
    let mut rolled_back = World::dual();
    rolled_back.expect(roll_back);
    assert_eq!(rolled_back.apply(delete), Err(RotationError::Stale));
    assert_eq!(rolled_back.accepted(1), Some(Slot::Primary));
}

#[test]
fn rotation_010_roll_back_needs_the_old_token_only() {
    let mut world = World::dual();
    world.wait(MINUTE);
    world.roll_back(2).unwrap();
    assert_eq!((world.accepted(1), world.accepted(2)), (Some(Slot::Primary), None));
}

#[test]
fn rotation_011_a_lost_answer_costs_nothing() {
    let mut world = World::pending();
    assert_eq!(world.accepted(1), Some(Slot::Primary));
    world.generate().unwrap();
    world.confirm(3).unwrap();
    assert_eq!(world.tokens(), [Some(3), Some(1), None]);
}

#[test]
fn rotation_013_a_code_is_valid_to_its_last_second() {
    let mut world = World::pending();
    world.wait(10 * MINUTE - SECOND);
    world.confirm(2).unwrap();
}

#[test]
fn rotation_014_a_code_is_dead_at_its_end() {
    let mut world = World::pending();
    world.wait(10 * MINUTE);
    assert_eq!(world.confirm(2), Err(RotationError::ExpiredCode));
    assert_eq!((world.accepted(2), world.accepted(1)), (None, Some(Slot::Primary)));
}

/// The text of a code, and a world in which it activates token 2.
fn with_a_real_code() -> (ConfirmationCode, World) {
    let code = ConfirmationCode::parse(&format!("tac_{}", "Ab1".repeat(11).split_at(32).0));
    let code = code.unwrap();
    let mut world = World::active();
    let digest = code.digest(world.account.user());
    let token = new_token(2);
    world.expect(Command::GeneratePrimary { token, code: digest, replacing_backup: None });
    (code, world)
}

#[test]
fn rotation_018_a_code_is_bound_to_its_user() {
    let (code, mut world) = with_a_real_code();
    let bob = UserId::new("bob").unwrap();
    let mut of_bob = World { account: Account::absent(bob.clone()), ..World::absent() };
    of_bob.expect(Command::Grant { methods: methods(&["GET"]), lifetimes: None });
    of_bob.generate().unwrap();
    for (world, user) in [(&mut of_bob, bob.clone()), (&mut world, bob)] {
        let confirm = Command::Confirm { code: code.digest(&user) };
        assert_eq!(world.apply(confirm), Err(RotationError::UnknownCode));
    }
    let alice = world.account.user().clone();
    world.expect(Command::Confirm { code: code.digest(&alice) });
}

#[test]
fn rotation_019_guesses_change_nothing() {
    let (code, mut world) = with_a_real_code();
    let user = world.account.user().clone();
    let before = world.account.clone();
    for place in 4..36 {
        let mut guess = code.expose_secret().as_bytes().to_vec();
        guess[place] = if guess[place] == b'x' { b'y' } else { b'x' };
        let guess = ConfirmationCode::parse(std::str::from_utf8(&guess).unwrap()).unwrap();
        let confirm = Command::Confirm { code: guess.digest(&user) };
        assert_eq!(world.apply(confirm), Err(RotationError::UnknownCode));
    }
    assert_eq!(world.account, before);
}

#[test]
fn rotation_020_secrets_have_one_purpose() {
    let (code, mut world) = with_a_real_code();
    let user = world.account.user().clone();
    // The code as a token.
    let scheme = TokenScheme::default().accept_foreign_tokens(true);
    let as_token = scheme.digest(&Token::parse(code.expose_secret()).unwrap());
    assert_eq!(world.account.place_of(&as_token.digest), None);
    // A token's own digest as that of a code, and the reverse.
    let digests: Vec<TokenDigest> = world.account.digests().map(|stored| stored.digest).collect();
    for digest in digests {
        let code = CodeDigest::from_bytes(*digest.as_bytes());
        assert_eq!(world.apply(Command::Confirm { code }), Err(RotationError::UnknownCode));
    }
    let as_digest = TokenDigest::from_bytes(*code.digest(&user).as_bytes());
    assert_eq!(world.account.place_of(&as_digest), None);
    // A token's text as a code.
    assert!(ConfirmationCode::parse("tat_0123456789abcdefghijABCDEFGHIJ0123456789ab").is_none());
}

#[test]
fn rotation_027_a_generator_that_repeats_itself_is_refused() {
    for number in [1, 2] {
        let mut world = World::pending();
        let token = new_token(number);
        let generate = Command::GeneratePrimary { token, code: code(9), replacing_backup: None };
        assert_eq!(world.apply(generate), Err(RotationError::DigestInUse));
        assert_eq!(world.tokens(), [Some(1), None, Some(2)]);
    }
}

#[test]
fn rotation_031_a_new_address_kills_the_code_by_a_cancellation() {
    let mut world = World::pending();
    world.cancel(2).unwrap();
    assert_eq!(world.confirm(2), Err(RotationError::UnknownCode));
    assert_eq!((world.accepted(1), world.accepted(2)), (Some(Slot::Primary), None));
}

#[test]
fn rotation_032_grants_belong_to_the_user() {
    let mut world = World::pending();
    world.expect(Command::Grant { methods: methods(&["POST"]), lifetimes: None });
    world.confirm(2).unwrap();
    assert!(world.account.methods().allows("POST") && !world.account.methods().allows("GET"));
}

#[test]
fn rotation_034_a_code_is_not_sent_again_at_once() {
    let mut world = World::pending();
    let mut sent = 0;
    for _ in 0..100 {
        world.wait(Duration::from_millis(600));
        sent += usize::from(world.resend(2, 5).is_ok());
    }
    assert_eq!(sent, 1, "in a minute");
    world.wait(DAY * 2);
    assert_eq!(world.resend(2, 5), Err(RotationError::ExpiredCode));
}

#[test]
fn rotation_035_a_client_that_follows_the_procedure_is_always_accepted() {
    let mut world = World::active();
    let mut held = 1;
    for _ in 0..50 {
        world.generate().unwrap();
        assert!(world.accepted(held).is_some());
        let new = world.tokens()[2].unwrap();
        world.confirm(new).unwrap();
        assert!(world.accepted(held).is_some() && world.accepted(new).is_some());
        let old = std::mem::replace(&mut held, new);
        world.wait(DAY);
        world.delete(old).unwrap();
        assert!(world.accepted(held).is_some());
    }
}

#[test]
fn rotation_036_nothing_tells_an_old_token_from_an_unknown_one() {
    let mut world = World::dual();
    world.wait(MINUTE);
    world.delete(1).unwrap();
    assert_eq!((world.accepted(1), world.accepted(99)), (None, None));
}
