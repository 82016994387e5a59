//! The store that the settings name.

mod address;
mod explain;
mod postgres;
mod redis;

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tower_api_token::store::{
    AccountStore, PostgresStore, RedisOpenError, RedisStore, SqliteError, SqliteOptions,
    SqliteStore, StoreError, StoreErrorKind, WithTimeout,
};

pub(crate) use self::address::StoreAddress;
pub(crate) use self::postgres::Database;
use crate::settings::{Settings, SettingsError, Time};

/// How long a server waits for the store, unless the settings say otherwise.
pub(crate) const SERVER_PATIENCE: Duration = Duration::from_secs(2);

/// How long a command does, whose changes may be large.
pub(crate) const COMMAND_PATIENCE: Duration = Duration::from_secs(30);

/// How much of a SQLite file a command maps into memory, for each of its two
/// readers.
const MAPPED: u64 = 32 << 20;

/// A store, and what is peculiar to its kind.
pub(crate) enum Opened {
    Sqlite(Arc<SqliteStore>),
    Postgres(Arc<PostgresStore>, Box<Database>),
    Redis(Arc<RedisStore>),
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Not made on the way: a path with a mistake in it would be an empty store.
    #[error("the store does not exist")]
    Missing,
    #[error("the store's file {} cannot be read and written", .path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Sqlite(#[from] SqliteError),
    #[error(transparent)]
    Redis(#[from] RedisOpenError),
}

impl OpenError {
    /// What kind of failure of a store it is; `None` if a setting is wrong.
    pub(crate) fn kind(&self) -> Option<StoreErrorKind> {
        match self {
            Self::Settings(_) => None,
            Self::Missing => Some(StoreErrorKind::NotSetUp),
            Self::File { source, .. } if source.kind() == ErrorKind::StorageFull => {
                Some(StoreErrorKind::Unavailable)
            }
            Self::File { .. } => Some(StoreErrorKind::Refused),
            Self::Sqlite(error) => error.kind(),
            Self::Redis(error) => error.kind(),
        }
    }
}

impl Opened {
    /// Opens the store for a server; it must exist.
    pub(crate) async fn open(settings: &Settings) -> Result<Self, OpenError> {
        Self::open_with(settings, SqliteOptions::new()).await
    }

    /// Opens the store for one command, in little memory; it must exist.
    pub(crate) async fn open_small(settings: &Settings) -> Result<Self, OpenError> {
        let sqlite = SqliteOptions::new().readers(2).mmap_size(MAPPED);
        // A batch waits for the one before it.
        Self::open_with(settings, sqlite.busy_timeout(COMMAND_PATIENCE)).await
    }

    async fn open_with(settings: &Settings, sqlite: SqliteOptions) -> Result<Self, OpenError> {
        match StoreAddress::of(settings)? {
            StoreAddress::Sqlite(path) => match path.try_exists() {
                Ok(true) => Ok(Self::Sqlite(Arc::new(sqlite.open(path)?))),
                Ok(false) => Err(OpenError::Missing),
                Err(source) => Err(OpenError::File { path, source }),
            },
            StoreAddress::Postgres(url) => {
                let database = Database::of(&url.0, settings)?;
                Ok(Self::Postgres(Arc::new(database.store()?), Box::new(database)))
            }
            StoreAddress::Redis(url) => {
                Ok(Self::Redis(Arc::new(redis::open(&url.0, settings).await?)))
            }
        }
    }

    /// Opens the store, and makes what it needs.
    pub(crate) async fn migrate(
        settings: &Settings,
    ) -> Result<Result<Self, StoreError>, OpenError> {
        if let StoreAddress::Sqlite(path) = StoreAddress::of(settings)? {
            create_private(&path).map_err(|source| OpenError::File { path, source })?;
        }
        let opened = Self::open_small(settings).await?;
        let migrated = match &opened {
            Self::Sqlite(store) => store.migrate().await,
            Self::Postgres(store, _) => store.migrate().await,
            Self::Redis(store) => store.create().await,
        };
        Ok(migrated.map(|()| opened))
    }

    /// The store as everything uses it: never waited for longer than the
    /// settings say, or `patience` where they say nothing.
    pub(crate) fn accounts(
        &self,
        settings: &Settings,
        patience: Duration,
    ) -> WithTimeout<Arc<dyn AccountStore>> {
        let store: Arc<dyn AccountStore> = match self {
            Self::Sqlite(store) => Arc::clone(store) as _,
            Self::Postgres(store, _) => Arc::clone(store) as _,
            Self::Redis(store) => Arc::clone(store) as _,
        };
        let limit = settings.store_timeout.map_or(patience, |Time(limit)| limit);
        WithTimeout::new(store).limit(limit)
    }
}

/// Makes an empty file for its owner alone, unless there is one. SQLite gives
/// its other files the same mode.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}
