//! One deployment on one server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use redis::{Client, Cmd, RedisResult, Script, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::failure::{corrupt, store_error};
use super::keys::Keys;
use super::lane::{Lane, PATIENCE};
use super::marker::Marker;
use super::route::Route;
use crate::store::{StoreError, StoreErrorKind};

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

pub(super) struct Link {
    pub(super) keys: Keys,
    pub(super) route: Arc<Route>,
    pub(super) replication: Replication,
    pub(super) reading: Lane,
    /// Apart from look-ups, which would wait behind a change that waits for
    /// replicas.
    pub(super) writing: Lane,
    pub(super) doubts: Doubts,
    turns: Arc<Semaphore>,
    /// What the marker must hold, once it is known.
    deployment: OnceLock<String>,
}

impl Link {
    pub(super) fn new(servers: Vec<Client>, keys: Keys) -> RedisResult<Self> {
        let route = Arc::new(Route::to(servers));
        Ok(Self {
            keys,
            replication: Replication::None,
            reading: Lane::new(Arc::clone(&route))?,
            writing: Lane::new(Arc::clone(&route))?,
            doubts: Doubts::default(),
            turns: Arc::new(Semaphore::new(WRITES)),
            deployment: OnceLock::new(),
            route,
        })
    }

    /// Has each change wait for replicas. The connection does nothing else
    /// meanwhile, so there is one at a time: one that would wait for too long is
    /// not begun.
    pub(super) fn replicate(&mut self, replication: Replication) {
        self.replication = replication;
        if replication != Replication::None {
            self.turns = Arc::new(Semaphore::new(1));
        }
    }

    /// The answer of a script that writes nothing.
    pub(super) async fn ask(
        &self,
        doing: &'static str,
        script: &Script,
        call: &Cmd,
    ) -> Result<Value, StoreError> {
        self.reading.script(script, call).await.map_err(|error| store_error(doing, error))
    }

    /// Leave to write, for as long as it is held.
    pub(super) async fn turn(
        &self,
        doing: &'static str,
    ) -> Result<OwnedSemaphorePermit, StoreError> {
        let turn = timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await;
        let late = |error| StoreError::new(StoreErrorKind::Unavailable, doing).with_source(error);
        turn.map_err(late)?.map_err(|_| StoreError::new(StoreErrorKind::Unavailable, doing))
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
        match read.map_err(|error| store_error(doing, error))? {
            Value::BulkString(marker) => Marker::read(doing, Some(&marker)),
            Value::Nil => Marker::read(doing, None),
            _ => Err(corrupt(doing)),
        }
    }

    /// Whether this process has seen the deployment.
    pub(super) fn knows_deployment(&self) -> bool {
        self.deployment.get().is_some()
    }
}

/// Changes of this node of which nobody knows whether enough replicas have
/// them. The primary shows them all the same.
#[derive(Default)]
pub(super) struct Doubts {
    raised: AtomicU64,
    settled: AtomicU64,
}

impl Doubts {
    pub(super) fn raise(&self) {
        self.raised.fetch_add(1, Ordering::SeqCst);
    }

    /// The number of the latest doubt, unless all are settled.
    pub(super) fn latest(&self) -> Option<u64> {
        let settled = self.settled.load(Ordering::SeqCst);
        Some(self.raised.load(Ordering::SeqCst)).filter(|&raised| raised > settled)
    }

    /// All doubts up to that number are settled.
    pub(super) fn settle(&self, number: u64) {
        self.settled.fetch_max(number, Ordering::SeqCst);
    }
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
