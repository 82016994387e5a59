//! Accounts in one SQLite file, which several processes of a machine may share.

mod audit;
mod backup;
mod connection;
mod due;
mod error;
mod feed;
mod file;
mod options;
mod read;
mod readers;
mod schema;
mod write;
mod writer;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::runtime::Handle;

use self::connection::Connections;
pub use self::error::SqliteError;
use self::error::{Failure, unavailable};
use self::feed::Feeds;
use self::file::{OpenFile, Replaced};
pub use self::options::{Durability, SqliteOptions};
use self::readers::Readers;
use self::writer::{Worker, Writer};
use super::{
    AccountStore, AuditLog, ChangeFeed, DueAccounts, Erasure, Feed, LastUses, Loaded, Page,
    PageSize, Replacement, StoreError, StoreErrorKind, TokenStore,
};
use crate::account::{Account, LastUse, Revision};
use crate::audit::AuditEntry;
use crate::time::Clock;
use crate::token::{PepperCheck, PepperChecks, PepperVersion, TokenDigest, TokenPrefix};
use crate::user::UserId;

/// How many uses are written in one transaction, so that a change need not wait
/// long behind them.
const USES_AT_ONCE: usize = 1_000;

const REPLACING_MANY: &str = "replacing accounts";

/// Accounts in one SQLite file, which several processes of a machine may share.
///
/// The file has a write-ahead log, and every change is on the disk when it
/// returns (`synchronous=FULL`). Changes go through one thread, one after the
/// other; another process that writes is waited for. Look-ups take a few
/// microseconds, so they run on the calling thread, and move to a blocking
/// thread of the `tokio` runtime only where they would have to wait. Without a
/// runtime they wait on the calling thread. Longer reads (lists, histories) go
/// to a blocking thread at once.
///
/// A new file can be read by its owner alone; to share it among users of the
/// machine make it, or change its mode, before. It must be on a disk of this
/// machine, not on a network file system.
/// Besides it there are two files of the same name with `-wal` and `-shm`:
/// they belong to it, and a copy without the first may lack the latest changes.
///
/// The path may come to lead to another file: one that was moved over it or made
/// anew, or by another symbolic link. The store notices before each write and
/// within half a second for look-ups, and goes over to that file; until it is
/// there, with our tables, all is
/// [`Unavailable`](StoreErrorKind::Unavailable). Changes are so for a
/// second more, since they could be made on what was read from the former file. Where the
/// former file left its `-wal` and `-shm` beside the other, they are emptied into
/// it and removed. Nothing is acknowledged that is not in the file at the path.
///
/// Every error until [`migrate`](Self::migrate) has been called once has a
/// [`SqliteError`] as its source.
///
/// Dropping the store waits until the changes that were asked for are written.
///
/// ```
/// use tower_api_token::user::UserId;
/// use tower_api_token::store::{AccountStore, SqliteStore};
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("tokens.db");
/// let store = SqliteStore::open(path)?;
/// store.migrate().await?;
/// assert!(store.load(&UserId::new("alice")?).await?.account.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SqliteStore {
    // In this order they are dropped: the connection closed last empties the
    // write-ahead log, which one that only reads cannot do.
    feeds: Feeds,
    readers: Arc<Readers>,
    writer: Writer,
    file: Arc<OpenFile>,
    busy_timeout: Duration,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the file at `path` with every [option](SqliteOptions) at its
    /// default, and makes an empty one if there is none.
    ///
    /// # Errors
    ///
    /// [`SqliteError`] names what is wrong.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SqliteError> {
        SqliteOptions::new().open(path)
    }

    fn with(path: &Path, options: &SqliteOptions) -> Result<Self, SqliteError> {
        connection::check_version(rusqlite::version_number())?;
        let readers = Arc::new(Readers::new());
        let file = Arc::new(OpenFile::new(path.to_owned()));
        let mut worker = Worker::new(Arc::clone(&file), Arc::clone(&readers), options.clone());
        if let Some(connections) = Connections::open(path, options)? {
            worker.open(connections);
        }
        let writer = Writer::start(worker, Arc::clone(&file), options.busy_timeout);
        Ok(Self {
            feeds: Feeds::new(Arc::clone(&file), options.clone()),
            readers,
            writer: writer.map_err(SqliteError::Thread)?,
            file,
            busy_timeout: options.busy_timeout,
            clock: Arc::clone(&options.clock),
        })
    }

    /// Makes the tables if the file has none, and brings those of an earlier
    /// version of this crate up to date. It may be called at every start, by any
    /// number of threads and processes at once; it happens as a whole or not at
    /// all. A process of the earlier version that has the file open goes on
    /// answering, and can change nothing more.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the file cannot be written, or, with a [`SqliteError`]
    /// as its source, if it is another program's or of a later version.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.writer
            .run_to_migrate("migrating", move |connection| schema::migrate(connection, now))
            .await
    }

    /// Reads back from the connection that writes how safely it does so.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot be asked.
    pub async fn durability(&self) -> Result<Durability, StoreError> {
        let read = |connection: &mut Connection| Durability::of(connection);
        self.writer.run("reading the durability", read).await
    }

    /// Copies the file, as it is at one moment, to the new file `to`, which its
    /// owner alone can read. Everything that was acknowledged before the call is in
    /// it, and others may write meanwhile. A file that an earlier version has made and
    /// nobody has migrated yet is copied as it is.
    ///
    /// In a copy that is put back tokens are live that were revoked since. So it
    /// is marked as a backup, and no store works on it (its errors have
    /// [`SqliteError::Backup`] as their source). To restore it make a
    /// [copy without the mark](Self::copy_of_backup), end in it what has ended,
    /// and move it into the place of the store's file.
    ///
    /// # Errors
    ///
    /// [`SqliteError`] names what is wrong; then there is no copy.
    pub async fn backup(&self, to: impl AsRef<Path>) -> Result<(), SqliteError> {
        const DOING: &str = "making a backup";
        self.follow_the_path(DOING).await?;
        // A store's own errors are told first: that there are no tables, for one.
        match self.read_elsewhere(DOING, |_| Ok(())).await {
            // An upgrade begins with a backup.
            Err(error) if schema::is_older(&error) => {}
            read => read?,
        }
        let (path, to) = (self.file.path().to_owned(), to.as_ref().to_owned());
        let copy = move || backup::back_up(&path, &to);
        match Handle::try_current() {
            Ok(runtime) => {
                let copied = runtime.spawn_blocking(copy).await;
                copied.map_err(|cause| unavailable(DOING).with_source(cause))?
            }
            Err(_) => copy(),
        }
    }

    /// Copies a file that is marked as a backup to the new file `to`, which is not
    /// marked. It takes as long as reading the file, and blocks.
    ///
    /// # Errors
    ///
    /// [`SqliteError`] names what is wrong; then there is no copy.
    pub fn copy_of_backup(
        backup: impl AsRef<Path>,
        to: impl AsRef<Path>,
    ) -> Result<(), SqliteError> {
        backup::unmarked_copy(backup.as_ref(), to.as_ref())
    }

    /// Makes all the changes, or none if one of them cannot be made.
    async fn replace_all(&self, replacements: &Arc<Vec<Replacement>>) -> Result<(), StoreError> {
        let replacements = Arc::clone(replacements);
        self.writer
            .change(REPLACING_MANY, move |connection| write::replace_all(connection, &replacements))
            .await
    }

    /// Makes each change that can be made.
    async fn replace_each(
        &self,
        replacements: Arc<Vec<Replacement>>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.writer
            .change(REPLACING_MANY, move |connection| {
                write::replace_each(connection, &replacements)
            })
            .await
    }

    /// Has the writer open the file that is at the path, where it is not the one
    /// that is open.
    async fn follow_the_path(&self, doing: &'static str) -> Result<(), StoreError> {
        if self.file.is_current() { Ok(()) } else { self.writer.run(doing, |_| Ok(())).await }
    }

    /// Reads on the calling thread, or where it can wait.
    async fn read<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl Fn(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.follow_the_path(doing).await?;
        match self.readers.try_run(&work) {
            Some(result) => result.map_err(|failure| failure.store_error(doing)),
            None => self.read_elsewhere(doing, work).await,
        }
    }

    /// Reads on a thread that may block.
    async fn read_elsewhere<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl Fn(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.follow_the_path(doing).await?;
        let queued = self.readers.enqueue(self.busy_timeout, doing)?;
        let read = move || queued.run(work);
        let result = match Handle::try_current() {
            Ok(runtime) => runtime.spawn_blocking(read).await,
            Err(_) => Ok(read()),
        };
        let result = result.map_err(|cause| unavailable(doing).with_source(cause))?;
        // It may have waited for longer than the path is relied on.
        if !self.file.is_current() {
            return Err(unavailable(doing).with_source(Replaced));
        }
        result.map_err(|failure| failure.store_error(doing))
    }
}

