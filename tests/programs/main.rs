//! Whole programs: the examples as their documentation describes them, and the
//! collected attacks on one of them, byte by byte.

#[cfg(all(feature = "axum", feature = "forward-auth"))]
mod adversarial;
#[cfg(feature = "axum")]
mod examples;
#[cfg(all(feature = "axum", feature = "sqlite"))]
mod quickstart;
#[cfg(feature = "sqlite")]
mod reverse_proxy;
#[cfg(all(feature = "axum", feature = "cache", feature = "postgres", feature = "redis"))]
mod two_nodes;

#[cfg(any(feature = "axum", feature = "sqlite"))]
#[path = "../support/build.rs"]
mod build;
#[cfg(any(feature = "axum", feature = "sqlite"))]
#[path = "../support/example.rs"]
mod example;
#[cfg(all(feature = "axum", feature = "cache", feature = "postgres", feature = "redis"))]
#[expect(dead_code, reason = "only an address is needed")]
#[path = "../support/postgres.rs"]
mod postgres;
#[cfg(all(feature = "axum", feature = "cache", feature = "postgres", feature = "redis"))]
#[expect(dead_code, reason = "only an address is needed")]
#[path = "../support/redis.rs"]
mod redis_server;
#[cfg(all(feature = "axum", feature = "forward-auth"))]
#[path = "../support/secret.rs"]
mod secret;
#[cfg(all(feature = "axum", feature = "cache", feature = "postgres", feature = "redis"))]
#[path = "../support/server.rs"]
mod server;
