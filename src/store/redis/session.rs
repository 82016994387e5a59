//! One connection of the store's own, on which messages arrive.

use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ProtocolVersion, PushInfo, PushKind, RedisError, Value,
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use super::failure::unavailable;
use super::link::Link;
use super::message;
use crate::store::feed::FeedHub;
use crate::store::listener::{LISTENING, Listen, PATIENCE, PAUSE};
use crate::store::{StoreError, StoreErrorKind};

/// Subscribes to the deployment's channel.
pub(super) struct Subscriber {
    client: Client,
    channel: String,
}

impl Subscriber {
    pub(super) fn new(link: &Link) -> Self {
        Self { client: link.client.clone(), channel: link.keys.channel.clone() }
    }

    /// The client, but one that can be told something unasked.
    fn client(&self) -> Result<Client, RedisError> {
        let info = self.client.get_connection_info().clone();
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        Client::open(info.set_redis_settings(settings))
    }
}

/// A connection that has subscribed.
pub(super) struct Session {
    connection: MultiplexedConnection,
    pushes: UnboundedReceiver<PushInfo>,
    hub: Arc<FeedHub>,
}

impl Listen for Subscriber {
    type Session = Session;

    async fn open(&self, hub: Arc<FeedHub>) -> Result<Session, StoreError> {
        let failed = |error| unavailable(LISTENING, error);
        let (sender, pushes) = unbounded_channel();
        let config = AsyncConnectionConfig::new()
            .set_push_sender(sender)
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let client = self.client().map_err(failed)?;
        let connection = client.get_multiplexed_async_connection_with_config(&config).await;
        let mut session = Session { connection: connection.map_err(failed)?, pushes, hub };
        session.ask(redis::cmd("SSUBSCRIBE").arg(&self.channel)).await?;
        Ok(session)
    }

    async fn listen(mut session: Session) -> StoreError {
        loop {
            match timeout(PAUSE, session.pushes.recv()).await {
                Ok(Some(push)) if session.hears(&push) => {}
                Ok(_) => return StoreError::new(StoreErrorKind::Unavailable, LISTENING),
                Err(_) => {
                    if let Err(error) = session.ask(&redis::cmd("PING")).await {
                        return error;
                    }
                }
            }
        }
    }
}

impl Session {
    async fn ask(&mut self, command: &redis::Cmd) -> Result<(), StoreError> {
        let answer = self.connection.send_packed_command(command).await;
        answer.map(drop).map_err(|error| unavailable(LISTENING, error))
    }

    /// Hands on what was pushed; whether the subscription goes on.
    fn hears(&self, push: &PushInfo) -> bool {
        match (&push.kind, &push.data[..]) {
            (PushKind::SMessage, [_, Value::BulkString(message)]) => {
                self.hub.send(&message::read(message));
                true
            }
            // The slot has moved to another server, or the connection is gone.
            (PushKind::SUnsubscribe | PushKind::Disconnection, _) => false,
            _ => true,
        }
    }
}
