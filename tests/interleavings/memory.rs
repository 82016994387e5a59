//! The interleavings of the memory store, explored with `shuttle`.
//!
//! The ledger and the table compiled here are the store's own: all of its
//! reading, checking and changing. Only what they import from beside themselves
//! is replaced: the lock and the counter by those of the exploring scheduler, and
//! the maps by some behind a lock, since one that readers enter without a lock
//! could not be explored.
//!
//! To see such a test fail, run
//!
//! ```text
//! MEMORY_TWIN=1 cargo test --test interleavings a_token_that_stays_live
//! ```
//!
//! The twin takes the old account's digests away before it puts the new one's
//! in. The failure prints a schedule; `shuttle::replay` with it shows that very
//! interleaving.

mod explored;
mod scenes;

#[expect(dead_code, reason = "uses and history are not what is explored here")]
#[path = "../../src/store/memory/ledger.rs"]
mod ledger;
#[path = "../../src/store/memory/table.rs"]
mod table;

use crate::map;

/// In place of the memory store's `sync.rs`.
mod sync {
    pub(super) use std::sync::PoisonError;

    pub(super) use shuttle::sync::atomic::{AtomicU64, Ordering};
    pub(super) use shuttle::sync::{Mutex, MutexGuard};
}
