//! A store at the other end of a link that a test can disturb.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use futures_core::Stream;
use tokio::sync::watch;
use tower_api_token::account::{Account, LastUse, Revision};
use tower_api_token::audit::AuditEntry;
use tower_api_token::store::{
    AccountStore, ChangeFeed, Erasure, Feed, FeedItem, LastUses, Loaded, MemoryStore, Page,
    PageSize, Replacement, StoreError, StoreErrorKind, TokenStore,
};
use tower_api_token::token::{PepperCheck, PepperChecks, PepperVersion, TokenDigest, TokenPrefix};
use tower_api_token::user::UserId;

/// How one kind of call fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Works,
    Fails,
    Panics,
    /// It does its work, but the answer is lost.
    LosesItsAnswer,
}

/// What a feed delivers of what it hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hearing {
    Everything,
    /// Heartbeats alone, as a bus that loses messages.
    NoChanges,
    /// As behind a pooler to which LISTEN means nothing.
    NoHeartbeats,
    /// As a connection that is half open.
    Nothing,
}

/// One node's link to the store that all share.
#[derive(Clone)]
pub(crate) struct Link(Arc<Inner>);

struct Inner {
    store: Arc<MemoryStore>,
    /// Look-ups that have read their row.
    finds: AtomicUsize,
    /// Those that have not answered yet.
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    /// Whether a look-up waits between reading its row and answering.
    held: watch::Sender<bool>,
    find_fate: Mutex<Fate>,
    write_fate: Mutex<Fate>,
    /// Whether a change waits after it was done, and a use before it is.
    write_held: watch::Sender<bool>,
    bus_down: AtomicBool,
    /// Whether opening a feed and sending a heartbeat hang for ever.
    bus_hangs: AtomicBool,
    hearing: Mutex<Hearing>,
    feeds: Mutex<Feeds>,
    opened: AtomicUsize,
    last_heartbeat: Mutex<Option<u64>>,
}

/// What tests put into the feed beside what it hears.
#[derive(Default)]
struct Feeds {
    put: VecDeque<Option<FeedItem>>,
    waker: Option<Waker>,
}

fn unavailable() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "crossing the link")
}

impl Link {
    pub(crate) fn to(store: Arc<MemoryStore>) -> Self {
        Self(Arc::new(Inner {
            store,
            finds: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
            held: watch::Sender::new(false),
            find_fate: Mutex::new(Fate::Works),
            write_fate: Mutex::new(Fate::Works),
            write_held: watch::Sender::new(false),
            bus_down: AtomicBool::new(false),
            bus_hangs: AtomicBool::new(false),
            hearing: Mutex::new(Hearing::Everything),
            feeds: Mutex::default(),
            opened: AtomicUsize::new(0),
            last_heartbeat: Mutex::new(None),
        }))
    }

    /// How many look-ups have reached the store.
    pub(crate) fn finds(&self) -> usize {
        self.0.finds.load(Ordering::SeqCst)
    }

    pub(crate) fn under_way(&self) -> usize {
        self.0.under_way.load(Ordering::SeqCst)
    }

    /// The most look-ups that were under way at once.
    pub(crate) fn most_under_way(&self) -> usize {
        self.0.most_under_way.load(Ordering::SeqCst)
    }

    /// How many feeds were opened.
    pub(crate) fn opened(&self) -> usize {
        self.0.opened.load(Ordering::SeqCst)
    }

    /// The heartbeat that was sent last, whether it got through or not.
    pub(crate) fn last_heartbeat(&self) -> u64 {
        self.0.last_heartbeat.lock().unwrap().expect("a heartbeat was sent")
    }

    /// Holds look-ups between reading their row and answering, or lets them go.
    pub(crate) fn hold(&self, held: bool) {
        self.0.held.send_replace(held);
    }

    /// Feeds and heartbeats that are tried now hang for ever, or do not.
    pub(crate) fn hang_bus(&self, hangs: bool) {
        self.0.bus_hangs.store(hangs, Ordering::SeqCst);
    }

    pub(crate) fn hold_writes(&self, held: bool) {
        self.0.write_held.send_replace(held);
    }

    pub(crate) fn finds_fare(&self, fate: Fate) {
        *self.0.find_fate.lock().unwrap() = fate;
    }

    pub(crate) fn writes_fare(&self, fate: Fate) {
        *self.0.write_fate.lock().unwrap() = fate;
    }

    pub(crate) fn hear(&self, hearing: Hearing) {
        *self.0.hearing.lock().unwrap() = hearing;
    }

    /// Neither feeds nor heartbeats get through, or they do.
    pub(crate) fn cut_bus(&self, down: bool) {
        self.0.bus_down.store(down, Ordering::SeqCst);
    }

    /// Nothing at all gets through.
    pub(crate) fn part(&self) {
        self.finds_fare(Fate::Fails);
        self.writes_fare(Fate::Fails);
        self.cut_bus(true);
        self.hear(Hearing::Nothing);
    }

    /// Puts an item into the open feed; `None` ends it.
    pub(crate) fn put(&self, item: Option<FeedItem>) {
        let mut feeds = self.0.feeds.lock().unwrap();
        feeds.put.push_back(item);
        if let Some(waker) = feeds.waker.take() {
            waker.wake();
        }
    }

    async fn bus(&self) -> Result<(), StoreError> {
        if self.0.bus_hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let down = self.0.bus_down.load(Ordering::SeqCst);
        if down { Err(unavailable()) } else { Ok(()) }
    }

    fn hears(&self, item: &FeedItem) -> bool {
        let change = matches!(item, FeedItem::Change(_));
        match *self.0.hearing.lock().unwrap() {
            Hearing::Everything => true,
            Hearing::NoChanges => !change,
            Hearing::NoHeartbeats => change,
            Hearing::Nothing => false,
        }
    }

