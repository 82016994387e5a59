//! What is particular to `SqliteStore`: its file, its settings, the processes
//! that share it, and what becomes of it when things break. What every store
//! does is the conformance suite's.

mod damage;
mod exhaustion;
mod feed;
mod life;
mod log;
mod options;
pub(crate) mod process;
mod replaced;
mod schema;
mod sharing;
pub(crate) mod support;
