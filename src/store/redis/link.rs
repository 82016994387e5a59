//! The connection to the server, and what its answers mean.

use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{
    Client, Cmd, ErrorKind, Pipeline, RedisError, RedisResult, Script, ServerErrorKind, Value,
};

use super::keys::Keys;
use super::scripts::LOST;
use crate::store::{StoreError, StoreErrorKind};

/// How long the server may take to answer, and to accept a connection.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a change may take to reach enough replicas.
pub(super) const REPLICATION: Duration = Duration::from_secs(1);

/// How a change is confirmed by replicas before it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replication {
    /// There are none, or the host does not want to wait.
    None,
    /// So many have received it: `WAIT`.
    Received(u32),
    /// So many have it on their disk: `WAITAOF`, from Redis 7.2 on.
    Written(u32),
}

/// One deployment on one server.
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) keys: Keys,
    pub(super) replication: Replication,
    /// One connection that all operations share; replaced when it has become
    /// silent.
    connection: RwLock<ConnectionManager>,
    /// What the marker must hold, once it is known.
    deployment: OnceLock<String>,
}

impl Link {
    pub(super) fn new(client: Client, keys: Keys, replication: Replication) -> RedisResult<Self> {
        let connection = RwLock::new(connection(&client)?);
        Ok(Self { client, keys, replication, connection, deployment: OnceLock::new() })
    }

    pub(super) async fn command(&self, command: &Cmd) -> RedisResult<Value> {
        let mut connection = self.connection();
        let answer = connection.send_packed_command(command).await;
        self.replaced_if_silent(answer)
    }

    /// Runs the script that `call` calls; a server that does not have it is
    /// given it.
    pub(super) async fn script(&self, script: &Script, call: &Cmd) -> RedisResult<Value> {
        match self.command(call).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.load(script).await?;
                self.command(call).await
            }
            answer => answer,
        }
    }

    pub(super) async fn load(&self, script: &Script) -> RedisResult<()> {
        let loaded = script.load_async(&mut self.connection()).await;
        self.replaced_if_silent(loaded).map(drop)
    }

    pub(super) async fn pipeline(&self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        let answer = pipeline.query_async(&mut self.connection()).await;
        self.replaced_if_silent(answer)
    }

    fn connection(&self) -> ConnectionManager {
        self.connection.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The manager reconnects when a connection breaks, but a cut that neither
    /// end is told of it takes for slowness.
    fn replaced_if_silent<T>(&self, answer: RedisResult<T>) -> RedisResult<T> {
        if answer.as_ref().is_err_and(RedisError::is_timeout)
            && let Ok(new) = connection(&self.client)
        {
            *self.connection.write().unwrap_or_else(PoisonError::into_inner) = new;
        }
        answer
    }

    /// What the marker must hold: what it held when it was first read.
    pub(super) async fn deployment(&self, doing: &'static str) -> Result<&str, StoreError> {
        if let Some(deployment) = self.deployment.get() {
            return Ok(deployment);
        }
        let read = self.command(redis::cmd("GET").arg(&self.keys.marker)).await;
        match read.map_err(|error| unavailable(doing, error))? {
            Value::BulkString(marker) => {
                let marker = String::from_utf8(marker).map_err(|_| corrupt(doing))?;
                Ok(self.deployment.get_or_init(|| marker))
            }
            Value::Nil => Err(lost(doing, Loss::NotCreated)),
            _ => Err(corrupt(doing)),
        }
    }

    /// Whether this process has seen the deployment.
    pub(super) fn knows_deployment(&self) -> bool {
        self.deployment.get().is_some()
    }
}

/// The beginning of a call of the script with so many keys.
pub(super) fn call(script: &Script, keys: usize) -> Cmd {
    let mut call = redis::cmd("EVALSHA");
    call.arg(script.get_hash()).arg(keys);
    call
}

/// A connection that is opened when it is needed, and again when it has broken.
fn connection(client: &Client) -> RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(1)
        .set_min_delay(Duration::from_millis(10))
        .set_max_delay(Duration::from_millis(100))
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE));
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}

/// Why the server has no answer although it answers.
#[derive(Debug, thiserror::Error)]
pub(super) enum Loss {
    #[error("the deployment was never created on this server, or the server has lost everything")]
    NotCreated,
    #[error("the server has lost the deployment that was there before")]
    Lost,
}

pub(super) fn lost(doing: &'static str, loss: Loss) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, doing).with_source(loss)
}

pub(super) fn unavailable(doing: &'static str, error: RedisError) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, doing).with_source(error)
}

/// An answer of a form that no script gives. The answer itself is no part of
/// the error: it may hold digests.
pub(super) const fn corrupt(doing: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, doing)
}

/// The text of an answer that is a text.
pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

/// The answer, unless it says that all is lost.
pub(super) fn unless_lost(doing: &'static str, value: Value) -> Result<Value, StoreError> {
    match text(&value) {
        Some(LOST) => Err(lost(doing, Loss::Lost)),
        _ => Ok(value),
    }
}
