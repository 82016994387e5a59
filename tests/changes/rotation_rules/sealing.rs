//! Where the sealed bytes of a token go: with the token, and no further than to
//! its end.

use tower_api_token::account::{Account, Slot};
use tower_api_token::audit::Event;
use tower_api_token::rotation::{Command, NewToken};
use tower_api_token::token::SealedToken;

use crate::rotation_rules::world::{World, code, id, methods, new_token};

/// The token of that number, sealed as bytes of that number.
fn sealed(number: u64) -> NewToken {
    let mut token = new_token(number);
    token.sealed = Some(SealedToken::from_bytes([number as u8; 50]));
    token
}

fn generate(world: &mut World, number: u64) {
    let (token, code) = (sealed(number), code(number));
    world.expect(Command::GeneratePrimary { token, code, replacing_backup: None });
}

/// By number, the tokens that are kept sealed: primary, backup, pending.
fn kept(account: &Account) -> [Option<u8>; 3] {
    let pending = account.pending().map(|pending| &pending.token);
    [account.primary(), account.backup(), pending].map(|token| {
        let sealed = token?.sealed.as_ref()?;
        assert_eq!(u64::from(sealed.as_bytes()[0]), token?.id.as_u64(), "it is another token's");
        Some(sealed.as_bytes()[0])
    })
}

fn dual() -> World {
    let mut world = World::granted();
    world.expect(Command::Issue { token: sealed(1) });
    generate(&mut world, 2);
    assert_eq!(kept(&world.account), [Some(1), None, Some(2)]);
    world.confirm(2).unwrap();
    assert_eq!(kept(&world.account), [Some(2), Some(1), None]);
    world
}

#[test]
fn sealed_bytes_follow_their_token_and_end_with_it() {
    let dual = dual();
    let after = |command: Command| {
        let mut world = dual.clone();
        world.expect(command);
        kept(&world.account)
    };
    let even_if_in_use = true;
    assert_eq!(after(Command::DeleteBackup { id: id(1), even_if_in_use }), [Some(2), None, None]);
    assert_eq!(after(Command::RollBack { give_up: id(2), even_if_in_use }), [Some(1), None, None]);
    assert_eq!(after(Command::RevokeAll), [None; 3]);
    assert_eq!(after(Command::RevokeAccess), [None; 3]);
    assert_eq!(
        after(Command::Grant { methods: methods(&["POST"]), lifetimes: None }),
        [Some(2), Some(1), None]
    );
}

#[test]
fn a_pending_token_that_gives_way_is_kept_no_longer() {
    let mut world = World::granted();
    generate(&mut world, 1);
    generate(&mut world, 2);
    assert_eq!(kept(&world.account), [None, None, Some(2)]);
    world.expect(Command::CancelPending { id: id(2) });
    assert_eq!(kept(&world.account), [None; 3]);
}

#[test]
fn an_imported_token_is_kept_as_it_was_sealed() {
    let mut world = World::granted();
    world.expect(Command::Import { slot: Slot::Primary, token: sealed(1), made_at: None });
    world.expect(Command::Import { slot: Slot::Backup, token: sealed(2), made_at: None });
    assert_eq!(kept(&world.account), [Some(1), Some(2), None]);
}

#[test]
fn a_reveal_changes_nothing_but_the_revision() {
    let mut world = dual();
    generate_replacing(&mut world);
    for number in [1, 2, 3] {
        let before = world.account.clone();
        let event = world.expect(Command::Reveal { id: id(number) });
        assert_eq!(event, Event::TokenRevealed { id: id(number) });
        let (account, revision) = (&world.account, before.revision().as_u64() + 1);
        assert_eq!(account.revision().as_u64(), revision);
        assert_eq!(account.primary(), before.primary());
        assert_eq!(account.backup(), before.backup());
        assert_eq!(account.pending(), before.pending());
        assert_eq!(account.retired(), before.retired());
        assert_eq!(account.next_token(), before.next_token());
    }
}

fn generate_replacing(world: &mut World) {
    let (token, code, replacing_backup) = (sealed(3), code(3), Some(id(1)));
    world.expect(Command::GeneratePrimary { token, code, replacing_backup });
}
