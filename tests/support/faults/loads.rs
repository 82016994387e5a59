//! A look-up that has read the old state when a revocation passes.

use std::sync::Arc;

use tower_api_token::denial::DenialKind;
use tower_api_token::user::Actor;

use super::Engine;
use super::node::eventually;
use super::world::World;
use crate::relay::Mode;

const ROUNDS: usize = 10;

/// I8 where the answer to a look-up is still on its way when the node hears of
/// the change: it is given to whoever asked before, and not remembered.
pub(crate) async fn a_load_is_overtaken_by_a_revocation<E: Engine>(engine: E) {
    let world = World::start(engine).await;
    let node = world.node().await;
    let (mut rounds, mut overtaken) = (0, 0);
    while overtaken < ROUNDS {
        rounds += 1;
        assert!(rounds < 20 * ROUNDS, "answers come too late to be any");
        let (user, token) = world.holder(&format!("user {rounds}")).await;
        node.is_trusted().await;
        node.relay.set_others(Mode::AnswersHeld);
        let held = node.relay.held();
        let early = tokio::spawn({
            let (node, token) = (Arc::clone(&node), token.clone());
            async move { node.decide(&token).await }
        });
        eventually("the row is read", || node.relay.held() > held).await;
        let heard = node.cache.statistics().invalidations;
        world.manager.revoke_all(&Actor::User, &user).await.expect("it is revoked");
        let hears = || node.cache.statistics().invalidations > heard;
        eventually("the node hears of the change", hears).await;
        node.relay.set_others(Mode::Open);
        // It may have taken too long.
        overtaken += usize::from(early.await.expect("an answer") == Ok(()));
        let late = node.decide(&token).await;
        assert!(late.is_err(), "I8: a look-up that came before the change was remembered");
        assert!(
            matches!(late, Err(DenialKind::InvalidToken | DenialKind::StoreUnavailable)),
            "I9: {late:?}"
        );
    }
}
