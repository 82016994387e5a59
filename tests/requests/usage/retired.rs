//! A retired token that is presented is refused, and its user is told.

use futures_util::FutureExt;
use tower_api_token::audit::{AuditEntry, Event};
use tower_api_token::token::TokenId;
use tower_api_token::user::Actor;

use crate::usage::store::Writing;
use crate::usage::world::{World, at};

fn event(count: u64) -> Event {
    Event::RetiredTokenUsed { id: TokenId::from_u64(1), count }
}

#[test]
fn uses_are_counted_into_one_event_that_names_the_user() {
    let world = World::new();
    for second in 1..=3 {
        assert_eq!(world.use_at(second, &world.retired), 401);
    }
    assert_eq!(world.take_entries(), [], "nothing is emitted by a request");
    world.flush();
    let entries = world.take_entries();
    let [AuditEntry { user, revision, at: when, actor, event: told, .. }] = &entries[..] else {
        panic!("{entries:?}");
    };
    assert_eq!((user.as_str(), revision.as_u64(), *when), ("alice", 1, at(3)));
    assert!(matches!(actor, Actor::Program(_)));
    assert_eq!(*told, event(3));
    assert_eq!(told.name(), "retired_token_used");
    world.flush();
    assert_eq!(world.take_entries(), []);
    world.use_at(9, &world.retired);
    world.flush();
    assert_eq!(world.take_entries()[0].event, event(1));
}

#[test]
fn it_is_told_although_the_uses_cannot_be_written() {
    let world = World::new();
    world.store.set(Writing::Fails);
    world.use_at(1, &world.primary);
    world.use_at(1, &world.retired);
    world.usage.flush().now_or_never().unwrap().unwrap_err();
    assert_eq!(world.take_entries()[0].event, event(1));
    world.usage.flush().now_or_never().unwrap().unwrap_err();
    assert_eq!(world.take_entries(), [], "told once");
}

#[test]
fn it_is_no_use_of_a_live_token() {
    let world = World::new();
    world.use_at(1, &world.retired);
    world.flush();
    assert_eq!(world.store.take_batches().len(), 0);
}
