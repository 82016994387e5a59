//! The delivery to one receiver, by one node at a time.

use std::collections::{BTreeSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{DeliveryError, Receiver};
use crate::store::{
    AccountStore, AuditCursor, AuditItem, AuditLog, AuditPosition, PageSize, StoreError, supported,
};
use crate::telemetry;
use crate::time::Timestamp;
use crate::user::UserId;

/// How many messages are under way at most. What else is done the store knows, so no
/// more come twice when the process is killed.
const UNDER_WAY: usize = 8;

/// How many entries are read at once.
const PAGE: usize = 100;

/// How long a receiver may take for one message.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How long what is under way may still take when the worker stops.
const LAST_ATTEMPTS: Duration = Duration::from_secs(5);

/// The pause after a failure: the first, and the longest, to which it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// After so many attempts, and so long, a message is given up if others were taken
/// meanwhile: it is then not the receiver that is away.
const ATTEMPTS: u32 = 20;
const PATIENCE: Duration = Duration::from_secs(3_600);

/// How often a worker looks at the log and at the lease.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// How long another node waits for one that is gone.
    pub(crate) lease: Duration,
    /// How often the log is looked at when there is nothing to do.
    pub(crate) poll: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { lease: Duration::from_secs(15), poll: Duration::from_secs(1) }
    }
}

/// Delivers the log of one store to one receiver.
pub(crate) struct Worker {
    pub(crate) store: Arc<dyn AccountStore>,
    /// The name of the receiver's cursor.
    pub(crate) name: String,
    pub(crate) receiver: Arc<dyn Receiver>,
    /// The number of this process.
    pub(crate) holder: u64,
    pub(crate) options: Options,
}

/// Why a worker stops delivering for a while.
enum Interrupted {
    Stopped,
    /// Another node has the lease.
    Lost,
    Failed(StoreError),
}

impl From<StoreError> for Interrupted {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl Worker {
    /// Delivers until it is stopped, whenever no other node does.
    pub(crate) async fn run(self, mut stopped: watch::Receiver<()>) {
        loop {
            match self.deliver(&mut stopped).await {
                Interrupted::Stopped => break,
                Interrupted::Lost => {}
                Interrupted::Failed(error) => error.log(),
            }
            tokio::select! {
                // Stopped, or nobody is left who could.
                _ = stopped.changed() => break,
                () = sleep(self.options.lease / 3) => {}
            }
        }
        if let Some(log) = self.store.audit_log() {
            // Another node goes on at once; without that it waits for the lease to end.
            drop(log.lease_cursor(&self.name, self.holder, Duration::ZERO).await);
        }
    }

    async fn deliver(&self, stopped: &mut watch::Receiver<()>) -> Interrupted {
        match self.try_deliver(stopped).await {
            Ok(interrupted) | Err(interrupted) => interrupted,
        }
    }

    async fn try_deliver(
        &self,
        stopped: &mut watch::Receiver<()>,
    ) -> Result<Interrupted, Interrupted> {
        let log = supported(self.store.audit_log(), "delivering the audit log")?;
        let cursor = self.lease(log).await?;
        let mut renew_at = Instant::now() + self.options.lease / 3;
        let mut window = Window::new(cursor, log.done(&self.name).await?);
        loop {
            window.read(log, &*self.receiver).await?;
            self.keep(log, &mut window).await?;
            window.start(&self.receiver);
            tokio::select! {
                _ = stopped.changed() => {
                    // What is under way need not come twice.
                    let ends = window.idle(&self.name);
                    drop(timeout(LAST_ATTEMPTS, ends).await);
                    self.keep(log, &mut window).await?;
                    return Ok(Interrupted::Stopped);
                }
                () = sleep_until(renew_at) => {
                    self.lease(log).await?;
                    renew_at = Instant::now() + self.options.lease / 3;
                    telemetry::delivery_stands(&self.name, window.places.len(), window.age());
                }
                () = window.changed(self.options.poll, &self.name) => {}
            }
        }
    }

