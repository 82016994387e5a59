//! `PostgresStore` on a real server.

#[cfg(feature = "conformance")]
mod conformance;
#[path = "../support/postgres.rs"]
mod postgres;
mod sample;
mod schema;
#[path = "../support/server.rs"]
mod server;
