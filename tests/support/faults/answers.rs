//! Changes that are made, and whose makers are not told.

use tower_api_token::store::{AccountStore, PageSize};
use tower_api_token::user::Actor;

use super::Engine;
use super::world::{World, generate, manager};
use crate::relay::Relay;

const ROUNDS: usize = 20;

/// A change is written and its answer is lost: the manager reads the account
/// back and reports what is true.
pub(crate) async fn answers_to_changes_are_lost<E: Engine>(engine: E) {
    let world = World::start(engine).await;
    let engine = &*world.engine;
    let direct = E::open(&engine.describe(engine.address())).await;
    let relay = Relay::to(engine.address()).await;
    let cut_off = manager(E::open(&engine.describe(relay.address)).await).await;
    let (actor, (alice, _)) = (Actor::User, world.holder("alice").await);
    for _ in 0..ROUNDS {
        cut_off.revoke_all(&actor, &alice).await.expect("room for a token");
        let generated = generate(&cut_off, &alice).await;
        relay.lose_answer_to(b"primary_confirmed");
        cut_off.confirm(&actor, &alice, &generated.code).await.expect("it was confirmed");
        assert!(!relay.is_armed(), "the answer was lost");
        let account = direct.load(&alice).await.expect("an answer").account.expect("an account");
        assert_eq!(account.primary().map(|primary| primary.id), Some(generated.id));
    }
    let history = direct.history(&alice, None, PageSize::MAX).await.expect("a history").items;
    assert_eq!(history.len(), 2 + ROUNDS * 3, "every change was made once");
}
