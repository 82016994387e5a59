//! Every kind of store, empty, with what must live as long.

use std::any::Any;
use std::sync::Arc;

use tower_api_token::store::{AccountStore, MemoryStore, SqliteStore};

use crate::{postgres, redis_server};

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
