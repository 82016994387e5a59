//! Whole programs: the examples as their documentation describes them, and the
//! collected attacks on one of them, byte by byte.

mod adversarial;
mod examples;
mod guide_axum;
mod quickstart;
mod readme;
mod reverse_proxy;
mod two_nodes;

#[path = "../support/build.rs"]
mod build;
#[path = "../support/example.rs"]
mod example;
#[expect(dead_code, reason = "only an address is needed")]
#[path = "../support/postgres.rs"]
mod postgres;
#[expect(dead_code, reason = "only an address is needed")]
#[path = "../support/redis.rs"]
mod redis_server;
#[path = "../support/secret.rs"]
mod secret;
#[path = "../support/server.rs"]
mod server;
