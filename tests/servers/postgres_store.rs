//! What is particular to `PostgresStore`, on a real server: its tables, its
//! transactions, its listener, and what becomes of them when things break. What
//! every store does is the conformance suite's.
//!
//! A test whose name begins with `cache_`, `store_` or `rotation_` and a number
//! is the adversarial case of that id (see `tests/adversarial`).

mod audit;
mod cancel;
mod change;
mod conformance;
mod engine;
mod feed;
mod hang;
mod kinds;
mod large_changes;
mod log;
mod node;
mod replaced_database;
mod schema;
mod tls;

/// Serves as a node where a scenario has started this program as one.
#[test]
fn node_process() {
    crate::faults::serve_if_told::<engine::Postgres>();
}
