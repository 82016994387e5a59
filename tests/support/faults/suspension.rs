//! Processes that are stopped, and go on much later.

use tokio::task::block_in_place;
use tower_api_token::user::Actor;

use super::child::ChildNode;
use super::world::World;
use super::{BOUND, Engine};

const NODES: usize = 4;

/// I8 for a process that was stopped for ten times the bound, during which a
/// token was revoked: its first answer is right. Needs a runtime with several
/// threads.
pub(crate) async fn nodes_are_suspended<E: Engine>(engine: E) {
    let world = World::start(engine).await;
    let mut nodes = Vec::new();
    for number in 0..NODES {
        let holder = world.holder(&format!("user {number}")).await;
        let mut node = block_in_place(|| ChildNode::start(&*world.engine));
        for _ in 0..50 {
            assert_eq!(block_in_place(|| node.decide(&holder.1)), "Ok(())");
        }
        nodes.push((node, holder));
    }
    // So that it is fresh in memory when they are stopped.
    for (node, (_, token)) in &mut nodes {
        assert_eq!(block_in_place(|| node.decide(token)), "Ok(())");
        block_in_place(|| node.suspend(true));
    }
    for (_, (user, _)) in &nodes {
        world.manager.revoke_all(&Actor::User, user).await.expect("it is revoked");
    }
    tokio::time::sleep(BOUND * 10).await;
    for (node, (_, token)) in &mut nodes {
        // It waits when the process goes on.
        node.tell(&format!("decide {}", token.expose_secret()));
        block_in_place(|| node.suspend(false));
        assert_eq!(block_in_place(|| node.answer()), "Err(InvalidToken)");
    }
}