#[async_trait]
impl TokenStore for SqliteStore {
    async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        let digest = *digest;
        self.read("finding a token", move |connection| read::find(connection, &digest)).await
    }
}

#[async_trait]
impl AccountStore for SqliteStore {
    async fn load(&self, user: &UserId) -> Result<Loaded, StoreError> {
        let user = user.clone();
        let (account, erased) = self
            .read("loading an account", move |connection| read::load(connection, &user))
            .await?;
        Ok(Loaded::new(account, self.clock.now()).with_erased_up_to(erased))
    }

    async fn replace(&self, replacement: Replacement) -> Result<(), StoreError> {
        self.writer
            .change("replacing an account", move |connection| {
                write::replace(connection, &replacement)
            })
            .await?;
        self.feeds.look();
        Ok(())
    }

    async fn replace_many(
        &self,
        replacements: Vec<Replacement>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let replacements = Arc::new(replacements);
        let results = match self.replace_all(&replacements).await {
            Ok(()) => replacements.iter().map(|_| Ok(())).collect(),
            // One of them cannot be written: the others can.
            Err(error)
                if matches!(error.kind(), StoreErrorKind::Conflict | StoreErrorKind::Corrupt) =>
            {
                self.replace_each(replacements).await?
            }
            Err(error) => return Err(error),
        };
        self.feeds.look();
        Ok(results)
    }

