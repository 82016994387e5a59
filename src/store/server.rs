//! What the stores in front of a server share: writes that outlive their callers, and
//! the one listener that has the changes from the server and serves all feeds.

use std::future::poll_fn;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::feed::FeedHub;
use super::{ChangeFeed, Feed, FeedItem, StoreError, StoreErrorKind};

/// Runs `work` in a task of its own, so that a caller that is dropped half-way
/// cannot stop it.
pub(crate) async fn to_its_end<T: Send + 'static>(
    doing: &'static str,
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::spawn(work).await {
        Ok(answer) => answer,
        // Only a runtime that is being shut down stops it.
        Err(stopped) => {
            Err(StoreError::new(StoreErrorKind::Unavailable, doing).with_source(stopped))
        }
    }
}

pub(crate) const LISTENING: &str = "listening for changes";

/// How long opening a connection may take, and how long the server may take to
/// answer on it.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(2);

/// The pause between two questions whether the server is still there. The
/// operating system would notice a cut connection after minutes only.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);

/// How long a message may take from a connection that sends to the listener.
const ECHO: Duration = Duration::from_secs(5);

/// The pause before the first attempt to listen again; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A way to listen to a server.
pub(crate) trait Listen: Send + Sync + 'static {
    /// A connection that listens, and hands what it receives to a hub.
    type Session: Send;

    /// Opens a connection and listens: every change made from then on is received.
    fn open(
        &self,
        hub: Arc<FeedHub>,
    ) -> impl Future<Output = Result<Self::Session, StoreError>> + Send;

    /// Receives what comes until the connection breaks.
    fn listen(session: Self::Session) -> impl Future<Output = StoreError> + Send;
}

/// A listener that is started when it is first needed.
#[derive(Default)]
pub(crate) struct LazyListener(Mutex<Option<Listener>>);

impl LazyListener {
    /// A feed that is known to work: a heartbeat of the store has come back
    /// through it.
    pub(crate) async fn feed(
        &self,
        listen: Arc<impl Listen>,
        store: &impl ChangeFeed,
    ) -> Result<Feed, StoreError> {
        let mut feed = self.subscribe(listen).await?;
        let probe = RandomState::new().hash_one(LISTENING);
        store.heartbeat(probe).await?;
        let echo = timeout(ECHO, has_come(&mut feed, probe)).await;
        echo.unwrap_or(false).then_some(feed).ok_or_else(no_echo)
    }

    async fn subscribe(&self, listen: Arc<impl Listen>) -> Result<Feed, StoreError> {
        let mut listener = self.0.lock().await;
        let listener = match &mut *listener {
            Some(listener) => listener,
            none => none.insert(Listener::start(listen).await?),
        };
        Ok(listener.hub.subscribe())
    }
}

/// Reads the feed up to the heartbeat; whether it was there.
async fn has_come(feed: &mut Feed, heartbeat: u64) -> bool {
    while let Some(item) = poll_fn(|cx| Pin::new(&mut *feed).poll_next(cx)).await {
        if item == FeedItem::Heartbeat(heartbeat) {
            return true;
        }
    }
    false
}

fn no_echo() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, LISTENING).with_source(NoEcho)
}

/// Why a feed that could be opened is of no use.
#[derive(Debug, thiserror::Error)]
#[error(
    "a message sent by this node did not reach its listening connection: both must lead to one \
     database, and no pooler that works by transaction may stand before the latter"
)]
struct NoEcho;

/// Listens until it is dropped, on one connection after the other.
struct Listener {
    hub: Arc<FeedHub>,
    task: JoinHandle<()>,
}

impl Listener {
    async fn start<L: Listen>(listen: Arc<L>) -> Result<Self, StoreError> {
        let hub = Arc::new(FeedHub::default());
        let session = listen.open(Arc::clone(&hub)).await?;
        let task = tokio::spawn(keep_listening(listen, Arc::clone(&hub), session));
        Ok(Self { hub, task })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Tells of a loss when a connection has broken, so that nothing old is trusted
/// meanwhile, and again when the next one listens: what was learnt between the
/// two may have been outdated at once, without a message.
async fn keep_listening<L: Listen>(listen: Arc<L>, hub: Arc<FeedHub>, mut session: L::Session) {
    loop {
        let error = L::listen(session).await;
        error.log();
        hub.send(&FeedItem::Lost);
        session = listen_again(&*listen, &hub).await;
        hub.send(&FeedItem::Lost);
    }
}

async fn listen_again<L: Listen>(listen: &L, hub: &Arc<FeedHub>) -> L::Session {
    let mut pause = FIRST_PAUSE;
    loop {
        sleep(pause).await;
        match listen.open(Arc::clone(hub)).await {
            Ok(session) => return session,
            Err(error) => error.log(),
        }
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}
