//! Networks that break between a node and its server, and heal.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::revocation::Revocation;
use super::world::World;
use super::{BOUND, Engine, Node};
use crate::relay::{Mode, Relay};
use crate::rotation::Rotation;

const BROKEN: [Mode; 3] = [Mode::Cut, Mode::HalfOpen, Mode::AnswersHeld];
const ROUNDS: usize = 3;

/// I8 and I9 on a node that is cut off while a token is revoked, completely or
/// from the messages only, and after it has been reached again.
pub(crate) async fn networks_break<E: Engine>(engine: E) {
    let world = &World::start(engine).await;
    let all = BROKEN.map(|mode| (Relay::set as fn(&Relay, Mode), mode, "all"));
    let listeners =
        BROKEN.map(|mode| (Relay::set_listeners as fn(&Relay, Mode), mode, "listeners"));
    join_all(all.into_iter().chain(listeners).map(async |(set, mode, which)| {
        let node = world.node().await;
        for round in 0..ROUNDS {
            let name = format!("{which} {mode:?} {round}");
            let mut revocation = Revocation::prepare(world, &node, &name).await;
            set(&node.relay, mode);
            revocation.revoke().await;
            revocation.wait_until(2 * BOUND).await;
            set(&node.relay, Mode::Open);
            node.is_trusted().await;
            let seen = revocation.end().await;
            println!("{name}: {seen:?}");
            assert!(which == "listeners" || seen.unavailable > 0, "the network was broken");
            // Not told of the change, the node went by what it remembered.
            assert!(mode == Mode::Cut || seen.stale > Duration::ZERO, "it must be able to fail");
        }
    }))
    .await;
}

/// I1, I3, I5, I8 and I9 for a user who rotates by the procedure on one node
/// while the network of another breaks, on which the client is.
pub(crate) async fn a_client_rotates_over_a_broken_network<E: Engine>(engine: E) {
    let node = Node::start(&engine).await;
    let store = Arc::new(E::open(&engine.describe(engine.address())).await);
    let mut rotation = Rotation::start(store, Arc::clone(&node.cache), BOUND).await;
    for round in 0..12 {
        rotation.done(15).await;
        // However fast those were.
        rotation.served(20).await;
        node.relay.set(BROKEN[round % BROKEN.len()]);
        // Shorter than the bound, about as long, and longer.
        tokio::time::sleep(BOUND * (1 + round as u32 / 3) / 2 + Duration::from_millis(7)).await;
        node.relay.set(Mode::Open);
    }
    rotation.done(3).await;
    let requests = rotation.stop().await;
    println!("{requests:?}");
    assert_eq!(requests.violations, Vec::<String>::new());
    assert!(requests.served > 200 && requests.unavailable > 20, "{requests:?}");
}
