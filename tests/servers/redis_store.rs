//! What is particular to `RedisStore`, on a real server: its keys, its scripts,
//! its listener, and what becomes of them when things break. What every store
//! does is the conformance suite's.
//!
//! A test whose name begins with `cache_`, `store_` or `rotation_` and a number
//! is the adversarial case of that id (see `tests/adversarial`).

mod cancel;
mod cluster;
mod conformance;
mod engine;
mod failover;
mod feed;
mod former;
mod hang;
mod keys;
mod large_changes;
mod log;
mod loss;
mod node;
mod open;
mod replaced_server;
mod replicas;

/// Serves as a node where a scenario has started this program as one.
#[test]
fn node_process() {
    crate::faults::serve_if_told::<engine::Redis>();
}
