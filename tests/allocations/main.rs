//! What is allocated, and what is not.
//!
//! A program of its own, since its allocator counts.

#[cfg(feature = "cache")]
mod cached;
mod request;

#[path = "../../benches/support/allocator.rs"]
mod allocator;

use self::allocator::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;
