//! What keeps accounts on a real server, PostgreSQL or Redis, and stores that
//! earlier versions have written.

#[cfg(feature = "postgres")]
mod postgres_store;
#[cfg(feature = "redis")]
mod redis_store;
#[cfg(all(feature = "postgres", feature = "redis", feature = "reveal", feature = "sqlite"))]
mod upgrade;

#[cfg(feature = "postgres")]
#[path = "../support/build.rs"]
mod build;
#[path = "../support/faults.rs"]
mod faults;
#[path = "../support/neighbours.rs"]
mod neighbours;
#[cfg(feature = "postgres")]
#[path = "../support/postgres.rs"]
mod postgres;
#[cfg(feature = "redis")]
#[path = "../support/redis.rs"]
mod redis_server;
#[path = "../support/relay.rs"]
mod relay;
#[path = "../support/replaced.rs"]
mod replaced;
#[path = "../support/rotation.rs"]
mod rotation;
#[path = "../support/sample.rs"]
mod sample;
#[path = "../support/server.rs"]
mod server;
#[path = "../support/watch.rs"]
mod watch;
