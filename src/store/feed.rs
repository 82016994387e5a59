//! What tells other nodes, processes and caches of a change.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use futures_core::Stream;

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
    /// with them, to every feed including the sender's own. By its number, which may
    /// be any and is chosen at random, the sender recognises it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it could not be sent.
    async fn heartbeat(&self, id: u64) -> Result<(), StoreError>;
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

/// What a feed delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeedItem {
    /// An account has changed.
    Change(Change),
    /// A heartbeat has come through: the number that its sender gave it.
    Heartbeat(u64),
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

/// How many bytes of items wait for one subscriber; one that falls further
/// behind has lost them, and is told so. It is enough for the changes of a
/// hundred thousand accounts with a token or two, so for a batch of them.
const QUEUE: usize = 16 << 20;

/// The in-process end of a feed: hands every item to every feed that was subscribed
/// before it.
#[derive(Default)]
pub(crate) struct FeedHub(Mutex<Vec<Weak<Subscriber>>>);

impl FeedHub {
    pub(crate) fn subscribe(&self) -> Feed {
        let subscriber = Arc::new(Subscriber::default());
        self.subscribers();
        lock(&self.0).push(Arc::downgrade(&subscriber));
        Feed::new(Subscription(subscriber))
    }

    /// How many feeds there are. Those that were dropped are forgotten.
    pub(crate) fn subscribers(&self) -> usize {
        let mut subscribers = lock(&self.0);
        subscribers.retain(|subscriber| subscriber.strong_count() > 0);
        subscribers.len()
    }

    /// Never waits for a subscriber. Those who wait for an item are woken when
    /// what is returned is dropped, which a caller who holds a lock does after it.
    pub(crate) fn send(&self, item: &FeedItem) -> Wakes {
        let mut wakes = Vec::new();
        lock(&self.0).retain(|subscriber| match subscriber.upgrade() {
            Some(subscriber) => {
                subscriber.push(item.clone());
                wakes.push(subscriber);
                true
            }
            None => false,
        });
        Wakes(wakes)
    }
}

impl Drop for FeedHub {
    fn drop(&mut self) {
        let subscribers = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        let subscribers: Vec<_> = subscribers.iter().filter_map(Weak::upgrade).collect();
        subscribers.iter().for_each(|subscriber| lock(&subscriber.0).ended = true);
        drop(Wakes(subscribers));
    }
}

/// Subscribers to be woken: outside every lock, since a waker may run anything.
pub(crate) struct Wakes(Vec<Arc<Subscriber>>);

impl Drop for Wakes {
    fn drop(&mut self) {
        self.0.iter().for_each(|subscriber| subscriber.wake());
    }
}

#[derive(Default)]
struct Subscriber(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    items: VecDeque<FeedItem>,
    /// What they take up.
    bytes: usize,
    ended: bool,
    waker: Option<Waker>,
}

impl Queue {
    fn push(&mut self, item: FeedItem) {
        self.bytes += bytes_of(&item);
        self.items.push_back(item);
    }

    fn pop(&mut self) -> Option<FeedItem> {
        let item = self.items.pop_front()?;
        self.bytes -= bytes_of(&item);
        Some(item)
    }
}

fn bytes_of(item: &FeedItem) -> usize {
    let more = match item {
        FeedItem::Change(change) => change.user.as_str().len() + size_of_val(&*change.digests),
        FeedItem::Heartbeat(_) | FeedItem::Lost => 0,
    };
    size_of_val(item) + more
}

impl Subscriber {
    fn push(&self, item: FeedItem) {
        let mut queue = lock(&self.0);
        if queue.bytes + bytes_of(&item) > QUEUE {
            (queue.items, queue.bytes) = (VecDeque::new(), 0);
            queue.push(FeedItem::Lost);
        }
        queue.push(item);
    }

