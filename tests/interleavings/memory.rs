//! The interleavings of the memory store, explored with `shuttle`.
//!
//! The file compiled here is the store's own: all of its reading, checking and
//! changing. Only what it imports from beside itself is replaced: the lock by that
//! of the exploring scheduler, and the map by one behind a lock, since one that
//! readers enter without a lock could not be explored.
//!
//! To see such a test fail, run
//!
//! ```text
//! MEMORY_TWIN=1 cargo test --test interleavings a_token_that_stays_live
//! ```
//!
//! The twin takes the old account away before it puts the new one in. The failure prints a schedule; `shuttle::replay` with it shows that very
//! interleaving.

mod explored;
mod scenes;

#[expect(dead_code, reason = "uses and history are not what is explored here")]
#[path = "../../src/store/memory/accounts.rs"]
mod accounts;

use crate::schedules::maps;

/// In place of the stores' `sync.rs`.
mod sync {
    pub(super) use std::sync::PoisonError;

    pub(super) use shuttle::sync::{Mutex, MutexGuard};
}
