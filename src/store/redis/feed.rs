//! The feed: one connection of the store's own that listens, and the messages that
//! arrive on it.
//!
//! A message is `h` and a heartbeat's number, or `c`, a revision, a space, the
//! number of digests, a space, the digests and the user. Whatever else comes
//! means that changes were missed.

use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ProtocolVersion, PushInfo, PushKind, RedisResult, Value,
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use super::connection::Server;
use super::error::store_error;
use super::failover::Failover;
use crate::account::Revision;
use crate::store::feed::FeedHub;
use crate::store::server::{LISTENING, Listen, PAUSE, TIMEOUT};
use crate::store::{Change, FeedItem, StoreError, StoreErrorKind};
use crate::token::TokenDigest;
use crate::user::UserId;

/// Subscribes to the deployment's channel.
pub(super) struct Subscriber {
    failover: Arc<Failover>,
    channel: String,
}

impl Subscriber {
    pub(super) fn new(server: &Server) -> Self {
        Self { failover: Arc::clone(&server.failover), channel: server.keys.channel.clone() }
    }

    async fn subscribe(
        &self,
        client: &Client,
        config: &AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        let client = able_to_push(client)?;
        let mut connection = client.get_multiplexed_async_connection_with_config(config).await?;
        let mut subscribe = redis::cmd("SSUBSCRIBE");
        ask(&mut connection, subscribe.arg(&self.channel)).await?;
        Ok(connection)
    }
}

/// The client, but one that can be told something unasked.
fn able_to_push(client: &Client) -> RedisResult<Client> {
    let info = client.get_connection_info().clone();
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Client::open(info.set_redis_settings(settings))
}

async fn ask(connection: &mut MultiplexedConnection, command: &Cmd) -> RedisResult<Value> {
    connection.send_packed_command(command).await.and_then(Value::extract_error)
}

/// A connection that has subscribed, to the server of that generation.
pub(super) struct Session {
    failover: Arc<Failover>,
    generation: u64,
    connection: MultiplexedConnection,
    pushes: UnboundedReceiver<PushInfo>,
    hub: Arc<FeedHub>,
}

impl Listen for Subscriber {
    type Session = Session;

    async fn open(&self, hub: Arc<FeedHub>) -> Result<Session, StoreError> {
        let (sender, pushes) = unbounded_channel();
        let config = AsyncConnectionConfig::new()
            .set_push_sender(sender)
            .set_connection_timeout(Some(TIMEOUT))
            .set_response_timeout(Some(TIMEOUT));
        let (generation, client) = self.failover.client();
        let connection = self.subscribe(&client, &config).await.map_err(|error| {
            self.failover.on_error(generation, &error);
            store_error(LISTENING, error)
        })?;
        Ok(Session { failover: Arc::clone(&self.failover), generation, connection, pushes, hub })
    }

    async fn listen(mut session: Session) -> StoreError {
        loop {
            match timeout(PAUSE, session.pushes.recv()).await {
                Ok(Some(push)) if session.deliver(&push) => {}
                Ok(_) => return ended(),
                Err(_) if session.is_outdated() => return ended(),
                Err(_) => {
                    if let Err(error) = ask(&mut session.connection, &redis::cmd("PING")).await {
                        return store_error(LISTENING, error);
                    }
                }
            }
        }
    }
}

impl Session {
    /// Hands on what was pushed; whether the subscription goes on.
    fn deliver(&self, push: &PushInfo) -> bool {
        match (&push.kind, &push.data[..]) {
            (PushKind::SMessage, [_, Value::BulkString(message)]) => {
                self.hub.send(&read(message));
            }
            // The slot has moved to another server, or the connection is gone.
            (PushKind::SUnsubscribe | PushKind::Disconnection, _) => return false,
            _ => {}
        }
        !self.is_outdated()
    }

    /// Whether the store asks another server by now: what is written there is
    /// not told of here.
    fn is_outdated(&self) -> bool {
        self.failover.generation() != self.generation
    }
}

fn ended() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, LISTENING).with_source(Ended)
}

/// Why a subscription is over.
#[derive(Debug, thiserror::Error)]
#[error("the connection has ended, or leads to a server that is asked no more")]
struct Ended;

/// The message that carries a heartbeat.
pub(super) fn heartbeat(id: u64) -> String {
    format!("h{id}")
}

/// What a message says.
fn read(message: &[u8]) -> FeedItem {
    let item = match message.split_first() {
        Some((b'h', id)) => number(id).map(FeedItem::Heartbeat),
        Some((b'c', change)) => read_change(change).map(FeedItem::Change),
        _ => None,
    };
    item.unwrap_or(FeedItem::Lost)
}

fn read_change(change: &[u8]) -> Option<Change> {
    let (revision, rest) = until_space(change)?;
    let (count, rest) = until_space(rest)?;
    let length = usize::try_from(number(count)?).ok()?.checked_mul(32)?;
    let (digests, user) = rest.split_at_checked(length)?;
    let mut digests = digests.as_chunks::<32>().0.to_vec();
    digests.sort_unstable();
    let digests: Vec<_> = digests.into_iter().map(TokenDigest::from_bytes).collect();
    let user = UserId::new(std::str::from_utf8(user).ok()?).ok()?;
    Some(Change::new(user, Revision::from_u64(number(revision)?), digests))
}

fn until_space(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = bytes.iter().position(|&byte| byte == b' ')?;
    Some((&bytes[..space], &bytes[space + 1..]))
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_read_with_its_digests_and_its_user() {
        let message = [b"c7 2 ", &[2; 32][..], &[1; 32][..], b"alice in chains"].concat();
        let digests = [1, 2].map(|byte| TokenDigest::from_bytes([byte; 32]));
        let user = UserId::new("alice in chains").unwrap();
        let change = Change::new(user, Revision::from_u64(7), digests.to_vec());
        assert_eq!(read(&message), FeedItem::Change(change));
    }

    #[test]
    fn a_heartbeat_keeps_its_number() {
        for id in [0, 1, u64::MAX] {
            assert_eq!(read(heartbeat(id).as_bytes()), FeedItem::Heartbeat(id));
        }
    }

    #[test]
    fn what_cannot_be_read_is_a_loss() {
        let short = [b"c1 2 ", &[1; 32][..], b"alice"].concat();
        let huge = format!("c1 {} alice", u64::MAX);
        let others: [&[u8]; 9] =
            [b"", b"l", b"h", b"h-1", b"c", b"c1", b"c1 0 ", b"c1 0 \xff", b"c1 x alice"];
        for message in others.into_iter().chain([&short[..], huge.as_bytes()]) {
            assert_eq!(read(message), FeedItem::Lost, "{message:?}");
        }
    }
}
