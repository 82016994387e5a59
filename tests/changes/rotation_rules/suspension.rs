//! Access that is suspended, and resumed.

use tower_api_token::account::{Lifetimes, Slot};
use tower_api_token::audit::Event;
use tower_api_token::rotation::{Command, Policy, RotationError};

use crate::rotation_rules::notices::{announce, due};
use crate::rotation_rules::world::{DAY, START, World, code, id, methods, new_token};

const DONE: Result<Event, RotationError> = Err(RotationError::AlreadyDone);
const SUSPENDED: Result<Event, RotationError> = Err(RotationError::Suspended);

fn suspended(mut world: World) -> World {
    assert_eq!(world.expect(Command::Suspend), Event::AccessSuspended);
    world
}

#[test]
fn access_is_suspended_and_resumed_once() {
    assert_eq!(World::absent().apply(Command::Suspend), Err(RotationError::NoAccess));
    let before = World::dual();
    let mut world = suspended(before.clone());
    assert_eq!(world.account.suspended_since(), Some(world.now));
    world.wait(DAY);
    assert_eq!(world.apply(Command::Suspend), DONE);
    assert_eq!(world.expect(Command::Resume), Event::AccessResumed);
    assert_eq!(world.apply(Command::Resume), DONE);
    assert_eq!(world.account.suspended_since(), None);
    assert_eq!(world.tokens(), before.tokens());
    assert_eq!(world.account.methods(), before.account.methods());
}

#[test]
fn while_suspended_no_token_is_made_confirmed_or_shown() {
    let mut world = suspended(World::pending());
    world.wait(DAY / 24);
    let before = world.account.clone();
    let (token, made_at) = (new_token(90), None);
    let generate = |replacing_backup| Command::GeneratePrimary {
        token: new_token(90),
        code: code(90),
        replacing_backup,
    };
    for command in [
        generate(None),
        generate(Some(id(7))),
        Command::ResendConfirmation { id: id(2), code: code(91) },
        Command::Confirm { code: code(2) },
        Command::Issue { token: token.clone() },
        Command::Import { slot: Slot::Primary, token: token.clone(), made_at },
        Command::Import { slot: Slot::Backup, token, made_at },
        Command::Reveal { id: id(1) },
    ] {
        assert_eq!(world.apply(command.clone()), SUSPENDED, "{command:?}");
        assert_eq!(world.account, before);
    }
    assert_eq!(world.confirm(99), Err(RotationError::UnknownCode), "a code is looked at first");
    world.expect(Command::Resume);
    world.resend(2, 9).unwrap();
    world.confirm(9).unwrap();
}

#[test]
fn while_suspended_every_token_can_be_ended() {
    let end = |token| Command::EndToken { id: id(token) };
    let even_if_in_use = true;
    for (world, command, left) in [
        (World::pending(), Command::CancelPending { id: id(2) }, [Some(1), None, None]),
        (World::pending(), end(2), [Some(1), None, None]),
        (World::dual(), end(1), [Some(2), None, None]),
        (World::dual(), end(2), [Some(1), None, None]),
        (World::dual(), Command::DeleteBackup { id: id(1), even_if_in_use }, [Some(2), None, None]),
        (
            World::dual(),
            Command::RollBack { give_up: id(2), even_if_in_use },
            [Some(1), None, None],
        ),
        (World::dual(), Command::RevokeAll, [None; 3]),
        (World::dual(), Command::RevokeAccess, [None; 3]),
    ] {
        let mut world = suspended(world);
        world.expect(command.clone());
        assert_eq!(world.tokens(), left, "{command:?}");
        assert!(world.account.suspended_since().is_some(), "{command:?}");
    }
}

#[test]
fn revoking_access_keeps_the_suspension_and_drops_the_lifetimes() {
    let mut world = World::active();
    let lifetimes = Lifetimes { token: Some(DAY * 90), backup: Some(DAY) };
    let grant = |lifetimes| Command::Grant { methods: methods(&["GET"]), lifetimes };
    world.expect(grant(Some(lifetimes)));
    assert_eq!(world.account.lifetimes(), lifetimes);
    let mut world = suspended(world);
    world.expect(Command::RevokeAccess);
    assert_eq!(world.account.lifetimes(), Lifetimes::default());
    assert_eq!(world.account.suspended_since(), Some(START));
    world.expect(grant(None));
    assert_eq!(world.apply(Command::Issue { token: new_token(5) }), SUSPENDED);
    world.expect(Command::Resume);
    world.expect(Command::Issue { token: new_token(5) });
    assert_eq!(world.account.primary().unwrap().expires_at, None);
}

#[test]
fn time_suspended_does_not_count_for_a_token_that_nobody_uses() {
    let policy = Policy::default().unused_lifetime(DAY * 60).unwrap();
    let mut world = World::active_under(policy);
    world.wait(DAY * 20);
    let mut world = suspended(world);
    assert_eq!(due(&world), None, "nobody can use it");
    world.wait(DAY * 500);
    assert_eq!(announce(&mut world, 1), DONE);
    world.expect(Command::Resume);
    assert_eq!(due(&world), Some(START + DAY * 530), "after ten days more");
    world.wait(DAY * 10);
    let (expires_at, notice) = (START + DAY * 560, DAY * 30);
    let event = Event::ExpiryAnnounced { id: id(1), expires_at, notice, unless_used: true };
    assert_eq!(announce(&mut world, 1), Ok(event));
    let mut world = suspended(world);
    assert_eq!(world.account.primary().unwrap().expires_at, None, "its end is gone");
    world.wait(DAY * 100);
    world.expect(Command::Resume);
    assert_eq!(due(&world), Some(world.now), "thirty days are over, and its user is told again");
}

#[test]
fn a_lifetime_goes_on_while_access_is_suspended() {
    let policy = Policy::default().token_lifetime(DAY * 100).unwrap();
    let mut world = suspended(World::active_under(policy));
    world.wait(DAY * 70);
    assert_eq!(due(&world), Some(world.now));
    assert!(announce(&mut world, 1).is_ok(), "its user is told, too");
    world.wait(DAY * 30);
    world.expect(Command::Resume);
    assert_eq!(world.tokens(), [None; 3], "what ran out meanwhile is gone");
}
