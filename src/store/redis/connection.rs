//! The connections to one deployment: one for look-ups and one for changes, each of
//! which many operations share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{
    Client, Cmd, ErrorKind, Pipeline, RedisError, RedisResult, Script, ServerErrorKind, Value,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::deployment::{Keys, Marker};
use super::error::{Doing, corrupt};
use super::failover::Failover;
use super::write::Unconfirmed;
use crate::store::{StoreError, StoreErrorKind};

/// How long the server may take to answer, and to accept a connection.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How long a change may take to reach enough replicas, and again to reach their
/// disks.
pub(super) const REPLICATION: Duration = Duration::from_millis(750);

/// How many writes may be under way, those included that nobody waits for any
/// more.
const WRITES: usize = 128;

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

/// The server that holds the deployment, and what is known of it.
pub(super) struct Server {
    pub(super) keys: Keys,
    pub(super) failover: Arc<Failover>,
    pub(super) replication: Replication,
    pub(super) reading: Connection,
    /// Apart from look-ups, which would wait behind a change that waits for
    /// replicas.
    pub(super) writing: Connection,
    pub(super) unconfirmed: Unconfirmed,
    /// How far this process has pruned the log; 0 when it has come to the end.
    pub(super) pruned_to: AtomicU64,
    writes: Arc<Semaphore>,
    /// What the marker must hold, once it is known.
    deployment: OnceLock<String>,
}

impl Server {
    pub(super) fn new(servers: Vec<Client>, keys: Keys) -> RedisResult<Self> {
        let failover = Arc::new(Failover::to(servers));
        Ok(Self {
            keys,
            replication: Replication::None,
            reading: Connection::new(Arc::clone(&failover))?,
            writing: Connection::new(Arc::clone(&failover))?,
            unconfirmed: Unconfirmed::default(),
            pruned_to: AtomicU64::new(0),
            writes: Arc::new(Semaphore::new(WRITES)),
            deployment: OnceLock::new(),
            failover,
        })
    }

    /// Has each change wait for replicas. The connection does nothing else
    /// meanwhile, so there is one at a time: one that would wait for too long is
    /// not begun.
    pub(super) fn replicate(&mut self, replication: Replication) {
        self.replication = replication;
        if replication != Replication::None {
            self.writes = Arc::new(Semaphore::new(1));
        }
    }

    /// The answer of a script that writes nothing.
    pub(super) async fn ask(
        &self,
        doing: &'static str,
        script: &Script,
        call: &Cmd,
    ) -> Result<Value, StoreError> {
        self.reading.script(script, call).await.doing(doing)
    }

    /// Leave to write, for as long as it is held.
    pub(super) async fn write_permit(
        &self,
        doing: &'static str,
    ) -> Result<OwnedSemaphorePermit, StoreError> {
        let permit = timeout(TIMEOUT, Arc::clone(&self.writes).acquire_owned()).await;
        let late = |error| StoreError::new(StoreErrorKind::Unavailable, doing).with_source(error);
        permit.map_err(late)?.map_err(|_| StoreError::new(StoreErrorKind::Unavailable, doing))
    }

    /// What the marker must hold: what it held when it was first read.
    pub(super) async fn deployment(&self, doing: &'static str) -> Result<&str, StoreError> {
        if let Some(deployment) = self.deployment.get() {
            return Ok(deployment);
        }
        let name = self.marker(doing).await?.name(doing)?;
        Ok(self.deployment.get_or_init(|| name))
    }

    /// What the marker says now.
    pub(super) async fn marker(&self, doing: &'static str) -> Result<Marker, StoreError> {
        let read = self.reading.command(redis::cmd("GET").arg(&self.keys.marker)).await;
        match read.doing(doing)? {
            Value::BulkString(marker) => Marker::read(doing, Some(&marker)),
            Value::Nil => Marker::read(doing, None),
            _ => Err(corrupt(doing)),
        }
    }

