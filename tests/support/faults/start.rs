//! A node that starts before its messages can reach it.

use std::time::Duration;

use tower_api_token::authenticate::Authenticator;
use tower_api_token::user::Actor;

use super::Engine;
use super::node::{cache, decide, eventually};
use super::world::World;
use crate::relay::{Mode, Relay};

/// Nothing is answered from memory before a heartbeat has come back: each
/// request asks the store, and a revocation holds for the next one.
pub(crate) async fn a_node_starts_without_its_feed<E: Engine>(engine: E) {
    let world = World::start(engine).await;
    let relay = Relay::to(world.engine.address()).await;
    relay.set_listeners(Mode::Cut);
    let cache = cache::<E>(&world.engine.describe(relay.address)).await;
    let node = Authenticator::new(std::sync::Arc::clone(&cache));
    for round in 0..20 {
        let (user, token) = world.holder(&format!("user {round}")).await;
        for _ in 0..3 {
            assert_eq!(decide(&node, token.expose_secret()).await, Ok(()));
        }
        world.manager.revoke_all(&Actor::User, &user).await.expect("it is revoked");
        assert!(decide(&node, token.expose_secret()).await.is_err(), "I8");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let statistics = cache.statistics();
    assert!(!statistics.trusted && statistics.hits == 0, "{statistics:?}");
    relay.set_listeners(Mode::Open);
    eventually("the node trusts its cache", || cache.is_trusted()).await;
}
