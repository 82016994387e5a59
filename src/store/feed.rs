//! What tells other nodes, processes and caches of a change.

mod hub;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use futures_core::Stream;

pub(crate) use self::hub::{FeedHub, Sleepers};
use crate::account::{Account, Revision};
use crate::store::StoreError;
use crate::token::TokenDigest;
use crate::user::UserId;

/// Tells of every change, whichever node or process makes it: a capability of an
/// [`AccountStore`](super::AccountStore), by which a `CachedStore` forgets at once
/// what is no longer true.
///
/// # The contract
///
/// * Every change reaches every feed that was open before it was made, in the order
///   of the account's revisions.
/// * A message never comes before its change can be read: from then on `find` and
///   `load` of every node answer by it. Where both are made in one transaction,
///   the message leaves when that has committed.
/// * A feed that may have missed something says [`FeedItem::Lost`] before anything
///   that follows: above all when it has connected anew. One that is silent about it
///   lets a revoked token live in caches.
/// * A heartbeat travels the way of the changes and in order with them, so that its
///   echo proves that all before it have come.
#[async_trait]
pub trait ChangeFeed: Send + Sync {
    /// A feed of every change from now on, made by any node or process.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if no feed can be opened.
    async fn changes(&self) -> Result<Feed, StoreError>;

    /// Sends a heartbeat through the channel that carries the changes, in order
    /// with them, to every feed including the sender's own. Its number may be any
    /// of 64 bits.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it could not be sent.
    async fn heartbeat(&self, id: HeartbeatId) -> Result<(), StoreError>;
}

/// One change of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Whose account changed.
    pub user: UserId,
    /// Its revision after the change.
    pub revision: Revision,
    /// Every digest that the account named before the change or names after
    /// it, if they are [complete](Self::complete).
    pub digests: Arc<[TokenDigest]>,
    /// Whether `digests` has all of them. If not, they were too many for a
    /// message: then nothing that was known of this user holds, and neither does
    /// of any digest that no account names it or that it is being looked up.
    pub complete: bool,
}

impl Change {
    /// A change with these parts.
    #[must_use]
    pub fn new(user: UserId, revision: Revision, digests: impl Into<Arc<[TokenDigest]>>) -> Self {
        Self { user, revision, digests: digests.into(), complete: true }
    }

    /// A change of which only the user is known, and no digest.
    #[must_use]
    pub fn of_user(user: UserId, revision: Revision) -> Self {
        Self { complete: false, ..Self::new(user, revision, []) }
    }

    /// The change that put `after` in the place of `before`.
    #[must_use]
    pub fn between(before: Option<&Account>, after: &Account) -> Self {
        let before = before.into_iter().flat_map(Account::digests);
        let digests = before.chain(after.digests()).map(|stored| stored.digest);
        let mut digests: Vec<_> = digests.collect();
        digests.sort_unstable_by_key(|digest| *digest.as_bytes());
        digests.dedup();
        Self::new(after.user().clone(), after.revision(), digests)
    }
}

/// Names one heartbeat, so that its sender recognises its echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HeartbeatId(u64);

impl HeartbeatId {
    /// The heartbeat with this number, chosen at random by its sender.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// What a feed delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeedItem {
    /// An account has changed.
    Change(Change),
    /// A heartbeat has come through.
    Heartbeat(HeartbeatId),
    /// Changes may have been missed (a broken connection, a message that could
    /// not be read): nothing known before holds.
    Lost,
}

/// A stream of changes, in the order in which they were made to each account.
///
/// It ends only with its store. Dropping it closes it.
pub struct Feed(Pin<Box<dyn Stream<Item = FeedItem> + Send>>);

impl Feed {
    /// A feed that delivers what `stream` yields.
    #[must_use]
    pub fn new(stream: impl Stream<Item = FeedItem> + Send + 'static) -> Self {
        Self(Box::pin(stream))
    }
}

impl Stream for Feed {
    type Item = FeedItem;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<FeedItem>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Feed")
    }
}
