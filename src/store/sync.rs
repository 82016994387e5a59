//! The lock and the atomics by which requests, changes and tasks meet in memory.
//!
//! The memory store and the cache take them from here, so that the tests of their
//! interleavings compile the same files over those of an exploring scheduler.

#[cfg(feature = "cache")]
pub(super) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
pub(super) use std::sync::{Mutex, MutexGuard, PoisonError};
