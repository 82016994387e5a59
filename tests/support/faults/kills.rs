//! A server that is killed and started again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::block_in_place;

use super::{BOUND, Engine, Node};
use crate::relay::{Mode, Relay};
use crate::rotation::Rotation;

const KILLS: u32 = 100;

/// I1, I3, I5, I6 and I8 while the server is killed during rotations; what was
/// acknowledged is kept. Needs a runtime with several threads.
pub(crate) async fn the_server_is_killed_during_rotations<E: Engine>(engine: E) {
    let node = Node::start(&engine).await;
    // On a slow network most of an operation is on its way: to the server, or
    // back with the news of its commit.
    let relay = Relay::slow(engine.address(), Duration::from_millis(5)).await;
    let store = Arc::new(E::open(&engine.describe(relay.address)).await);
    let mut rotation = Rotation::start(store, Arc::clone(&node.cache), BOUND).await;
    let (start, mut cut_off) = (Instant::now(), 0);
    // How late in an operation the latest kills come: as late as they can on
    // this machine without coming after its end.
    let mut latest = 0.8_f64;
    for kill in 0..KILLS {
        rotation.done(2).await;
        let part = latest * f64::from(kill % 10) / 9.0;
        // What was on its way is lost with the machine.
        let crash = || {
            relay.set(Mode::Cut);
            engine.kill();
        };
        let was_cut_off = rotation.cut_off(part, crash).await;
        cut_off += u32::from(was_cut_off);
        latest = if was_cut_off { (latest * 1.02).min(0.9) } else { latest * 0.7 };
        block_in_place(|| engine.start_again());
        relay.set(Mode::Open);
    }
    rotation.done(3).await;
    let requests = rotation.stop().await;
    println!("{KILLS} kills in {:?}, {cut_off} in flight; {requests:?}", start.elapsed());
    assert!(cut_off >= KILLS * 80 / 100, "{cut_off} of {KILLS} in flight");
    assert_eq!(requests.violations, Vec::<String>::new());
    assert!(requests.served > 500, "{requests:?}");
}
