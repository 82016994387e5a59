//! One connection of the store's own, on which messages arrive.

use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ProtocolVersion, PushInfo, PushKind, RedisResult, Value,
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use super::failure::store_error;
use super::link::Link;
use super::message;
use super::route::Route;
use crate::store::feed::FeedHub;
use crate::store::listener::{LISTENING, Listen, PATIENCE, PAUSE};
use crate::store::{StoreError, StoreErrorKind};

/// Subscribes to the deployment's channel.
pub(super) struct Subscriber {
    route: Arc<Route>,
    channel: String,
}

impl Subscriber {
    pub(super) fn new(link: &Link) -> Self {
        Self { route: Arc::clone(&link.route), channel: link.keys.channel.clone() }
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

/// A connection that has subscribed, by the way of that number.
pub(super) struct Session {
    route: Arc<Route>,
    number: u64,
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
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let (number, client) = self.route.client();
        let connection = self.subscribe(&client, &config).await.map_err(|error| {
            self.route.heed(number, &error);
            store_error(LISTENING, error)
        })?;
        Ok(Session { route: Arc::clone(&self.route), number, connection, pushes, hub })
    }

    async fn listen(mut session: Session) -> StoreError {
        loop {
            match timeout(PAUSE, session.pushes.recv()).await {
                Ok(Some(push)) if session.hears(&push) => {}
                Ok(_) => return ended(),
                Err(_) if session.is_left() => return ended(),
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
    fn hears(&self, push: &PushInfo) -> bool {
        match (&push.kind, &push.data[..]) {
            (PushKind::SMessage, [_, Value::BulkString(message)]) => {
                self.hub.send(&message::read(message));
            }
            // The slot has moved to another server, or the connection is gone.
            (PushKind::SUnsubscribe | PushKind::Disconnection, _) => return false,
            _ => {}
        }
        !self.is_left()
    }

    /// Whether the store asks another server by now: what is written there is
    /// not told of here.
    fn is_left(&self) -> bool {
        self.route.number() != self.number
    }
}

fn ended() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, LISTENING).with_source(Ended)
}

/// Why a subscription is over.
#[derive(Debug, thiserror::Error)]
#[error("the connection has ended, or leads to a server that is asked no more")]
struct Ended;