    async fn list(
        &self,
        after: Option<&UserId>,
        size: PageSize,
    ) -> Result<Page<Arc<Account>>, StoreError> {
        let after = after.cloned();
        self.read_elsewhere("listing accounts", move |connection| {
            read::list(connection, after.as_ref(), size)
        })
        .await
    }

    async fn history(
        &self,
        user: &UserId,
        before: Option<Revision>,
        size: PageSize,
    ) -> Result<Page<AuditEntry, Revision>, StoreError> {
        let user = user.clone();
        self.read_elsewhere("reading a history", move |connection| {
            read::history(connection, &user, before, size)
        })
        .await
    }

    fn last_uses(&self) -> Option<&dyn LastUses> {
        Some(self)
    }

    fn feed(&self) -> Option<&dyn ChangeFeed> {
        Some(self)
    }

    fn audit_log(&self) -> Option<&dyn AuditLog> {
        Some(self)
    }

    fn due_accounts(&self) -> Option<&dyn DueAccounts> {
        Some(self)
    }

    async fn pepper_versions(&self) -> Result<Vec<(PepperVersion, u64)>, StoreError> {
        self.read_elsewhere("counting pepper versions", read::pepper_versions).await
    }

    async fn prefixes(&self) -> Result<Vec<(Option<TokenPrefix>, u64)>, StoreError> {
        self.read_elsewhere("counting prefixes", read::prefixes).await
    }

    async fn pepper_checks(&self) -> Result<PepperChecks, StoreError> {
        self.read("reading pepper check values", read::pepper_checks).await
    }

    async fn keep_pepper_check(
        &self,
        version: PepperVersion,
        check: PepperCheck,
    ) -> Result<PepperCheck, StoreError> {
        self.writer
            .change("keeping a pepper check value", move |connection| {
                write::keep_pepper_check(connection, version, &check)
            })
            .await
    }

    async fn erase(&self, erasure: Erasure) -> Result<(), StoreError> {
        self.writer
            .change("erasing an account", move |connection| write::erase(connection, &erasure))
            .await?;
        self.feeds.look();
        Ok(())
    }
}

#[async_trait]
impl LastUses for SqliteStore {
    async fn record_usage(&self, batch: &[(UserId, LastUse)]) -> Result<(), StoreError> {
        for batch in batch.chunks(USES_AT_ONCE) {
            let batch = batch.to_vec();
            self.writer
                .transaction("recording last uses", move |connection| {
                    write::record_uses(connection, &batch)
                })
                .await?;
        }
        Ok(())
    }

    async fn usage(&self, user: &UserId) -> Result<Vec<LastUse>, StoreError> {
        let user = user.clone();
        self.read("reading last uses", move |connection| read::usage(connection, &user)).await
    }
}

#[async_trait]
impl ChangeFeed for SqliteStore {
    async fn changes(&self) -> Result<Feed, StoreError> {
        self.follow_the_path(feed::OPENING).await?;
        self.feeds.open().await
    }

    async fn heartbeat(&self, id: u64) -> Result<(), StoreError> {
        self.writer
            .transaction("sending a heartbeat", move |connection| write::heartbeat(connection, id))
            .await?;
        self.feeds.look();
        Ok(())
    }
}
