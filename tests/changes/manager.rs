//! The manager against a store, with a clock that stands still, a store that
//! can be made to fail and a notifier that keeps what it is given.
//!
//! A test whose name begins with `rotation_`, `store_` or `log_` and a number
//! is the adversarial case of that id (see `tests/adversarial`).

#[macro_use]
pub(crate) mod world;

#[cfg(feature = "sqlite")]
mod bootstrap;
mod clocks;
mod crashes;
#[cfg(feature = "tokio")]
mod doubt;
mod due;
mod each_event;
mod erasing;
mod expiry;
mod faults;
mod filter;
mod guards;
mod imports;
#[cfg(all(feature = "cache", feature = "metrics"))]
mod late;
mod many;
mod nightly;
mod notifiers;
mod panics;
mod passes;
mod peppers;
mod procedure;
mod races;
#[cfg(feature = "reveal")]
mod reveal;
mod sealers;
mod secrets;
mod sends;
pub(crate) mod store;
#[cfg(all(
    feature = "portal",
    feature = "postgres",
    feature = "redis",
    feature = "reveal",
    feature = "sqlite"
))]
mod stores;
mod views;
