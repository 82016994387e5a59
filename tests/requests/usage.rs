//! When a token was last used: noted by requests that never wait for it, and
//! written in batches that are never lost on the way.

mod collecting;
mod flushing;
mod retired;
mod running;
mod sink;
mod store;
mod world;
