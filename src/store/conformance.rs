//! The written contract of [`AccountStore`](super::AccountStore) as tests that
//! run on any store.
//!
//! Each documented behaviour is one case: a public function that takes a
//! [`Harness`] and panics with the broken rule if the harness's store breaks
//! it. [`conformance_suite!`](crate::conformance_suite) makes a `#[test]` of
//! each case, once on the store itself and once on an [`Arc`](std::sync::Arc)
//! of it. The tests bring their own runtime.
//!
//! A store that needs nothing but to be made is tested in one line:
//!
//! ```
//! use tower_api_token::conformance_suite;
//! use tower_api_token::store::MemoryStore;
//!
//! conformance_suite!(memory, || async { MemoryStore::new() });
//! # // A doctest runs no `#[test]`, so this one runs a case itself.
//! # use tower_api_token::store::conformance::{look_up, run};
//! # fn main() {
//! #     let harness = || async { MemoryStore::new() };
//! #     run(look_up::an_unknown_digest_is_none(&harness));
//! # }
//! ```
//!
//! A store in front of a database is tested in the form that interrupts it, since
//! most of what goes wrong there is an outage:
//! `conformance_suite!(own, OwnDatabases::new(), Migrating + Nodes + Failing + Interrupting)`.
//! Its harness keeps alive what its stores need, and says what can be done to them:
//!
//! | trait | what it adds | its cases |
//! |---|---|---|
//! | [`Harness`] | fresh, migrated, empty stores | all but the following |
//! | [`Migrating`] | stores that nobody has migrated yet | [`migration`] |
//! | [`Nodes`] | a second store over the same data | [`node`] |
//! | [`Failing`] | a store that cannot answer | [`outage`] |
//! | [`Interrupting`] | cuts a store's connections, and mends them | [`interruption`] |
//!
//! The extra traits are named after the harness, and no test stands for a trait
//! that is not:
//!
//! ```
//! use std::sync::Arc;
//!
//! use tower_api_token::conformance_suite;
//! use tower_api_token::store::MemoryStore;
//! use tower_api_token::store::conformance::{Harness, Nodes};
//!
//! struct SharedMemory;
//!
//! impl Harness for SharedMemory {
//!     type Store = Arc<MemoryStore>;
//!
//!     async fn store(&self) -> Arc<MemoryStore> {
//!         Arc::default()
//!     }
//! }
//!
//! impl Nodes for SharedMemory {
//!     async fn another(&self, store: &Arc<MemoryStore>) -> Arc<MemoryStore> {
//!         Arc::clone(store)
//!     }
//! }
//!
//! conformance_suite!(shared_memory, SharedMemory, Nodes);
//! # use tower_api_token::store::conformance::{node, run};
//! # fn main() {
//! #     run(node::a_change_is_seen_by_another_node(&SharedMemory));
//! # }
//! ```
//!
//! A store that lacks a capability, such as a host's own with the four methods that
//! [`AccountStore`](super::AccountStore) must have, says so:
//! `conformance_suite!(own, harness, without Feed + LastUses + AuditLog + DueAccounts +
//! PepperChecks + Erasure)`.
//! One with an audit log that keeps nothing [as done](super::AuditLog::keep_done) lacks
//! `KeptDone`. The cases that need what is lacking are left out, and the report lists each as ignored
//! with its reason. The cases of [`without`] hold that it is lacking indeed.
//!
//! A case that waits for a feed waits at most half a minute, and every case ends
//! within five.

pub mod audit_log;
pub mod batch;
pub mod change;
pub mod clock;
pub mod concurrency;
pub mod cursor;
pub mod due;
pub mod erasure;
pub mod failure;
pub mod feed;
mod harness;
pub mod history;
pub mod interruption;
pub mod life;
pub mod look_up;
pub mod migration;
pub mod names;
pub mod node;
pub mod outage;
pub mod paging;
pub mod peppers;
pub mod pruning;
pub mod record;
mod sample;
mod subject;
mod suite;
pub mod uniqueness;
pub mod usage;
mod watch;
pub mod without;

pub use self::harness::{Failing, Harness, Interrupting, Migrating, Nodes, run};
