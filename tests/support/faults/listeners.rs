//! Listeners whose connections are broken by the server.

use super::Engine;
use super::revocation::Revocation;
use super::world::World;
use crate::relay::Mode;

/// I8 where the connection that waits for messages is broken, and the change
/// falls into the gap: by chance in one half of the rounds, and for certain in
/// the other.
pub(crate) async fn listeners_are_ended<E: Engine>(engine: E) {
    let world = World::start(engine).await;
    let node = world.node().await;
    for round in 0..10 {
        let mut revocation = Revocation::prepare(&world, &node, &format!("round {round}")).await;
        if round % 2 == 0 {
            world.engine.end_listeners().await;
            revocation.revoke().await;
        } else {
            node.relay.set_listeners(Mode::Cut);
            world.engine.end_listeners().await;
            revocation.revoke().await;
            node.relay.set_listeners(Mode::Open);
        }
        let seen = revocation.end().await;
        println!("round {round}: {seen:?}");
        node.is_trusted().await;
    }
}
