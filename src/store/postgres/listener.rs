//! The one listener of a store, and the feeds that it serves.

use std::future::poll_fn;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::session::{Connect, LISTENING, Session};
use crate::store::feed::FeedHub;
use crate::store::{Feed, FeedItem, HeartbeatId, StoreError, StoreErrorKind};

/// How long a message may take from the pool's connection to the listener's.
const ECHO: Duration = Duration::from_secs(5);

/// The pause before the first attempt to listen again; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Listens until it is dropped, on one connection after the other.
pub(super) struct Listener {
    hub: Arc<FeedHub>,
    task: JoinHandle<()>,
}

impl Listener {
    pub(super) async fn start(connect: Arc<dyn Connect>) -> Result<Self, StoreError> {
        let hub = Arc::new(FeedHub::default());
        let session = Session::open(&*connect, Arc::clone(&hub)).await?;
        let task = tokio::spawn(keep_listening(connect, Arc::clone(&hub), session));
        Ok(Self { hub, task })
    }

    pub(super) fn subscribe(&self) -> Feed {
        self.hub.subscribe()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Tells of a loss when a connection has broken, so that nothing old is trusted
/// meanwhile, and again when the next one listens: what was learnt between the
/// two may have been outdated at once, unheard.
async fn keep_listening(connect: Arc<dyn Connect>, hub: Arc<FeedHub>, mut session: Session) {
    loop {
        let error = session.listen().await;
        crate::events::store_failed(&error);
        hub.send(&FeedItem::Lost);
        session = listen_again(&*connect, &hub).await;
        hub.send(&FeedItem::Lost);
    }
}

async fn listen_again(connect: &dyn Connect, hub: &Arc<FeedHub>) -> Session {
    let mut pause = FIRST_PAUSE;
    loop {
        sleep(pause).await;
        match Session::open(connect, Arc::clone(hub)).await {
            Ok(session) => return session,
            Err(error) => crate::events::store_failed(&error),
        }
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// Why a store has no feed.
#[derive(Debug, thiserror::Error)]
enum FeedError {
    #[error("the store was not told how to open a connection to listen on")]
    NotConfigured,
    #[error(
        "a message sent through the pool did not reach the listening connection: both must lead \
         to one database, and no pooler that works by transaction may stand before the latter"
    )]
    NoEcho,
}

pub(super) fn not_configured() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, LISTENING).with_source(FeedError::NotConfigured)
}

/// A number that nobody else is likely to choose.
pub(super) fn probe() -> u64 {
    RandomState::new().hash_one(LISTENING)
}

/// Reads the feed up to the heartbeat.
pub(super) async fn wait_for(feed: &mut Feed, heartbeat: HeartbeatId) -> Result<(), StoreError> {
    let echo = async {
        loop {
            match poll_fn(|cx| Pin::new(&mut *feed).poll_next(cx)).await {
                Some(FeedItem::Heartbeat(id)) if id == heartbeat => return Some(()),
                Some(_) => {}
                None => return None,
            }
        }
    };
    timeout(ECHO, echo).await.ok().flatten().ok_or_else(no_echo)
}

fn no_echo() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, LISTENING).with_source(FeedError::NoEcho)
}
