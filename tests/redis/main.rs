//! What is particular to `RedisStore`, on a real server: its keys, its scripts,
//! its listener, and what becomes of them when things break. What every store
//! does is the conformance suite's.
//!
//! A test whose name begins with `cache_`, `store_` or `rotation_` and a number
//! is the adversarial case of that id.

mod cancel;
mod cluster;
mod conformance;
mod engine;
mod failover;
#[path = "../support/faults.rs"]
mod faults;
mod feed;
mod hang;
mod keys;
mod large_changes;
mod loss;
#[path = "../support/neighbours.rs"]
mod neighbours;
mod node;
mod open;
#[path = "../support/redis.rs"]
mod redis_server;
#[path = "../support/relay.rs"]
mod relay;
#[path = "../support/replaced.rs"]
mod replaced;
mod replaced_server;
mod replicas;
#[path = "../support/rotation.rs"]
mod rotation;
#[path = "../postgres/sample.rs"]
mod sample;
#[expect(dead_code, reason = "what a server needs that starts processes of its own")]
#[path = "../support/server.rs"]
mod server;
#[path = "../support/watch.rs"]
mod watch;

/// Serves as a node where a scenario has started this program as one.
#[test]
fn node_process() {
    faults::serve_if_told::<engine::Redis>();
}
