//! `CachedStore` over `MemoryStore`, with a link in between that does whatever
//! a network, a database or a message bus may do.
//!
//! Two clocks are played here. Trust and the age of entries go by a clock that
//! each test moves itself; tasks and timers go by tokio's, which is paused and
//! jumps to the next timer whenever nothing else is to be done.

mod bypass;
mod feed;
pub(crate) mod link;
mod own_writes;
mod room;
pub(crate) mod sample;
mod sharing;
mod staleness;
mod without_feed;
mod world;
