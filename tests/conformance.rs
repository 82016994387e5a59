//! The conformance suite on every store of this crate.
#![cfg(feature = "conformance")]

use tower_api_token::conformance_suite;
use tower_api_token::store::MemoryStore;

conformance_suite!(memory, || async { MemoryStore::new() });
