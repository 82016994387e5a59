//! The connections of one listener, of which there are never more than there is
//! room for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::progress::{Limits, Progress};

/// How many connections a listener has at most.
const MOST: u32 = 10_000;

/// How many descriptors are left to the store, to mail and to files.
const RESERVED: u64 = 128;

/// How long to wait for room before another connection is asked to make it.
const WAIT: Duration = Duration::from_millis(100);

/// How often to say that there is no room.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// How many connections each of so many listeners may have: as many as the
/// process may have descriptors, less those that others need. The process takes
/// as many as its hard limit lets it have.
pub(super) fn limit(listeners: usize) -> u32 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Where that is refused the present limit holds.
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    share(limit, listeners)
}

fn share(limit: Option<u64>, listeners: usize) -> u32 {
    let Some(limit) = limit else { return MOST };
    let free = limit - RESERVED.min(limit / 2);
    let share = free / listeners.max(1) as u64;
    u32::try_from(share).map_or(MOST, |share| share.clamp(1, MOST))
}

/// The connections of one listener.
pub(super) struct Connections {
    name: &'static str,
    limit: u32,
    free: Arc<Semaphore>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Arc<Progress>>,
    said: Option<Instant>,
}

impl Connections {
    pub(super) fn new(name: &'static str, limit: u32) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(limit as usize));
        Arc::new(Self { name, limit, free, open: Mutex::default() })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for one more connection. Where there is none, the connection that
    /// has asked for nothing for the longest time makes it: whoever opens many
    /// and says nothing shuts nobody else out.
    pub(super) async fn place(self: &Arc<Self>) -> Option<Place> {
        loop {
            let free = Arc::clone(&self.free);
            if let Ok(permit) = Arc::clone(&free).try_acquire_owned() {
                return Some(Place { permit, of: Arc::clone(self) });
            }
            self.evict();
            self.say_that_it_is_full();
            if let Ok(permit) = timeout(WAIT, free.acquire_owned()).await {
                return Some(Place { permit: permit.ok()?, of: Arc::clone(self) });
            }
        }
    }

    /// Ends the connection that has asked for nothing for the longest time.
    pub(super) fn evict(&self) {
        let open = self.open();
        let resting =
            open.connections.values().filter_map(|progress| Some((progress.resting()?, progress)));
        if let Some((_, progress)) = resting.min_by_key(|(resting, _)| *resting) {
            progress.evict();
        }
    }

    fn say_that_it_is_full(&self) {
        let mut open = self.open();
        if open.said.is_none_or(|said| said.elapsed() > SAY_AGAIN) {
            open.said = Some(Instant::now());
            let (name, limit) = (self.name, self.limit);
            tracing::warn!(
                "{name}: all of its {limit} connections are in use, those that ask for nothing make \
                 room; the limit of open files (`ulimit -n`) bounds them"
            );
        }
    }

    /// Waits until all of them have ended.
    pub(super) async fn ended(&self) {
        drop(self.free.acquire_many(self.limit).await);
    }
}

/// Room for a connection.
pub(super) struct Place {
    permit: OwnedSemaphorePermit,
    of: Arc<Connections>,
}

impl Place {
    /// Takes it for a connection that was accepted.
    pub(super) fn taken(self, limits: Limits) -> Connection {
        let Self { permit, of } = self;
        let progress = Arc::new(Progress::new(limits));
        let mut open = of.open();
        let id = open.next;
        open.next += 1;
        open.connections.insert(id, Arc::clone(&progress));
        drop(open);
        Connection { id, progress, of, _permit: permit }
    }
}

/// A connection among the others; dropped when it has ended.
pub(super) struct Connection {
    id: u64,
    progress: Arc<Progress>,
    of: Arc<Connections>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    pub(super) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.of.open().connections.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_share_the_descriptors_and_leave_some() {
        assert_eq!(share(Some(1_024), 2), 448);
        assert_eq!(share(Some(64), 4), 8);
        assert_eq!(share(Some(1), 4), 1);
        assert_eq!((share(Some(1 << 40), 1), share(None, 1)), (MOST, MOST));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_says_nothing_makes_room_for_the_next() {
        let limits = Limits { head: SAY_AGAIN, idle: SAY_AGAIN, response: SAY_AGAIN };
        let connections = Connections::new("test", 1);
        let silent = connections.place().await.unwrap().taken(limits);
        let next = tokio::spawn({
            let connections = Arc::clone(&connections);
            async move { connections.place().await.map(drop) }
        });
        silent.progress().overdue().await;
        drop(silent);
        assert!(next.await.unwrap().is_some());
        connections.ended().await;
    }
}
