//! The lock and the atomics of the cache's core.
//!
//! The core takes them from here, and its time from [`clock`](super::clock), so
//! that the test of its interleavings compiles the same files over the lock and
//! the atomics of an exploring scheduler.

pub(super) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
pub(super) use std::sync::{Mutex, MutexGuard, PoisonError};
