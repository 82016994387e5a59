//! What the ledger and its table share between threads, taken from here so that
//! the test of their interleavings compiles the same files over an exploring
//! scheduler's.

pub(super) use std::sync::atomic::{AtomicU64, Ordering};
pub(super) use std::sync::{Mutex, MutexGuard, PoisonError};
