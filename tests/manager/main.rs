//! The manager against a store, with a clock that stands still, a store that
//! can be made to fail and a notifier that keeps what it is given.
//!
//! A test whose name begins with `rotation_`, `store_` or `log_` and a number
//! is the adversarial case of that id.

#[macro_use]
mod world;

mod clocks;
mod crashes;
mod each_event;
mod faults;
mod guards;
mod imports;
mod many;
mod notifiers;
mod peppers;
mod procedure;
mod races;
#[cfg(feature = "reveal")]
mod reveal;
mod secrets;
mod sends;
mod store;
mod views;
