//! The manager against a store, with a clock that stands still, a store that
//! can be made to fail and a notifier that keeps what it is given.
//!
//! A test whose name begins with `rotation_`, `store_` or `log_` and a number
//! is the adversarial case of that id.

#[macro_use]
mod world;

#[cfg(all(
    feature = "portal",
    feature = "postgres",
    feature = "redis",
    feature = "reveal",
    feature = "sqlite"
))]
mod batches;
#[cfg(feature = "sqlite")]
mod bootstrap;
mod clocks;
mod crashes;
#[cfg(feature = "tokio")]
mod doubt;
mod each_event;
mod erasing;
mod expiry;
mod faults;
mod guards;
#[cfg(all(
    feature = "portal",
    feature = "postgres",
    feature = "redis",
    feature = "reveal",
    feature = "sqlite"
))]
mod hang_ups;
mod imports;
#[cfg(all(feature = "cache", feature = "metrics"))]
mod late;
mod many;
mod nightly;
mod notifiers;
mod panics;
mod peppers;
#[cfg(all(
    feature = "portal",
    feature = "postgres",
    feature = "redis",
    feature = "reveal",
    feature = "sqlite"
))]
#[expect(dead_code, reason = "these tests only need a server that runs")]
#[path = "../support/postgres.rs"]
mod postgres;
mod procedure;
mod races;
#[cfg(all(
    feature = "portal",
    feature = "postgres",
    feature = "redis",
    feature = "reveal",
    feature = "sqlite"
))]
#[expect(dead_code, reason = "these tests only need a server that runs")]
#[path = "../support/redis.rs"]
mod redis_server;
#[cfg(feature = "reveal")]
mod reveal;
mod sealers;
mod secrets;
mod sends;
#[cfg(all(
    feature = "portal",
    feature = "postgres",
    feature = "redis",
    feature = "reveal",
    feature = "sqlite"
))]
#[path = "../support/server.rs"]
mod server;
mod store;
#[cfg(all(
    feature = "portal",
    feature = "postgres",
    feature = "redis",
    feature = "reveal",
    feature = "sqlite"
))]
mod stores;
mod views;
