//! The feed: one connection of the store's own that listens, and the messages that
//! arrive on it.
//!
//! A message is `h` and a heartbeat's number, or `c`, a revision, the digests
//! in one Base64 string and the user, with spaces between, or `u`, a revision, a
//! space and the user where the digests would not fit. Whatever else comes (the
//! message of a later version) means that changes were missed.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::time::{sleep, timeout};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{AsyncMessage, Client, Config, Error, Socket};

use super::error::{late, not_connected, store_error};
use crate::account::Revision;
use crate::store::feed::FeedHub;
use crate::store::server::{LISTENING, Listen, PAUSE, TIMEOUT};
use crate::store::{Change, FeedItem, StoreError, StoreErrorKind};
use crate::token::TokenDigest;
use crate::user::UserId;

/// A way to open connections.
trait Connect: Send + Sync {
    fn connect(&self) -> Pin<Box<dyn Future<Output = Result<Opened, Error>> + Send + '_>>;
}

/// A connection whose messages wait to be polled.
struct Opened {
    client: Client,
    messages: Messages,
}

/// What a store has been told of how to open connections.
pub(super) struct Connector(Box<dyn Connect>);

impl Connector {
    pub(super) fn new<C, T>(config: C, tls: T) -> Self
    where
        C: Fn() -> Config + Send + Sync + 'static,
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + 'static,
        T::TlsConnect: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        Self(Box::new(ByConfig { config, tls }))
    }
}

type Messages =
    Box<dyn FnMut(&mut Context<'_>) -> Poll<Option<Result<AsyncMessage, Error>>> + Send>;

/// Opens connections as the host has said.
struct ByConfig<C, T> {
    config: C,
    tls: T,
}

impl<C, T> Connect for ByConfig<C, T>
where
    C: Fn() -> Config + Send + Sync,
    T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    T::Stream: Send + 'static,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    fn connect(&self) -> Pin<Box<dyn Future<Output = Result<Opened, Error>> + Send + '_>> {
        Box::pin(async {
            let (client, mut connection) = (self.config)().connect(self.tls.clone()).await?;
            Ok(Opened { client, messages: Box::new(move |cx| connection.poll_message(cx)) })
        })
    }
}

/// A connection that listens.
pub(super) struct Session {
    client: Client,
    receiver: Receiver,
}

impl Listen for Connector {
    type Session = Session;

    async fn open(&self, hub: Arc<FeedHub>) -> Result<Session, StoreError> {
        let opened =
            timeout(TIMEOUT, self.0.connect()).await.map_err(|elapsed| late(LISTENING, elapsed))?;
        let Opened { client, messages } =
            opened.map_err(|error| not_connected(LISTENING, error))?;
        let mut session = Session { client, receiver: Receiver { messages, hub } };
        session.ask(&format!("LISTEN {}", CHANNEL)).await?;
        Ok(session)
    }

    async fn listen(mut session: Session) -> StoreError {
        loop {
            if let Err(error) = session.receiver.during(sleep(PAUSE)).await {
                return error;
            }
            if let Err(error) = session.ask("").await {
                return error;
            }
        }
    }
}

impl Session {
    async fn ask(&mut self, statement: &str) -> Result<(), StoreError> {
        let answer = timeout(TIMEOUT, self.client.batch_execute(statement));
        let answer =
            self.receiver.during(answer).await?.map_err(|elapsed| late(LISTENING, elapsed))?;
        answer.map_err(|error| store_error(LISTENING, error))
    }
}

/// The receiving half of a session.
struct Receiver {
    messages: Messages,
    hub: Arc<FeedHub>,
}

impl Receiver {
    /// Receives what comes while `work` runs, which may need it to get on.
    async fn during<T>(&mut self, work: impl Future<Output = T>) -> Result<T, StoreError> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(error) = self.poll(cx) {
                return Poll::Ready(Err(error));
            }
            work.as_mut().poll(cx).map(Ok)
        })
        .await
    }

    /// Ready when the connection has broken.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<StoreError> {
        loop {
            match std::task::ready!((self.messages)(cx)) {
                Some(Ok(AsyncMessage::Notification(notification))) => {
                    self.hub.send(&read(notification.payload()));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(store_error(LISTENING, error)),
                None => {
                    let closed = StoreError::new(StoreErrorKind::Unavailable, LISTENING);
                    return Poll::Ready(closed);
                }
            }
        }
    }
}

