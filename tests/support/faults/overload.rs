//! A server that answers no more, while requests go on coming.

use tokio::task::block_in_place;

use super::child::ChildNode;
use super::world::World;
use super::{BOUND, Engine};

const REQUESTS: usize = 5_000;

/// I9 on a node whose server hangs: each request is answered 503 within the
/// time limit, and neither tasks nor memory grow with their number. Needs a
/// runtime with several threads.
pub(crate) async fn the_server_hangs_under_load<E: Engine>(engine: E) {
    let world = World::start(engine).await;
    let (_, token) = world.holder("alice").await;
    let mut node = block_in_place(|| ChildNode::start(&*world.engine));
    assert_eq!(block_in_place(|| node.decide(&token)), "Ok(())");
    block_in_place(|| world.engine.freeze(true));
    tokio::time::sleep(2 * BOUND).await;
    assert_eq!(block_in_place(|| node.decide(&token)), "Err(StoreUnavailable)");
    let mut weights = Vec::new();
    for _ in 0..6 {
        let flood = block_in_place(|| node.flood(REQUESTS));
        println!("{flood:?}, then {} bytes", node.memory());
        assert_eq!((flood.refused, flood.unavailable), (0, REQUESTS));
        assert!(flood.tasks < 64, "{flood:?}");
        weights.push(node.memory());
    }
    // The first ones make the room that the others use again.
    assert!(weights[5] < weights[1] + (4 << 20), "{weights:?}");
    block_in_place(|| world.engine.freeze(false));
    let mut decisions = 0;
    while block_in_place(|| node.decide(&token)) != "Ok(())" {
        decisions += 1;
        assert!(decisions < 10_000, "the token works again");
    }
    let flood = block_in_place(|| node.flood(100));
    assert_eq!(flood.refused + flood.unavailable, 100);
}