    /// The store, once a read may go on.
    async fn read(&self) -> &MemoryStore {
        Self::wait_until_released(&self.0.held).await;
        &self.0.store
    }

    async fn wait_until_released(held: &watch::Sender<bool>) {
        held.subscribe().wait_for(|held| !held).await.unwrap();
    }
}

/// A look-up between its row and its answer.
struct UnderWay<'a>(&'a Inner);

impl<'a> UnderWay<'a> {
    fn new(inner: &'a Inner) -> Self {
        inner.finds.fetch_add(1, Ordering::SeqCst);
        let now = inner.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        inner.most_under_way.fetch_max(now, Ordering::SeqCst);
        Self(inner)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl TokenStore for Link {
    async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        let row = self.0.store.find(digest).await;
        let _under_way = UnderWay::new(&self.0);
        Self::wait_until_released(&self.0.held).await;
        let fate = *self.0.find_fate.lock().unwrap();
        match fate {
            Fate::Works => row,
            Fate::Fails | Fate::LosesItsAnswer => Err(unavailable()),
            Fate::Panics => panic!("a look-up panics, as this test wants it"),
        }
    }
}

#[async_trait]
impl AccountStore for Link {
    async fn load(&self, user: &UserId) -> Result<Loaded, StoreError> {
        self.read().await.load(user).await
    }

    async fn replace(&self, replacement: Replacement) -> Result<(), StoreError> {
        let mut outcomes = self.replace_many(vec![replacement]).await?;
        outcomes.pop().unwrap()
    }

    async fn replace_many(
        &self,
        replacements: Vec<Replacement>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let fate = *self.0.write_fate.lock().unwrap();
        match fate {
            Fate::Works | Fate::LosesItsAnswer => {}
            Fate::Fails => return Err(unavailable()),
            Fate::Panics => panic!("a write panics, as this test wants it"),
        }
        let outcomes = self.0.store.replace_many(replacements).await;
        Self::wait_until_released(&self.0.write_held).await;
        if fate == Fate::LosesItsAnswer { Err(unavailable()) } else { outcomes }
    }

    async fn list(
        &self,
        after: Option<&UserId>,
        size: PageSize,
    ) -> Result<Page<Arc<Account>>, StoreError> {
        self.read().await.list(after, size).await
    }

    async fn history(
        &self,
        user: &UserId,
        before: Option<Revision>,
        size: PageSize,
    ) -> Result<Page<AuditEntry, Revision>, StoreError> {
        self.read().await.history(user, before, size).await
    }

    fn last_uses(&self) -> Option<&dyn LastUses> {
        Some(self)
    }

    fn feed(&self) -> Option<&dyn ChangeFeed> {
        Some(self)
    }

    async fn pepper_versions(&self) -> Result<Vec<(PepperVersion, u64)>, StoreError> {
        self.read().await.pepper_versions().await
    }

    async fn prefixes(&self) -> Result<Vec<(Option<TokenPrefix>, u64)>, StoreError> {
        self.read().await.prefixes().await
    }

    async fn pepper_checks(&self) -> Result<PepperChecks, StoreError> {
        self.read().await.pepper_checks().await
    }

    async fn keep_pepper_check(
        &self,
        version: PepperVersion,
        check: PepperCheck,
    ) -> Result<PepperCheck, StoreError> {
        self.read().await.keep_pepper_check(version, check).await
    }

    async fn erase(&self, erasure: Erasure) -> Result<(), StoreError> {
        let fate = *self.0.write_fate.lock().unwrap();
        match fate {
            Fate::Works | Fate::LosesItsAnswer => {}
            Fate::Fails => return Err(unavailable()),
            Fate::Panics => panic!("a write panics, as this test wants it"),
        }
        let outcome = self.0.store.erase(erasure).await;
        Self::wait_until_released(&self.0.write_held).await;
        if fate == Fate::LosesItsAnswer { Err(unavailable()) } else { outcome }
    }
}

#[async_trait]
impl LastUses for Link {
    async fn record_usage(&self, batch: &[(UserId, LastUse)]) -> Result<(), StoreError> {
        Self::wait_until_released(&self.0.write_held).await;
        self.0.store.record_usage(batch).await
    }

    async fn usage(&self, user: &UserId) -> Result<Vec<LastUse>, StoreError> {
        self.read().await.usage(user).await
    }
}

#[async_trait]
impl ChangeFeed for Link {
    async fn changes(&self) -> Result<Feed, StoreError> {
        self.bus().await?;
        self.0.feeds.lock().unwrap().put.clear();
        let feed = self.0.store.changes().await?;
        self.0.opened.fetch_add(1, Ordering::SeqCst);
        Ok(Feed::new(Wire { link: self.clone(), feed }))
    }

    async fn heartbeat(&self, id: u64) -> Result<(), StoreError> {
        *self.0.last_heartbeat.lock().unwrap() = Some(id);
        self.bus().await?;
        self.0.store.heartbeat(id).await
    }
}

/// The link's end of a feed.
struct Wire {
    link: Link,
    feed: Feed,
}

impl Stream for Wire {
    type Item = FeedItem;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<FeedItem>> {
        let mut feeds = self.link.0.feeds.lock().unwrap();
        if let Some(item) = feeds.put.pop_front() {
            return Poll::Ready(item);
        }
        feeds.waker = Some(cx.waker().clone());
        drop(feeds);
        loop {
            match Pin::new(&mut self.feed).poll_next(cx) {
                Poll::Ready(Some(item)) if !self.link.hears(&item) => {}
                other => return other,
            }
        }
    }
}