    /// Whether pruning begins at the beginning of the log.
    pub(super) fn begins_to_prune(&self) -> bool {
        self.pruned_to.load(Ordering::Relaxed) == 0
    }

    /// Whether this process has seen the deployment.
    pub(super) fn knows_deployment(&self) -> bool {
        self.deployment.get().is_some()
    }
}

/// A connection that is opened when it is needed, and anew when it has broken or
/// become silent, or when the server has moved. Each answer goes to the
/// operation that asked, whoever has gone meanwhile.
pub(super) struct Connection {
    failover: Arc<Failover>,
    current: RwLock<Current>,
}

/// A connection to the server of that generation.
#[derive(Clone)]
struct Current {
    generation: u64,
    connection: ConnectionManager,
}

impl Connection {
    pub(super) fn new(failover: Arc<Failover>) -> RedisResult<Self> {
        let current = RwLock::new(open(&failover)?);
        Ok(Self { failover, current })
    }

    /// The answer to the command, which is asked again where the server has told
    /// that it has moved: such a server has done nothing.
    pub(super) async fn command(&self, command: &Cmd) -> RedisResult<Value> {
        let Current { generation, mut connection } = self.current()?;
        let answer = connection.send_packed_command(command).await.and_then(Value::extract_error);
        match &answer {
            Err(error) if self.failover.on_error(generation, error) => {}
            _ => return answer,
        }
        let Current { generation, mut connection } = self.current()?;
        let answer = connection.send_packed_command(command).await.and_then(Value::extract_error);
        self.on_error(generation, &answer);
        answer
    }

    /// The answers to all commands, errors among them, which go to one and the
    /// same connection with nothing between.
    pub(super) async fn commands(&self, commands: &Pipeline) -> RedisResult<Vec<Value>> {
        let Current { generation, mut connection } = self.current()?;
        let answers = connection.send_packed_commands(commands, 0, commands.len()).await;
        self.on_error(generation, &answers);
        for answer in answers.iter().flatten() {
            if let Value::ServerError(error) = answer {
                self.failover.on_error(generation, &error.clone().into());
            }
        }
        answers
    }

    /// Runs the script that `call` calls; a server that does not have it is
    /// given it.
    pub(super) async fn script(&self, script: &Script, call: &Cmd) -> RedisResult<Value> {
        match self.command(call).await {
            Err(error) if is_without_script(&error) => {
                self.load(script).await?;
                self.command(call).await
            }
            answer => answer,
        }
    }

    pub(super) async fn load(&self, script: &Script) -> RedisResult<()> {
        let Current { generation, mut connection } = self.current()?;
        let loaded = script.load_async(&mut connection).await;
        self.on_error(generation, &loaded);
        loaded.map(drop)
    }

    fn on_error<T>(&self, generation: u64, answer: &RedisResult<T>) {
        if let Err(error) = answer {
            self.failover.on_error(generation, error);
        }
    }

    fn current(&self) -> RedisResult<Current> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        if current.generation == self.failover.generation() {
            return Ok(current);
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.generation != self.failover.generation() {
            *current = open(&self.failover)?;
        }
        Ok(current.clone())
    }
}

pub(super) fn is_without_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

fn open(failover: &Failover) -> RedisResult<Current> {
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(1)
        .set_min_delay(Duration::from_millis(10))
        .set_max_delay(Duration::from_millis(100))
        .set_connection_timeout(Some(TIMEOUT))
        .set_response_timeout(Some(TIMEOUT));
    let (generation, client) = failover.client();
    let connection = ConnectionManager::new_lazy_with_config(client, config)?;
    Ok(Current { generation, connection })
}

/// The beginning of a call of the script with so many keys.
pub(super) fn call(script: &Script, keys: usize) -> Cmd {
    // Room for a look-up, so that one allocates once.
    let mut call = Cmd::with_capacity(6, 192);
    call.arg("EVALSHA").arg(script.get_hash()).arg(keys);
    call
}

/// The text of an answer that is a text.
pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}
