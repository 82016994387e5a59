//! What keeps accounts on a real server, PostgreSQL or Redis, and stores that
//! earlier versions have written.

mod guide;
mod postgres_store;
mod redis_store;
mod upgrade;

#[path = "../support/build.rs"]
mod build;
#[path = "../support/dropped.rs"]
mod dropped;
#[path = "../support/faults.rs"]
mod faults;
#[path = "../support/neighbours.rs"]
mod neighbours;
#[path = "../support/postgres.rs"]
mod postgres;
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
