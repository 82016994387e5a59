//! Accounts in a PostgreSQL database that several nodes share.

mod audit;
mod connection;
mod due;
mod error;
mod feed;
mod lease;
mod read;
mod schema;
mod upgrade;
mod write;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::Pool;
use tokio::time::timeout;
use tokio_postgres::Socket;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};

use self::connection::PooledConnection;
use self::feed::Connector;
use super::server::{LazyListener, to_its_end};
use super::{
    AccountStore, AuditLog, ChangeFeed, DueAccounts, Erasure, Feed, LastUses, Loaded, Page,
    PageSize, Replacement, StoreError, TokenStore,
};
use crate::account::{Account, LastUse, Revision};
use crate::audit::AuditEntry;
use crate::token::{PepperCheck, PepperChecks, PepperVersion, TokenDigest, TokenPrefix};
use crate::user::UserId;

/// How long a change may take, and a batch, before its connection is given up.
/// One that waits for a lock of somebody else's, or for a server that is gone,
/// must not hold it for ever.
const LIMIT: Duration = Duration::from_secs(10);
const BATCH_LIMIT: Duration = Duration::from_secs(60);

/// Accounts in a PostgreSQL database, shared by any number of nodes.
///
/// The tables stand in the schema `tower_api_token`, so one database holds one
/// deployment; [`migrate`](Self::migrate) makes them. Messages to the feed use
/// the channel of that name.
///
/// # What the host decides
///
/// * The pool: its size, its time-outs and its TLS. A request waits for a
///   connection as long as the pool says; put `WithTimeout` around the store to
///   bound every call. The usual way of recycling connections (`Fast`) costs no
///   message; a look-up is then one statement, prepared once for each
///   connection. `tcp_user_timeout` in the connection's configuration bounds how
///   long the operating system believes in a connection that was cut silently,
///   and `statement_timeout` how long the server works on.
/// * The server. The pool must lead to the primary: where there are several
///   hosts, ask for `target_session_attrs=read-write`. A standby would answer by
///   the past, so looking up a token or an account there is
///   [`Unavailable`](super::StoreErrorKind::Unavailable). A former primary that
///   does not know that it is one cannot be told from the primary: fence it off. A
///   change is as durable as `fsync` and `synchronous_commit` make it, and
///   survives a failover if a standby has it (`synchronous_standby_names`): leave
///   them on. The database's encoding must be UTF-8. A server that
///   logs statements with their parameters (`log_min_duration_statement`) writes
///   digests to its log, unless `log_parameter_max_length` is 0.
/// * What stands between. A pooler that gives a connection away after each
///   transaction must keep prepared statements, and
///   [`listen_with`](Self::listen_with) must bypass it;
///   [`changes`](super::ChangeFeed::changes) fails if no message comes through.
///
/// # What a dropped call leaves behind
///
/// A change is one statement, or for
/// [`replace_many`](AccountStore::replace_many) one transaction, which runs to
/// its end in a task of its own. No connection goes back to the pool inside a
/// transaction or before its answer, and there are never more such tasks than
/// the pool has connections. A connection whose answer nobody waits for is
/// closed if it has none after a second; that of a change after ten seconds, of
/// a batch after sixty, and then the outcome is unknown.
///
/// ```no_run
/// use tower_api_token::store::PostgresStore;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let config: tokio_postgres::Config = "host=db.internal user=api dbname=api".parse()?;
/// let tls = tokio_postgres::NoTls;
/// let manager = deadpool_postgres::Manager::new(config.clone(), tls);
/// let pool = deadpool_postgres::Pool::builder(manager).max_size(16).build()?;
///
/// let store = PostgresStore::new(pool).listen_with(config, tls);
/// store.migrate().await?;
/// # Ok(())
/// # }
/// ```
pub struct PostgresStore {
    pool: Pool,
    verified: AtomicBool,
    connector: Option<Arc<Connector>>,
    listener: LazyListener,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Accounts in the database that the pool's connections lead to. Without
    /// [`listen_with`](Self::listen_with) it has no feed.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        Self {
            pool,
            verified: AtomicBool::new(false),
            connector: None,
            listener: LazyListener::default(),
        }
    }

    /// Gives the store a way to open one connection of its own, on which it
    /// waits for changes. It opens it with the first
    /// [`changes`](super::ChangeFeed::changes), opens it again whenever it breaks,
    /// and closes it when the store is dropped. Default: none, and `changes`
    /// fails.
    #[must_use]
    pub fn listen_with<T>(self, config: tokio_postgres::Config, tls: T) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + 'static,
        T::TlsConnect: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        self.listen_with_each(move || config.clone(), tls)
    }

    /// As [`listen_with`](Self::listen_with), but asks for the configuration
    /// anew each time that the connection is opened: for a password that
    /// changes. Default: none.
    #[must_use]
    pub fn listen_with_each<T>(
        mut self,
        config: impl Fn() -> tokio_postgres::Config + Send + Sync + 'static,
        tls: T,
    ) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + 'static,
        T::TlsConnect: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        self.connector = Some(Arc::new(Connector::new(config, tls)));
        self
    }

    /// Makes the schema, or brings an older one up to date. Requests are answered
    /// meanwhile, also by nodes that still run the older version; these can change
    /// nothing more. Where it was broken off it goes on when it is called again.
    ///
    /// An upgrade needs the tables for itself for a moment, and may make indexes after
    /// that, for which changes wait and look-ups do not. Behind a session that
    /// uses them in a long transaction, such as a dump, it waits in attempts of at
    /// most a second, so that look-ups go on, and gives up after half a minute.
    ///
    /// It may be called at every start and by several nodes at the same time.
    /// Where there is something to do, the pool's user needs the right to create
    /// tables in the schema `tower_api_token` and, unless that exists, to create
    /// it; else to read and write its tables is enough.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Unavailable`](super::StoreErrorKind::Unavailable) if
    /// the database cannot be reached, or others keep the tables locked (the
    /// error's source names them),
    /// [`StoreErrorKind::Refused`](super::StoreErrorKind::Refused) if a right is
    /// missing or a new database's encoding is not UTF-8: the schema is as it
    /// was. [`StoreErrorKind::NewerSchema`](super::StoreErrorKind::NewerSchema)
    /// if a newer version of this crate has made it.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let connection = self.unverified("migrating").await?;
        to_its_end("migrating", schema::migrate(connection)).await
    }

    async fn unverified(&self, doing: &'static str) -> Result<PooledConnection, StoreError> {
        let client = self.pool.get().await;
        client.map(PooledConnection::new).map_err(|error| error::no_connection(doing, error))
    }

    /// A connection to a database whose tables are those of this version, as
    /// was seen when it was first asked.
    async fn connection(&self, doing: &'static str) -> Result<PooledConnection, StoreError> {
        let connection = self.unverified(doing).await?;
        if !self.verified.load(Ordering::Relaxed) {
            schema::verify(&connection, doing).await?;
            self.verified.store(true, Ordering::Relaxed);
        }
        Ok(connection)
    }

    /// Does `work` on a connection, in a task of its own and within a limit.
    async fn write<T, F>(
        &self,
        doing: &'static str,
        limit: Duration,
        work: impl FnOnce(PooledConnection) -> F + Send,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let work = timeout(limit, work(self.connection(doing).await?));
        to_its_end(doing, async move {
            work.await.unwrap_or_else(|elapsed| Err(error::late(doing, elapsed)))
        })
        .await
    }
}

