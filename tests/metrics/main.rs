//! Measurements, as a real recorder gets them.

#[expect(dead_code, reason = "this test needs less of it")]
#[path = "../stores/cached/link.rs"]
mod link;
#[expect(dead_code, reason = "this test needs less of it")]
#[path = "../stores/cached/world.rs"]
mod node;
#[expect(dead_code, reason = "this test needs less of it")]
#[path = "../stores/cached/sample.rs"]
mod sample;
#[expect(dead_code, reason = "this test needs less of it")]
#[path = "../requests/usage/store.rs"]
mod uses;

mod cache;
mod decisions;
mod documentation;
mod flush;
mod monitoring;
mod recorded;
mod store;
mod world;