    /// Keeps in the store what is done, before anything else is begun.
    async fn keep(&self, log: &dyn AuditLog, window: &mut Window) -> Result<(), Interrupted> {
        let (name, holder) = (&self.name, self.holder);
        if let Some(position) = window.finished()
            && !log.move_cursor(name, holder, position).await?
        {
            return Err(Interrupted::Lost);
        }
        if let Some(done) = window.done_behind()
            && !log.keep_done(name, holder, &done).await?
        {
            return Err(Interrupted::Lost);
        }
        Ok(())
    }

    async fn lease(&self, log: &dyn AuditLog) -> Result<AuditPosition, Interrupted> {
        let leased = log.lease_cursor(&self.name, self.holder, self.options.lease).await?;
        leased.ok_or(Interrupted::Lost)
    }
}

/// The entries behind the cursor that are under way or wait for it.
struct Window {
    /// The last entry that was read.
    read_to: AuditPosition,
    /// What was read and is not in the window yet.
    ahead: VecDeque<(AuditPosition, AuditItem)>,
    /// What was done behind the cursor when it was leased.
    done_before: BTreeSet<AuditPosition>,
    places: VecDeque<Place>,
    running: JoinSet<(AuditPosition, Result<(), DeliveryError>)>,
    /// How many messages were taken so far.
    taken: u64,
    /// Whether something behind the cursor has been done that the store does not know.
    is_unkept: bool,
}

struct Place {
    position: AuditPosition,
    item: Arc<AuditItem>,
    state: State,
    failures: u32,
    /// When it was first tried, and how many others had been taken then.
    first: Option<(Instant, u64)>,
}

enum State {
    WaitsUntil(Instant),
    Running,
    Done,
}

impl Place {
    fn user(&self) -> Option<&UserId> {
        match &*self.item {
            AuditItem::Entry(entry) => Some(&entry.user),
            AuditItem::Erased(_) => None,
        }
    }

    const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }
}

impl Window {
    fn new(cursor: AuditPosition, done: Vec<AuditPosition>) -> Self {
        Self {
            read_to: cursor,
            ahead: VecDeque::new(),
            done_before: done.into_iter().collect(),
            places: VecDeque::new(),
            running: JoinSet::new(),
            taken: 0,
            is_unkept: false,
        }
    }

    /// Fills the window from the log. What the receiver does not want is done.
    async fn read(
        &mut self,
        log: &dyn AuditLog,
        receiver: &dyn Receiver,
    ) -> Result<(), StoreError> {
        while self.places.len() < AuditCursor::MAX_DONE {
            if self.ahead.is_empty() {
                self.ahead = log.audit(self.read_to, PageSize::clamped(PAGE)).await?.into();
            }
            let Some((position, item)) = self.ahead.pop_front() else { return Ok(()) };
            self.read_to = position;
            let is_done = self.done_before.contains(&position) || !receiver.wants(&item);
            let state = if is_done { State::Done } else { State::WaitsUntil(Instant::now()) };
            let item = Arc::new(item);
            self.places.push_back(Place { position, item, state, failures: 0, first: None });
        }
        Ok(())
    }

    /// Starts what may start: of one user one entry after the other.
    fn start(&mut self, receiver: &Arc<dyn Receiver>) {
        let now = Instant::now();
        for place in 0..self.places.len() {
            if self.running.len() >= UNDER_WAY {
                return;
            }
            let (before, rest) = self.places.make_contiguous().split_at_mut(place);
            let Some(this) = rest.first_mut() else { return };
            let is_next = |place: &Place| place.is_done() || place.user() != this.user();
            let waits = matches!(this.state, State::WaitsUntil(at) if at <= now);
            if waits && before.iter().all(is_next) {
                this.state = State::Running;
                this.first.get_or_insert((now, self.taken));
                let (receiver, position) = (Arc::clone(receiver), this.position);
                let item = Arc::clone(&this.item);
                self.running
                    .spawn(async move { (position, attempt(&*receiver, position, &item).await) });
            }
        }
    }

    /// Takes what is done away from the front of the window: the cursor is to come
    /// behind it.
    fn finished(&mut self) -> Option<AuditPosition> {
        let mut last = None;
        while self.places.front().is_some_and(Place::is_done) {
            last = self.places.pop_front().map(|place| place.position);
        }
        last
    }

