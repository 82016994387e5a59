//! The lock of the ledger, which takes it from here so that the test of its
//! interleavings compiles the same file over that of an exploring scheduler.

pub(super) use std::sync::{Mutex, MutexGuard, PoisonError};
