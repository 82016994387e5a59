//! What is allocated, and what is not.

#[cfg(feature = "cache")]
mod cached;
mod request;

#[path = "../../benches/support/allocator.rs"]
mod allocator;

use self::allocator::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;
