//! What is particular to `SqliteStore`: its file, its settings, the processes
//! that share it, and what becomes of it when things break. What every store
//! does is the conformance suite's.

mod damage;
mod exhaustion;
mod feed;
mod life;
mod options;
mod process;
mod replaced;
#[path = "../support/replaced_file.rs"]
mod replaced_file;
mod schema;
mod sharing;
mod support;