#[async_trait]
impl TokenStore for PostgresStore {
    async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        read::find(self.connection(read::ACCOUNT).await?, digest).await
    }
}

#[async_trait]
impl AccountStore for PostgresStore {
    async fn load(&self, user: &UserId) -> Result<Loaded, StoreError> {
        read::load(self.connection(read::ACCOUNT).await?, user).await
    }

    async fn replace(&self, replacement: Replacement) -> Result<(), StoreError> {
        self.write(write::ONE, LIMIT, |connection| write::replace(connection, replacement)).await
    }

    async fn replace_many(
        &self,
        replacements: Vec<Replacement>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.write(write::MANY, BATCH_LIMIT, |connection| {
            write::replace_many(connection, replacements)
        })
        .await
    }

    async fn list(
        &self,
        after: Option<&UserId>,
        size: PageSize,
    ) -> Result<Page<Arc<Account>>, StoreError> {
        read::list(self.connection(read::LIST).await?, after, size).await
    }

    async fn history(
        &self,
        user: &UserId,
        before: Option<Revision>,
        size: PageSize,
    ) -> Result<Page<AuditEntry, Revision>, StoreError> {
        read::history(self.connection(read::HISTORY).await?, user, before, size).await
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
        read::pepper_versions(self.connection(read::PEPPERS).await?).await
    }

    async fn prefixes(&self) -> Result<Vec<(Option<TokenPrefix>, u64)>, StoreError> {
        read::prefixes(self.connection(read::PREFIXES).await?).await
    }

    async fn pepper_checks(&self) -> Result<PepperChecks, StoreError> {
        read::pepper_checks(self.connection(read::CHECKS).await?).await
    }

    async fn keep_pepper_check(
        &self,
        version: PepperVersion,
        check: PepperCheck,
    ) -> Result<PepperCheck, StoreError> {
        self.write(write::KEEPING, LIMIT, move |connection| {
            write::keep_pepper_check(connection, version, check)
        })
        .await
    }

    async fn erase(&self, erasure: Erasure) -> Result<(), StoreError> {
        self.write(write::ERASING, BATCH_LIMIT, |connection| write::erase(connection, erasure))
            .await
    }
}

#[async_trait]
impl LastUses for PostgresStore {
    async fn record_usage(&self, batch: &[(UserId, LastUse)]) -> Result<(), StoreError> {
        let batch = write::UsageColumns::of(batch);
        self.write(write::USAGE, BATCH_LIMIT, |connection| write::record_usage(connection, batch))
            .await
    }

    async fn usage(&self, user: &UserId) -> Result<Vec<LastUse>, StoreError> {
        read::usage(self.connection(read::USAGE).await?, user).await
    }
}

#[async_trait]
impl ChangeFeed for PostgresStore {
    /// Sends itself a message through the pool and waits until it has come
    /// back, at most five seconds: a pooler that swallows messages is found
    /// here.
    async fn changes(&self) -> Result<Feed, StoreError> {
        let connector = self.connector.clone().ok_or_else(feed::not_configured)?;
        self.listener.feed(connector, self).await
    }

    async fn heartbeat(&self, id: u64) -> Result<(), StoreError> {
        write::notify(self.connection(write::HEARTBEAT).await?, &feed::heartbeat(id)).await
    }
}
