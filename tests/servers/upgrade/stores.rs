//! A fixture in a store of its own.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tower_api_token::store::{PostgresStore, RedisOptions, RedisStore, SqliteStore, StoreError};

use crate::upgrade::Store;
use crate::upgrade::fixture::{Fixture, path};
use crate::{postgres, redis_server as redis};

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
    Redis,
}

/// A store that holds a fixture and is migrated.
pub(crate) struct Opened {
    pub(crate) store: Store,
    migrated: Migrated,
}

enum Migrated {
    Sqlite(Arc<SqliteStore>, #[expect(dead_code, reason = "removed when dropped")] TempDir),
    Postgres(
        Arc<PostgresStore>,
        #[expect(dead_code, reason = "given back when dropped")] postgres::Database,
    ),
    Redis(Arc<RedisStore>, #[expect(dead_code, reason = "ended when dropped")] redis::Server),
}

impl Opened {
    /// Migrates what is migrated already.
    pub(crate) async fn migrate(&self) -> Result<(), StoreError> {
        match &self.migrated {
            Migrated::Sqlite(store, _) => store.migrate().await,
            Migrated::Postgres(store, _) => store.migrate().await,
            Migrated::Redis(store, _) => store.create().await,
        }
    }
}

impl Kind {
    pub(crate) async fn open(self, version: &str) -> (Fixture, Opened) {
        match self {
            Self::Sqlite => (Fixture::read(version, "sqlite"), sqlite(version).await),
            Self::Postgres => (Fixture::read(version, "postgres"), in_postgres(version).await),
            Self::Redis => (Fixture::read(version, "redis"), in_redis(version).await),
        }
    }
}

async fn sqlite(version: &str) -> Opened {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens.db");
    fs::copy(path(version, "sqlite.db"), &file).unwrap();
    let store = Arc::new(SqliteStore::open(file).unwrap());
    store.migrate().await.unwrap();
    Opened { store: store.clone(), migrated: Migrated::Sqlite(store, directory) }
}

async fn in_postgres(version: &str) -> Opened {
    let database = postgres::Server::shared().database().await;
    let dump = fs::read_to_string(path(version, "postgres.sql")).unwrap();
    database.client().await.batch_execute(&dump).await.unwrap();
    let store = Arc::new(database.store().await);
    Opened { store: store.clone(), migrated: Migrated::Postgres(store, database) }
}

async fn in_redis(version: &str) -> Opened {
    let server = redis::Server::start(&redis::DURABLE);
    let mut connection = TcpStream::connect(server.address()).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    connection.write_all(&fs::read(path(version, "redis.aof")).unwrap()).unwrap();
    connection.write_all(b"QUIT\r\n").unwrap();
    let mut answers = String::new();
    connection.read_to_string(&mut answers).unwrap();
    assert!(!answers.lines().any(|line| line.starts_with('-')), "{answers}");
    let store = Arc::new(RedisOptions::new(server.client()).open().await.unwrap());
    store.create().await.unwrap();
    Opened { store: store.clone(), migrated: Migrated::Redis(store, server) }
}