pub(super) fn not_configured() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, LISTENING).with_source(NotConfigured)
}

/// Why a store has no feed.
#[derive(Debug, thiserror::Error)]
#[error("the store was not told how to open a connection to listen on")]
struct NotConfigured;

/// The channel, and the schema of the tables.
pub(super) const CHANNEL: &str = "tower_api_token";

/// The message that carries a heartbeat.
pub(super) fn heartbeat(id: u64) -> String {
    format!("h{id}")
}

/// The longest message that the server takes.
const LONGEST: usize = 7_999;

/// The message that carries a change; its user alone where the digests do not fit.
pub(super) fn change(change: &Change) -> String {
    let digests: Vec<u8> = change.digests.iter().flat_map(TokenDigest::as_bytes).copied().collect();
    let message = format!("c{} {} {}", change.revision, STANDARD.encode(digests), change.user);
    if message.len() > LONGEST {
        return format!("u{} {}", change.revision, change.user);
    }
    message
}

/// What a message says.
fn read(message: &str) -> FeedItem {
    let item = match message.split_at_checked(1) {
        Some(("h", number)) => number.parse().ok().map(FeedItem::Heartbeat),
        Some(("c", change)) => read_change(change).map(FeedItem::Change),
        Some(("u", change)) => read_user(change).map(FeedItem::Change),
        _ => None,
    };
    item.unwrap_or(FeedItem::Lost)
}

fn read_change(change: &str) -> Option<Change> {
    let (revision, rest) = change.split_once(' ')?;
    let (digests, user) = rest.split_once(' ')?;
    let revision = Revision::from_u64(revision.parse().ok()?);
    Some(Change::new(UserId::new(user).ok()?, revision, read_digests(digests)?))
}

fn read_user(change: &str) -> Option<Change> {
    let (revision, user) = change.split_once(' ')?;
    let revision = Revision::from_u64(revision.parse().ok()?);
    Some(Change::of_user(UserId::new(user).ok()?, revision))
}

fn read_digests(digests: &str) -> Option<Vec<TokenDigest>> {
    let bytes = STANDARD.decode(digests).ok()?;
    match bytes.as_chunks::<32>() {
        (digests, []) => Some(digests.iter().copied().map(TokenDigest::from_bytes).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_read_with_its_digests_and_its_user() {
        let digests = [1, 2].map(|byte| TokenDigest::from_bytes([byte; 32]));
        let bytes: Vec<u8> = digests.iter().flat_map(|digest| *digest.as_bytes()).collect();
        let message = format!("c7 {} alice in chains", STANDARD.encode(bytes));
        let user = UserId::new("alice in chains").unwrap();
        let change = Change::new(user, Revision::from_u64(7), digests.to_vec());
        assert_eq!(super::change(&change), message);
        assert_eq!(read(&message), FeedItem::Change(change));
    }

    #[test]
    fn a_change_may_have_no_digest() {
        let change = Change::new(UserId::new("alice").unwrap(), Revision::from_u64(1), []);
        assert_eq!(read("c1  alice"), FeedItem::Change(change));
    }

    #[test]
    fn a_change_may_name_its_user_alone() {
        let user = UserId::new("alice in chains").unwrap();
        let change = Change::of_user(user, Revision::from_u64(7));
        assert_eq!(read("u7 alice in chains"), FeedItem::Change(change));
    }

    #[test]
    fn a_heartbeat_keeps_its_number() {
        for id in [0, 1, u64::MAX] {
            assert_eq!(read(&heartbeat(id)), FeedItem::Heartbeat(id));
        }
    }

    #[test]
    fn what_cannot_be_read_is_a_loss() {
        let other = ["", "l", "x1", "h", "h-1", "h1 ", "c", "c1", "c1 AA== alice", "c1 * alice"];
        let users = ["u", "u1", "u1 ", "ux alice", "u1 a\nb"];
        let changes = ["cx  alice", "c1  ", "c1  a\nb", "é"];
        for message in other.into_iter().chain(changes).chain(users) {
            assert_eq!(read(message), FeedItem::Lost, "{message:?}");
        }
    }
}
