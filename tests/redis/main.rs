//! What is particular to `RedisStore`, on a real server: its keys, its scripts,
//! its listener, and what becomes of them when things break. What every store
//! does is the conformance suite's.
//!
//! A test whose name begins with `cache_`, `store_` or `rotation_` and a number
//! is the adversarial case of that id.

mod conformance;
#[path = "../support/redis.rs"]
mod redis_server;
#[path = "../support/relay.rs"]
mod relay;
#[path = "../support/server.rs"]
mod server;
