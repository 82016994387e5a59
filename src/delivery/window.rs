//! The entries behind a receiver's cursor that are not delivered yet.

use std::collections::{BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::{DeliveryError, Receiver};
use crate::store::{AuditCursor, AuditItem, AuditLog, AuditPosition, PageSize, StoreError};
use crate::telemetry;
use crate::time::Timestamp;
use crate::user::UserId;

/// How many messages are under way at most. What else is done the store knows, so no
/// more come twice when the process is killed.
const UNDER_WAY: usize = 8;

/// How many entries are read at once.
const PAGE: usize = 100;

/// How many entries wait at most; the rest waits in the store.
const WAITING: usize = 10_000;

/// How long a receiver may take for one message.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The pause after a failure: the first, and the longest, to which it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// After so many attempts, and so long, a message is given up if others were taken
/// meanwhile: it is then not the receiver that is away. So is an entry that cannot be
/// read.
const ATTEMPTS: u32 = 20;
const PATIENCE: Duration = Duration::from_secs(3_600);

/// What was read behind a cursor. Of what is done nothing is kept but the gaps that it
/// leaves between the entries that wait.
pub(super) struct Window {
    /// Where the cursor stands in the store.
    cursor: AuditPosition,
    /// The last entry that was read.
    read_to: AuditPosition,
    /// The first and the last entry of each run that was done when the cursor was leased.
    done_before: Vec<[AuditPosition; 2]>,
    /// Those that wait or are under way, in order.
    places: VecDeque<Place>,
    running: JoinSet<(AuditPosition, Result<(), DeliveryError>)>,
    /// How many messages were taken so far.
    taken: u64,
    /// Users of whom a message was given up, and none was taken since.
    unreachable: BTreeSet<UserId>,
    /// Whether something behind the cursor has been done that the store does not know.
    is_unkept: bool,
}

struct Place {
    position: AuditPosition,
    /// The entry before it in the log.
    before: AuditPosition,
    item: Arc<AuditItem>,
    state: State,
    failures: u32,
    /// When it was first tried, and how many others had been taken then.
    first: Option<(Instant, u64)>,
}

#[derive(PartialEq, Eq)]
enum State {
    WaitsUntil(Instant),
    Running,
}

impl Place {
    fn is_due(&self, now: Instant) -> bool {
        matches!(self.state, State::WaitsUntil(at) if at <= now)
    }
}

impl Window {
    /// `done` is what [`to_keep`](Self::to_keep) gave last.
    pub(super) fn new(cursor: AuditPosition, done: &[AuditPosition]) -> Self {
        Self {
            cursor,
            read_to: cursor,
            done_before: done.as_chunks().0.to_vec(),
            places: VecDeque::new(),
            running: JoinSet::new(),
            taken: 0,
            unreachable: BTreeSet::new(),
            is_unkept: false,
        }
    }

    /// Reads on in the log, and leaves out what the receiver does not want.
    pub(super) async fn read(
        &mut self,
        log: &dyn AuditLog,
        receiver: &dyn Receiver,
    ) -> Result<(), StoreError> {
        while self.places.len() < WAITING {
            let page = log.audit(self.read_to, PageSize::clamped(PAGE)).await?;
            if page.is_empty() {
                break;
            }
            for (position, item) in page {
                let before = std::mem::replace(&mut self.read_to, position);
                if self.was_done(position) || !wants(receiver, &item) {
                    continue;
                }
                self.places.push_back(Place {
                    position,
                    before,
                    item: Arc::new(item),
                    state: State::WaitsUntil(Instant::now()),
                    failures: 0,
                    first: None,
                });
            }
        }
        Ok(())
    }

    fn was_done(&self, position: AuditPosition) -> bool {
        self.done_before.iter().any(|[first, last]| (*first..=*last).contains(&position))
    }

    /// Leaves out what is to be tried again and is no more in the log, since its account
    /// was erased: its user is named to nobody from then on.
    pub(super) async fn forget_erased(&mut self, log: &dyn AuditLog) -> Result<(), StoreError> {
        let now = Instant::now();
        let again = |place: &Place| place.failures > 0 && place.is_due(now);
        let due: Vec<_> = self.places.iter().filter(|place| again(place)).collect();
        let mut gone = BTreeSet::new();
        for place in due.into_iter().take(UNDER_WAY) {
            let page = log.audit(place.before, PageSize::clamped(1)).await?;
            if page.first().is_none_or(|(position, _)| *position != place.position) {
                gone.insert(place.position);
            }
        }
        self.is_unkept |= !gone.is_empty();
        self.places.retain(|place| !gone.contains(&place.position));
        Ok(())
    }

    /// Starts what may start: of one user one entry after the other.
    pub(super) fn start(&mut self, receiver: &Arc<dyn Receiver>) {
        let now = Instant::now();
        let mut users = BTreeSet::new();
        for place in &mut self.places {
            if self.running.len() >= UNDER_WAY {
                return;
            }
            let item = Arc::clone(&place.item);
            let is_next = item.user().is_none_or(|user| users.insert(user.clone()));
            if is_next && place.is_due(now) {
                place.state = State::Running;
                place.first.get_or_insert((now, self.taken));
                let (receiver, position) = (Arc::clone(receiver), place.position);
                self.running
                    .spawn(async move { (position, attempt(&*receiver, position, &item).await) });
            }
        }
    }

    /// The last entry before which all are done, if the cursor stands elsewhere.
    pub(super) fn to_move_to(&self) -> Option<AuditPosition> {
        let first = self.places.front();
        let position = first.map_or(self.read_to, |place| place.before);
        (position > self.cursor).then_some(position)
    }

    pub(super) const fn moved_to(&mut self, position: AuditPosition) {
        self.cursor = position;
    }

    /// The first and the last entry of each run behind the cursor that is done, if the
    /// store does not know of something. More than it can keep would come again.
    pub(super) fn to_keep(&self) -> Option<Vec<AuditPosition>> {
        let next = self.places.iter().skip(1).map(|place| place.before).chain([self.read_to]);
        let runs = self.places.iter().zip(next).filter(|(place, last)| *last > place.position);
        let first = |place: &Place| AuditPosition::from_u64(place.position.as_u64() + 1);
        let runs = runs.flat_map(|(place, last)| [first(place), last]);
        self.is_unkept.then(|| runs.take(AuditCursor::MAX_DONE & !1).collect())
    }

    pub(super) const fn kept(&mut self) {
        self.is_unkept = false;
    }

    /// How many entries wait.
    pub(super) fn waiting(&self) -> usize {
        self.places.len()
    }

    /// How long the oldest of them waits.
    pub(super) fn age(&self) -> Option<Duration> {
        self.places.front().map(|place| Timestamp::now().since(place.item.at()))
    }

    /// Waits until an attempt has ended or another is due, or it is time to look at
    /// the log.
    pub(super) async fn changed(&mut self, poll: Duration, receiver: &str) {
        let due = self.places.iter().filter_map(|place| match place.state {
            State::WaitsUntil(at) => Some(at),
            State::Running => None,
        });
        let now = Instant::now();
        let wake = due.filter(|at| *at > now).min().unwrap_or(now + poll).min(now + poll);
        tokio::select! {
            true = self.one_ended(receiver) => self.all_ended(receiver),
            () = sleep_until(wake) => {}
        }
    }

    /// Waits until nothing is under way.
    pub(super) async fn idle(&mut self, receiver: &str) {
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

    /// Takes what has ended meanwhile, so that the store is told of all of it at once.
    fn all_ended(&mut self, receiver: &str) {
        while let Some(ended) = self.running.try_join_next() {
            if let Ok((position, outcome)) = ended {
                self.ended(position, outcome, receiver);
            }
        }
    }

    fn ended(
        &mut self,
        position: AuditPosition,
        outcome: Result<(), DeliveryError>,
        receiver: &str,
    ) {
        let Ok(index) = self.places.binary_search_by_key(&position, |place| place.position) else {
            return;
        };
        let place = &mut self.places[index];
        let user = place.item.user().cloned();
        let is_readable = is_readable(&place.item);
        match outcome {
            Ok(()) => {
                self.taken += 1;
                user.map(|user| self.unreachable.remove(&user));
                telemetry::delivered(receiver, "delivered");
            }
            Err(error) => {
                place.failures += 1;
                let (begun, before) = place.first.unwrap_or((Instant::now(), self.taken));
                let is_tried = place.failures >= ATTEMPTS && begun.elapsed() >= PATIENCE;
                let is_unreachable = user.as_ref().is_some_and(|it| self.unreachable.contains(it));
                let is_alone = self.taken > before || !is_readable;
                let is_given_up = is_alone && is_tried || is_unreachable;
                if !(error.is_final || is_given_up) {
                    telemetry::delivery_failed(receiver, position.as_u64(), place.failures, &error);
                    place.state = State::WaitsUntil(Instant::now() + pause(place.failures));
                    return;
                }
                // What else waits for that user is tried once.
                self.unreachable.extend(user.filter(|_| is_given_up));
                telemetry::not_delivered(receiver, position.as_u64(), &error);
            }
        }
        self.places.remove(index);
        self.is_unkept |= index > 0;
    }
}

/// What cannot be read another node may be able to, so it is not passed over at once.
const fn is_readable(item: &AuditItem) -> bool {
    !matches!(item, AuditItem::Unreadable { .. })
}

/// Whether the receiver wants it; one that panics is asked whether it takes it.
fn wants(receiver: &dyn Receiver, item: &AuditItem) -> bool {
    if !is_readable(item) {
        return true;
    }
    catch_unwind(AssertUnwindSafe(|| receiver.wants(item))).unwrap_or_else(|_| {
        telemetry::host_panicked("receiver");
        true
    })
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
    if !is_readable(item) {
        return Err(DeliveryError::later("this version cannot read the entry"));
    }
    let mut receive = None;
    let guarded = std::future::poll_fn(|context| {
        let poll = AssertUnwindSafe(|| {
            let receive = receive.get_or_insert_with(|| receiver.receive(position, item));
            receive.as_mut().poll(context)
        });
        catch_unwind(poll).unwrap_or_else(|_| {
            telemetry::host_panicked("receiver");
            Poll::Ready(Err(DeliveryError::later("the receiver has panicked")))
        })
    });
    let taken = timeout(TIMEOUT, guarded).await;
    taken.unwrap_or_else(|_| Err(DeliveryError::later("the receiver has not answered in time")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::AccountErased;
    use crate::user::Actor;

    #[test]
    fn the_pause_doubles_up_to_five_minutes() {
        let pauses = [1, 2, 3, 9, 10, 33, u32::MAX].map(|failures| pause(failures).as_secs());
        assert_eq!(pauses, [1, 2, 4, 256, 300, 300, 300]);
    }

    /// So many attempts after so long a time, while nothing else is taken.
    async fn is_given_up(item: AuditItem, attempts: u32, time: Duration) -> bool {
        let mut window = Window::new(AuditPosition::START, &[]);
        let position = AuditPosition::from_u64(1);
        let item = Arc::new(item);
        let state = State::Running;
        let first = Some((Instant::now(), 0));
        let before = AuditPosition::START;
        window.places.push_back(Place { position, before, item, state, failures: 0, first });
        tokio::time::advance(time).await;
        for _ in 0..attempts {
            window.ended(position, Err(DeliveryError::later("not now")), "test");
        }
        window.places.is_empty()
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_read_is_given_up_after_an_hour_whoever_is_told_otherwise() {
        let at = Timestamp::from_unix_millis(1);
        let unreadable = AuditItem::Unreadable { user: None, at };
        let erased = AuditItem::Erased(AccountErased { at, actor: Actor::User });
        assert!(!is_given_up(unreadable.clone(), ATTEMPTS - 1, PATIENCE).await);
        assert!(!is_given_up(unreadable.clone(), ATTEMPTS, PATIENCE / 2).await);
        assert!(is_given_up(unreadable, ATTEMPTS, PATIENCE).await);
        assert!(!is_given_up(erased, ATTEMPTS, PATIENCE).await, "its receiver may be away");
    }
}
