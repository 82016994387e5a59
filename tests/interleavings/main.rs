//! The interleavings of what is read without a lock, explored with `shuttle`.
//!
//! What is compiled here is the stores' own code: what it imports from the rest
//! of the crate stands below, and only its locks, atomics, clocks and maps are
//! replaced by those of the exploring scheduler. A program of its own, since that
//! code finds at the root of this one what it finds at the crate's.

#[cfg(feature = "cache")]
mod cached;
mod memory;

#[expect(dead_code, unused_imports, reason = "shared with tests that act in more ways")]
#[path = "../support/model.rs"]
mod model;
#[path = "../support/explore.rs"]
mod schedules;

use tower_api_token::{account, audit, store, time, token, user};
