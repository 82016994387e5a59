//! What is particular to `RedisStore`, on a real server: its keys, its scripts,
//! its listener, and what becomes of them when things break. What every store
//! does is the conformance suite's.
//!
//! A test whose name begins with `cache_`, `store_` or `rotation_` and a number
//! is the adversarial case of that id.

mod cancel;
mod cluster;
mod conformance;
mod failover;
mod feed;
#[path = "../support/generated.rs"]
mod generated;
mod keys;
mod loss;
mod open;
#[path = "../support/redis.rs"]
mod redis_server;
#[path = "../support/relay.rs"]
mod relay;
mod replicas;
#[path = "../postgres/sample.rs"]
mod sample;
#[path = "../support/secret.rs"]
mod secret;
#[path = "../support/server.rs"]
mod server;
#[path = "../support/watch.rs"]
mod watch;
