//! Accounts on a Redis server that several nodes share.

mod audit;
mod connection;
mod deployment;
mod due;
mod error;
mod failover;
mod feed;
mod options;
mod read;
mod scripts;
mod upgrade;
mod write;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use self::connection::Server;
use self::feed::Subscriber;
pub use self::options::{RedisOpenError, RedisOptions};
use super::server::{LazyListener, to_its_end};
use super::{
    AccountStore, AuditCursor, AuditItem, AuditLog, AuditPosition, ChangeFeed, DueAccounts,
    Erasure, Feed, LastUses, Loaded, Page, PageSize, Replacement, StoreError, TokenStore,
};
use crate::account::{Account, LastUse, Revision};
use crate::audit::AuditEntry;
use crate::time::Timestamp;
use crate::token::{PepperCheck, PepperChecks, PepperVersion, TokenDigest, TokenPrefix};
use crate::user::UserId;

/// Accounts on a Redis server, shared by any number of nodes; 7.0 or later.
///
/// Each change is one script, so it happens as a whole or not at all, and no
/// reader sees a half of it. A look-up is one script too, and one round trip. An
/// operation that the server does not answer within some seconds is
/// [`Unavailable`](super::StoreErrorKind::Unavailable); put a
/// `WithTimeout` around the store for a limit of
/// your own.
///
/// # Which server is asked
///
/// The primary, and never a replica: one that is made a replica answers nothing
/// more, and neither does one that has fewer replicas than its
/// `min-replicas-to-write` demands. After a failover the store goes on with the
/// new primary if the client's address leads to it, or one of
/// [`RedisOptions::or_else`] does.
///
/// All keys of a deployment carry one hash tag. In a cluster they lie in one
/// slot, on one node: that gives availability, and no spread. The store follows
/// the slot to wherever the cluster moves it.
///
/// # What is kept, and what can be lost
///
/// [`RedisOptions::open`] refuses a server that does not write each change to
/// its disk before it answers (`appendonly yes`, `appendfsync always`), or that
/// may throw away accounts for want of memory (`maxmemory-policy` other than
/// `noeviction`): with `appendfsync everysec` a crash within a second of a
/// revocation would undo it. It looks at the server that is there when it is
/// called; configure those that may take its place alike.
///
/// Where the server has replicas, a change is acknowledged when enough of them
/// have it, and else reported as
/// [`Unavailable`](super::StoreErrorKind::Unavailable): it is made, but a
/// failover could undo it, and until enough replicas have it the store that wrote
/// it loads no account, so that its caller is not told that it is safe. Other
/// nodes, and this one after a restart, load and answer by it. From Redis 7.2 on
/// the replicas must have it on their disks, for which they need `appendonly yes`
/// themselves.
///
/// Redis is not a consensus system. A failover to a replica that was not among
/// those loses changes that were acknowledged, revocations too. A primary that
/// was cut off answers by the past, for its part of the network, until it is
/// told or, with `min-replicas-to-write`, until it notices that its replicas are
/// silent (`min-replicas-max-lag`, ten seconds by default). So wait for all
/// replicas that may become a primary ([`RedisOptions::replicas`]), and set
/// both; where a revocation must never be undone, use
/// `PostgresStore`.
///
/// A server that has lost everything (`FLUSHALL`, an empty disk) is noticed: the
/// deployment has a name of its own, and where that is gone every operation
/// fails as unavailable instead of answering that there is no such token. Only
/// [`create`](Self::create) begins a deployment.
///
/// # What a history takes
///
/// Some 100 bytes an entry, and 19 more in the log of all accounts; the first block of
/// an account's history, of about forty entries, takes 4.7 kB at once, until the server is
/// started again. What is pruned gives its memory back a block at a time: pruning bounds
/// long histories, and makes short ones no shorter. Its bytes are in the server's memory
/// and files until then. Those of an erased account's history go at once from memory, and
/// from the append-only file when the server rewrites that.
///
/// # What its user must be allowed to do
///
/// For a deployment that is called `main`:
///
/// ```text
/// ~{tower-api-token:main}:* &{tower-api-token:main}:*
/// +@read +@write +@scripting +@pubsub +@connection +@transaction -@dangerous
/// +time +wait +waitaof +info +config|get
/// ```
///
/// ```no_run
/// use tower_api_token::store::{RedisOptions, RedisStore};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = redis::Client::open("redis://redis.internal/")?;
/// let store: RedisStore = RedisOptions::new(client).open().await?;
/// # Ok(())
/// # }
/// ```
pub struct RedisStore {
    server: Arc<Server>,
    listener: LazyListener,
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").finish_non_exhaustive()
    }
}

impl RedisStore {
    /// Begins the deployment, if nobody has, and brings one of an earlier version of
    /// this crate up to date. It may be called again, and by several nodes at the
    /// same time. Nodes of the earlier version that are running go on recognising
    /// tokens, and can change nothing more. Where it was broken off it goes on when
    /// it is called again. An upgrade to version 3 of the schema holds 24 bytes in this
    /// process for each entry of all histories.
    ///
    /// Call it when a deployment is set up, as one creates a database, and not
    /// at every start: after a loss of all data it would begin an empty one,
    /// and every token would be unknown. This store itself refuses to do so
    /// once it has seen the deployment.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Unavailable`](super::StoreErrorKind::Unavailable) if
    /// the server cannot be reached, or has lost the deployment;
    /// [`StoreErrorKind::Refused`](super::StoreErrorKind::Refused) if a right is
    /// missing.
    pub async fn create(&self) -> Result<(), StoreError> {
        self.write(write::CREATING, |server| async move { write::create(&server).await }).await
    }

