//! The manager on every kind of store, each empty, with what must live as long.

mod batches;
mod hang_ups;
#[expect(dead_code, reason = "these tests only need a server that runs")]
#[path = "../../support/postgres.rs"]
mod postgres;
#[expect(dead_code, reason = "these tests only need a server that runs")]
#[path = "../../support/redis.rs"]
mod redis_server;
#[path = "../../support/server.rs"]
mod server;

use std::any::Any;
use std::sync::Arc;

use tower_api_token::store::{AccountStore, MemoryStore, SqliteStore};

pub(crate) type Opened = (Arc<dyn AccountStore>, Box<dyn Any + Send>);

pub(crate) async fn memory() -> Opened {
    (Arc::new(MemoryStore::new()), Box::new(()))
}

pub(crate) async fn sqlite() -> Opened {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path().join("tokens.db")).unwrap();
    store.migrate().await.unwrap();
    (Arc::new(store), Box::new(directory))
}

pub(crate) async fn postgres() -> Opened {
    let database = postgres::Server::shared().database().await;
    (Arc::new(database.store().await), Box::new(database))
}

pub(crate) async fn redis() -> Opened {
    let deployment = redis_server::Server::shared().deployment();
    (Arc::new(deployment.store().await), Box::new(()))
}
