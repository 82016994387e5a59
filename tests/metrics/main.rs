//! Measurements, as a real recorder gets them.

#[expect(dead_code, reason = "this test needs less of it")]
#[path = "../cached/link.rs"]
mod link;
#[expect(dead_code, reason = "this test needs less of it")]
#[path = "../cached/world.rs"]
mod node;
#[expect(dead_code, reason = "this test needs less of it")]
#[path = "../cached/sample.rs"]
mod sample;
#[expect(dead_code, reason = "this test needs less of it")]
#[path = "../usage/store.rs"]
mod uses;

mod cache;
mod decisions;
mod documentation;
mod flush;
mod recorded;
mod store;
mod world;