    fn wake(&self) {
        let waker = lock(&self.0).waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

struct Subscription(Arc<Subscriber>);

impl Stream for Subscription {
    type Item = FeedItem;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<FeedItem>> {
        let mut queue = lock(&self.0.0);
        if let Some(item) = queue.pop() {
            return Poll::Ready(Some(item));
        }
        if queue.ended {
            return Poll::Ready(None);
        }
        let former = queue.waker.replace(cx.waker().clone());
        drop(queue);
        // The end of a waker may run anything, too.
        drop(former);
        Poll::Pending
    }
}

/// No code that holds these locks can panic half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(number: u64) -> FeedItem {
        FeedItem::Heartbeat(number)
    }

    fn next(feed: &mut Feed) -> Poll<Option<FeedItem>> {
        Pin::new(feed).poll_next(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn every_subscriber_gets_every_later_item_in_order() {
        let hub = FeedHub::default();
        let mut early = hub.subscribe();
        hub.send(&beat(1));
        let mut late = hub.subscribe();
        hub.send(&beat(2));
        assert_eq!(next(&mut early), Poll::Ready(Some(beat(1))));
        assert_eq!(next(&mut early), Poll::Ready(Some(beat(2))));
        assert_eq!(next(&mut early), Poll::Pending);
        assert_eq!(next(&mut late), Poll::Ready(Some(beat(2))));
        drop(hub);
        assert_eq!(next(&mut late), Poll::Ready(None));
    }

    #[test]
    fn a_dropped_feed_leaves_nothing_behind() {
        let hub = FeedHub::default();
        let kept = hub.subscribe();
        for _ in 0..3 {
            assert_eq!(hub.subscribers(), 1);
            drop(hub.subscribe());
        }
        assert_eq!(lock(&hub.0).len(), 2);
        drop(kept);
        assert_eq!(hub.subscribers(), 0);
    }

    #[test]
    fn a_subscriber_that_falls_behind_is_told_that_it_lost_items() {
        let hub = FeedHub::default();
        let mut feed = hub.subscribe();
        let fit = (QUEUE / bytes_of(&beat(0))) as u64;
        for number in 0..=fit {
            hub.send(&beat(number));
        }
        assert_eq!(next(&mut feed), Poll::Ready(Some(FeedItem::Lost)));
        assert_eq!(next(&mut feed), Poll::Ready(Some(beat(fit))));
    }

    #[test]
    fn a_batch_of_changes_does_not_overrun_a_queue_that_was_emptied_before() {
        let hub = FeedHub::default();
        let mut feed = hub.subscribe();
        let user = crate::user::UserId::new("a user with a name of some length").unwrap();
        let digests = vec![crate::token::TokenDigest::from_bytes([7; 32]); 2];
        for _ in 0..3 {
            for revision in 1..=50_000 {
                let revision = crate::account::Revision::from_u64(revision);
                let change = crate::store::Change::new(user.clone(), revision, digests.clone());
                hub.send(&FeedItem::Change(change));
            }
            for _ in 0..50_000 {
                assert!(matches!(next(&mut feed), Poll::Ready(Some(FeedItem::Change(_)))));
            }
        }
        assert_eq!(next(&mut feed), Poll::Pending);
    }

    /// A waker that uses the hub, as one that runs its task at once may.
    #[test]
    fn whoever_is_woken_may_use_the_feed_at_once() {
        struct Subscribes(Arc<FeedHub>);
        impl std::task::Wake for Subscribes {
            fn wake(self: Arc<Self>) {
                drop(self.0.subscribe());
                self.0.send(&beat(2));
            }
        }
        let hub = Arc::new(FeedHub::default());
        let mut feed = hub.subscribe();
        let waker = Waker::from(Arc::new(Subscribes(Arc::clone(&hub))));
        let waiting = Pin::new(&mut feed).poll_next(&mut Context::from_waker(&waker));
        assert_eq!(waiting, Poll::Pending);
        let (done, is_done) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            hub.send(&beat(1));
            done.send(()).unwrap();
        });
        let limit = std::time::Duration::from_secs(60);
        is_done.recv_timeout(limit).expect("the sender holds no lock when it wakes");
        assert_eq!(next(&mut feed), Poll::Ready(Some(beat(1))));
        assert_eq!(next(&mut feed), Poll::Ready(Some(beat(2))));
    }
}
