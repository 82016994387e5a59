//! What keeps accounts, without a server: the store in memory, that in a file,
//! those that stand around others, and the conformance suite on all of them.

#[cfg(feature = "cache")]
mod cached;
#[cfg(all(feature = "cache", feature = "conformance", feature = "metrics", feature = "sqlite"))]
mod cached_conformance;
#[cfg(all(feature = "cache", feature = "sqlite"))]
mod cached_sqlite;
#[cfg(feature = "conformance")]
mod conformance;
#[cfg(feature = "sqlite")]
mod sqlite;
mod store_model;
#[cfg(feature = "cache")]
mod timeout;

#[cfg(feature = "cache")]
#[path = "../support/bare.rs"]
mod bare;
#[expect(dead_code, reason = "shared with tests that act in more ways")]
#[path = "../support/model.rs"]
mod model;
#[cfg(feature = "sqlite")]
#[path = "../support/replaced_file.rs"]
mod replaced_file;
#[cfg(feature = "sqlite")]
#[path = "../support/sample.rs"]
mod sample;
#[cfg(all(feature = "cache", feature = "sqlite"))]
#[expect(dead_code, reason = "what only a server needs")]
#[path = "../support/server.rs"]
mod server;