    /// Writes in a task of its own, which a caller that hangs up does not stop.
    async fn write<T: Send + 'static, F>(
        &self,
        doing: &'static str,
        work: impl FnOnce(Arc<Server>) -> F + Send,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let permit = self.server.write_permit(doing).await?;
        let work = work(Arc::clone(&self.server));
        let work = async move {
            let _permit = permit;
            work.await
        };
        to_its_end(doing, work).await
    }
}

#[async_trait]
impl TokenStore for RedisStore {
    async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        read::find(&self.server, digest).await
    }
}

#[async_trait]
impl AccountStore for RedisStore {
    async fn load(&self, user: &UserId) -> Result<Loaded, StoreError> {
        read::load(&self.server, user).await
    }

    async fn replace(&self, replacement: Replacement) -> Result<(), StoreError> {
        self.write(write::ONE, |server| async move { write::replace(&server, &replacement).await })
            .await
    }

    async fn replace_many(
        &self,
        replacements: Vec<Replacement>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.write(write::MANY, |server| async move {
            write::replace_many(&server, &replacements).await
        })
        .await
    }

    async fn list(
        &self,
        after: Option<&UserId>,
        size: PageSize,
    ) -> Result<Page<Arc<Account>>, StoreError> {
        read::list(&self.server, after, size).await
    }

    async fn history(
        &self,
        user: &UserId,
        before: Option<Revision>,
        size: PageSize,
    ) -> Result<Page<AuditEntry, Revision>, StoreError> {
        read::history(&self.server, user, before, size).await
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
        read::pepper_versions(&self.server).await
    }

    async fn prefixes(&self) -> Result<Vec<(Option<TokenPrefix>, u64)>, StoreError> {
        read::prefixes(&self.server).await
    }

    async fn pepper_checks(&self) -> Result<PepperChecks, StoreError> {
        read::pepper_checks(&self.server).await
    }

    async fn keep_pepper_check(
        &self,
        version: PepperVersion,
        check: PepperCheck,
    ) -> Result<PepperCheck, StoreError> {
        self.write(write::KEEPING, move |server| async move {
            write::keep_pepper_check(&server, version, &check).await
        })
        .await
    }

    async fn erase(&self, erasure: Erasure) -> Result<(), StoreError> {
        self.write(write::ERASING, |server| async move { write::erase(&server, &erasure).await })
            .await
    }
}

#[async_trait]
impl LastUses for RedisStore {
    async fn record_usage(&self, batch: &[(UserId, LastUse)]) -> Result<(), StoreError> {
        let recording = write::Recording::of(&self.server, batch).await?;
        self.write(write::USAGE, |server| async move { recording.make(&server).await }).await
    }

    async fn usage(&self, user: &UserId) -> Result<Vec<LastUse>, StoreError> {
        read::usage(&self.server, user).await
    }
}

#[async_trait]
impl ChangeFeed for RedisStore {
    async fn changes(&self) -> Result<Feed, StoreError> {
        let subscriber = Arc::new(Subscriber::new(&self.server));
        self.listener.feed(subscriber, self).await
    }

    async fn heartbeat(&self, id: u64) -> Result<(), StoreError> {
        write::heartbeat(&self.server, id).await
    }
}

#[async_trait]
impl AuditLog for RedisStore {
    async fn audit(
        &self,
        after: AuditPosition,
        size: PageSize,
    ) -> Result<Vec<(AuditPosition, AuditItem)>, StoreError> {
        audit::audit(&self.server, after, size).await
    }

    async fn audit_end(&self) -> Result<AuditPosition, StoreError> {
        audit::end(&self.server).await
    }

    /// Goes on where the last call has ended, so that a long log is not read from its
    /// beginning each time; it has found nothing when it has read all of it.
    async fn prune_audit(&self, before: Timestamp) -> Result<u64, StoreError> {
        /// How many entries one call removes, give or take a piece.
        const ENOUGH: u64 = 10_000;

        let (mut removed, mut from_the_beginning) = (0, self.server.begins_to_prune());
        loop {
            let prune = |server: Arc<Server>| async move { audit::prune(&server, before).await };
            let (more, at_the_end) = self.write(audit::PRUNING, prune).await?;
            removed += more;
            if removed >= ENOUGH || at_the_end && (removed > 0 || from_the_beginning) {
                return Ok(removed);
            }
            from_the_beginning |= at_the_end;
        }
    }

    async fn audit_cursors(&self) -> Result<Vec<AuditCursor>, StoreError> {
        audit::cursors(&self.server).await
    }

    async fn lease_cursor(
        &self,
        name: &str,
        holder: u64,
        time: Duration,
    ) -> Result<Option<AuditPosition>, StoreError> {
        let name = name.to_owned();
        self.write(audit::LEASING, move |server| async move {
            audit::lease(&server, &name, holder, time).await
        })
        .await
    }

    async fn move_cursor(
        &self,
        name: &str,
        holder: u64,
        to: AuditPosition,
    ) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.write(audit::MOVING, move |server| async move {
            audit::move_cursor(&server, &name, holder, to).await
        })
        .await
    }

    async fn keep_done(
        &self,
        name: &str,
        holder: u64,
        done: &[AuditPosition],
    ) -> Result<bool, StoreError> {
        let (name, done) = (name.to_owned(), done.to_vec());
        self.write(audit::KEEPING, move |server| async move {
            audit::keep_done(&server, &name, holder, &done).await
        })
        .await
    }

    async fn done(&self, name: &str) -> Result<Vec<AuditPosition>, StoreError> {
        audit::done(&self.server, name).await
    }

    async fn remove_cursor(&self, name: &str) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.write(
            audit::REMOVING,
            |server| async move { audit::remove_cursor(&server, &name).await },
        )
        .await
    }
}
