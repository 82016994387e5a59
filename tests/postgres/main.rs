//! What is particular to `PostgresStore`, on a real server: its tables, its
//! transactions, its listener, and what becomes of them when things break. What
//! every store does is the conformance suite's.
//!
//! A test whose name begins with `cache_`, `store_` or `rotation_` and a number
//! is the adversarial case of that id.

#[path = "../support/build.rs"]
mod build;
mod cancel;
mod change;
#[cfg(feature = "conformance")]
mod conformance;
mod engine;
#[path = "../support/faults.rs"]
mod faults;
mod feed;
mod hang;
mod kinds;
mod large_changes;
mod log;
#[path = "../support/neighbours.rs"]
mod neighbours;
mod node;
#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/relay.rs"]
mod relay;
#[path = "../support/replaced.rs"]
mod replaced;
mod replaced_database;
#[path = "../support/rotation.rs"]
mod rotation;
mod sample;
mod schema;
#[path = "../support/server.rs"]
mod server;
mod tls;
#[path = "../support/watch.rs"]
mod watch;

/// Serves as a node where a scenario has started this program as one.
#[test]
fn node_process() {
    faults::serve_if_told::<engine::Postgres>();
}