    /// What is done behind the first entry that is not, if the store does not know of
    /// something.
    fn done_behind(&mut self) -> Option<Vec<AuditPosition>> {
        let done = self.places.iter().filter(|place| place.is_done());
        std::mem::take(&mut self.is_unkept).then(|| done.map(|place| place.position).collect())
    }

    /// How long the oldest entry waits that is not delivered.
    fn age(&self) -> Option<Duration> {
        let oldest = self.places.front().map(|place| match &*place.item {
            AuditItem::Entry(entry) => entry.at,
            AuditItem::Erased(erased) => erased.at,
        });
        oldest.map(|at| Timestamp::now().since(at))
    }

    /// Waits until an attempt has ended or another is due, or it is time to look at
    /// the log.
    async fn changed(&mut self, poll: Duration, receiver: &str) {
        let due = self.places.iter().filter_map(|place| match place.state {
            State::WaitsUntil(at) => Some(at),
            State::Running | State::Done => None,
        });
        let now = Instant::now();
        let wake = due.filter(|at| *at > now).min().unwrap_or(now + poll).min(now + poll);
        tokio::select! {
            true = self.one_ended(receiver) => {}
            () = sleep_until(wake) => {}
        }
    }

    /// Waits until nothing is under way.
    async fn idle(&mut self, receiver: &str) {
        while self.one_ended(receiver).await {}
    }

    /// Waits until an attempt has ended; `false` if none is under way.
    async fn one_ended(&mut self, receiver: &str) -> bool {
        let Some(ended) = self.running.join_next().await else { return false };
        if let Ok((position, outcome)) = ended {
            self.ended(position, outcome, receiver);
        }
        true
    }

    fn ended(
        &mut self,
        position: AuditPosition,
        outcome: Result<(), DeliveryError>,
        receiver: &str,
    ) {
        let taken = self.taken;
        let is_first = self.places.front().is_some_and(|first| first.position == position);
        let Some(place) = self.places.iter_mut().find(|place| place.position == position) else {
            return;
        };
        place.state = match outcome {
            Ok(()) => {
                self.taken += 1;
                telemetry::delivered(receiver, "delivered");
                State::Done
            }
            Err(error) => {
                place.failures += 1;
                let (begun, before) = place.first.unwrap_or((Instant::now(), taken));
                let others_are_taken = taken > before && begun.elapsed() >= PATIENCE;
                if error.is_final || (place.failures >= ATTEMPTS && others_are_taken) {
                    telemetry::not_delivered(receiver, position.as_u64(), &error);
                    State::Done
                } else {
                    telemetry::delivery_failed(receiver, position.as_u64(), place.failures, &error);
                    State::WaitsUntil(Instant::now() + pause(place.failures))
                }
            }
        };
        self.is_unkept |= place.is_done() && !is_first;
    }
}

/// The pause after so many failures.
fn pause(failures: u32) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
}

/// One attempt, within its time. A panic is a failure; its message is left out, since
/// it may quote anything.
async fn attempt(
    receiver: &dyn Receiver,
    position: AuditPosition,
    item: &AuditItem,
) -> Result<(), DeliveryError> {
    let mut receive = receiver.receive(position, item);
    let guarded = std::future::poll_fn(|context| {
        let poll = AssertUnwindSafe(|| receive.as_mut().poll(context));
        std::panic::catch_unwind(poll).unwrap_or_else(|_| {
            telemetry::host_panicked("receiver");
            std::task::Poll::Ready(Err(DeliveryError::later("the receiver has panicked")))
        })
    });
    let taken = timeout(TIMEOUT, guarded).await;
    taken.unwrap_or_else(|_| Err(DeliveryError::later("the receiver has not answered in time")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_five_minutes() {
        let pauses = [1, 2, 3, 9, 10, 33, u32::MAX].map(|failures| pause(failures).as_secs());
        assert_eq!(pauses, [1, 2, 4, 256, 300, 300, 300]);
    }
}
