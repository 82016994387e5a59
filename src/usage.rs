//! When, and by which client, each token was last used.
//!
//! A use is noted off the request path: one relaxed load, and a short lock once
//! per token and interval. What was noted is written in batches, and a request
//! never waits for it. It can never undo or delay a change of an account.

mod adoption;
#[cfg(feature = "tokio")]
mod task;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) use self::adoption::UnverifiedPepper;
use crate::account::{Account, LastUse, Revision, TokenRecord};
use crate::audit::{AuditEntry, Event, EventSink};
use crate::store::{AccountStore, StoreError};
use crate::telemetry::{Events, flushed, interval_ended, uses_never_written};
use crate::time::{Clock, SystemClock, Timestamp};
use crate::token::TokenId;
use crate::user::{Actor, ClientLabel, UserId};

/// How many tokens' uses wait to be taken by a flush at most, and how many to be
/// written. Of further ones it is only known that there were some.
const CAPACITY: usize = 1 << 20;

/// How many uses a store is asked to write at once, for which a limit on its time
/// is enough.
const PIECE: usize = 10_000;

/// The interval that no record is marked with at first.
const UNMARKED: u32 = 0;

/// Collects the uses that layers see, and writes them to a store in batches.
///
/// At most about a million tokens' uses wait for a flush, and as many to be
/// written when flushes fail. Further uses are left out, and for as long as such
/// a use could matter the manager's guard takes every token for one in use. A
/// store that keeps no [last uses](crate::store::LastUses) is given none.
///
/// Clones share what they collect: give one to every layer and one to the
/// manager, and have [`flush`](Self::flush) called once an interval and at
/// shutdown; with the feature `tokio`, `run` does both.
///
/// ```
/// use std::sync::Arc;
/// use tower_api_token::store::MemoryStore;
/// use tower_api_token::usage::UsageRecorder;
///
/// # async fn example() -> Result<(), tower_api_token::store::StoreError> {
/// let store = Arc::new(MemoryStore::new());
/// let usage = UsageRecorder::new(Arc::clone(&store));
/// usage.flush().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct UsageRecorder {
    interval: Arc<Interval>,
    shared: Arc<Shared>,
}

struct Shared {
    store: Box<dyn AccountStore>,
    clock: Box<dyn Clock>,
    events: Events,
    noted: Mutex<Noted>,
    unverified: Mutex<Vec<UnverifiedPepper>>,
    /// Told when there is a use that must be told of at once.
    #[cfg(feature = "tokio")]
    urgent_noted: Arc<tokio::sync::Notify>,
}

#[derive(Default)]
struct Noted {
    uses: Uses,
    /// What flushes have taken and nobody has written yet. It stays here until
    /// it is written: a flush may fail or be dropped half-way, and another one
    /// that runs at the same time must not take it for written.
    unwritten: Vec<Arc<Uses>>,
    /// When a use was last left out, since there were too many.
    left_out: Option<Timestamp>,
    retired: HashMap<(UserId, TokenId), RetiredUses>,
    /// The tokens that were used and are to end unless that is told of.
    urgent: HashSet<(UserId, TokenId)>,
    /// By when a host should have flushed; `None` once it has, or the log has said
    /// that it has not.
    flush_due: Option<Timestamp>,
}

type Uses = HashMap<(UserId, TokenId), Noticed>;

impl Noted {
    fn has_room(&self) -> bool {
        let unwritten: usize = self.unwritten.iter().map(|uses| uses.len()).sum();
        self.uses.len() < CAPACITY && unwritten < CAPACITY
    }

    /// Everything that is to be written, the earliest first. It takes no longer
    /// the more there is.
    fn take(&mut self) -> Vec<Arc<Uses>> {
        if !self.uses.is_empty() {
            self.unwritten.push(Arc::new(std::mem::take(&mut self.uses)));
        }
        self.unwritten.clone()
    }

    /// Puts `uses`, if there are any, in the place of those that they are made
    /// of. Returns these, to be dropped when the lock is free. Where another
    /// flush has written all of them meanwhile nothing is put there.
    fn replace(&mut self, parts: &[Arc<Uses>], uses: Option<&Arc<Uses>>) -> Vec<Arc<Uses>> {
        let is_part = |it: &mut Arc<Uses>| parts.iter().any(|part| Arc::ptr_eq(part, it));
        let replaced: Vec<_> = self.unwritten.extract_if(.., is_part).collect();
        if !replaced.is_empty() {
            self.unwritten.extend(uses.cloned());
        }
        replaced
    }
}

/// The latest use of each token.
fn latest(parts: &[Arc<Uses>]) -> Uses {
    let mut latest = Uses::new();
    for (key, noticed) in parts.iter().flat_map(|part| part.iter()) {
        match latest.get_mut(key) {
            Some(known) if known.0 >= noticed.0 => {}
            Some(known) => known.clone_from(noticed),
            None => drop(latest.insert(key.clone(), noticed.clone())),
        }
    }
    latest
}

fn batch(uses: &Uses) -> Vec<(UserId, LastUse)> {
    let token_use = |((user, id), (at, client)): (&(UserId, TokenId), &Noticed)| {
        (user.clone(), LastUse::new(*id, *at, client.clone()))
    };
    uses.iter().map(token_use).collect()
}

/// When a token was used, and by what.
type Noticed = (Timestamp, Option<ClientLabel>);

/// The clones of a recorder but one.
#[cfg(feature = "tokio")]
pub(crate) struct Others(std::sync::Weak<Shared>);

#[cfg(feature = "tokio")]
impl Others {
    pub(crate) fn are_left(&self) -> bool {
        self.0.strong_count() > 1
    }
}

struct RetiredUses {
    revision: Revision,
    count: u64,
}

/// The number of the current interval, unlike that of any other recorder in
/// this process, so that two recorders never take one another's marks for their
/// own. In a cache line to itself, since every request reads it.
#[repr(align(128))]
struct Interval(AtomicU32);

impl Interval {
    fn fresh() -> u32 {
        static NEXT: AtomicU32 = AtomicU32::new(UNMARKED + 1);
        match NEXT.fetch_add(1, Ordering::Relaxed) {
            UNMARKED => Self::fresh(),
            number => number,
        }
    }
}

impl UsageRecorder {
    /// Collects for `store`, by the system's clock; events go to the log alone.
    #[must_use]
    pub fn new(store: impl AccountStore) -> Self {
        Self::with_sink(store, ())
    }

    /// Collects for `store`, by the system's clock. `sink` is where
    /// [`Event::RetiredTokenUsed`] goes besides the log.
    #[must_use]
    pub fn with_sink(store: impl AccountStore, sink: impl EventSink) -> Self {
        Self::with(store, SystemClock, sink)
    }

    /// Collects for `store`. `clock` tells when a token was used, and `sink` is
    /// where [`Event::RetiredTokenUsed`] goes besides the log: `()` for nowhere.
    #[must_use]
    pub fn with(store: impl AccountStore, clock: impl Clock, sink: impl EventSink) -> Self {
        let (store, clock, events) = (Box::new(store), Box::new(clock), Events::to(sink));
        let (noted, unverified) = (Mutex::default(), Mutex::default());
        let shared = Shared {
            store,
            clock,
            events,
            noted,
            unverified,
            #[cfg(feature = "tokio")]
            urgent_noted: Arc::default(),
        };
        let interval = Interval(AtomicU32::new(Interval::fresh()));
        Self { interval: Arc::new(interval), shared: Arc::new(shared) }
    }

    /// The time by the clock that uses are noted with.
    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Marks `token` as used; `true` if this is its first use in this interval,
    /// which [`note`](Self::note) is then to be told of.
    #[inline]
    pub(crate) fn mark(&self, token: &TokenRecord) -> bool {
        token.mark.set(self.interval.0.load(Ordering::Relaxed))
    }

    /// Notes the first use of a token in this interval. `at_once`: the token is to end
    /// unless somebody is told of the use before, which waits for no flush.
    #[cold]
    pub(crate) fn note(
        &self,
        user: &UserId,
        token: TokenId,
        client: Option<ClientLabel>,
        at_once: bool,
    ) {
        let now = self.shared.clock.now();
        let key = (user.clone(), token);
        let mut noted = self.noted();
        if at_once {
            noted.urgent.insert(key.clone());
            #[cfg(feature = "tokio")]
            self.shared.urgent_noted.notify_one();
        }
        if noted.has_room() {
            noted.uses.insert(key, (now, client));
        } else {
            noted.left_out = noted.left_out.max(Some(now));
        }
        if noted.flush_due.take_if(|due| now >= *due).is_some() {
            uses_never_written();
        }
    }

    /// The tokens that were used and are to end unless that is told of. They stay
    /// until that [has been](Self::told_of).
    pub(crate) fn urgent(&self) -> Vec<(UserId, TokenId)> {
        self.noted().urgent.iter().cloned().collect()
    }

    /// The use of that token has been told of.
    pub(crate) fn told_of(&self, token: &(UserId, TokenId)) {
        self.noted().urgent.remove(token);
    }

    /// What is told when there is a use that must be told of at once.
    #[cfg(feature = "tokio")]
    pub(crate) fn urgent_noted(&self) -> Arc<tokio::sync::Notify> {
        Arc::clone(&self.shared.urgent_noted)
    }

    /// When a use was last left out because too many tokens were used in one
    /// interval: any token may have been used then.
    pub(crate) fn left_out(&self) -> Option<Timestamp> {
        self.noted().left_out
    }

    /// Notes that a retired token was presented.
    #[cold]
    pub(crate) fn note_retired(&self, account: &Account, token: TokenId) {
        let mut noted = self.noted();
        if noted.retired.len() < CAPACITY {
            let uses = noted.retired.entry((account.user().clone(), token));
            let none = RetiredUses { revision: account.revision(), count: 0 };
            uses.or_insert(none).count += 1;
        }
    }

    /// Begins a new interval, writes the uses noted so far, and emits an event
    /// for each retired token that was presented.
    ///
    /// When it has returned, every use noted before it was called is in the
    /// store, whoever else flushes at the same time.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store could not write the uses; they are kept for
    /// the next flush, as they are when this future is dropped half-way.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.noted().flush_due = None;
        self.write_noted().await
    }

    /// Has the log say once if the host has not flushed within that time.
    pub(crate) fn expect_flush_within(&self, time: Duration) {
        self.noted().flush_due = Some(self.shared.clock.now() + time);
    }

    /// Tells of this recorder whether it has other clones.
    #[cfg(feature = "tokio")]
    pub(crate) fn others(&self) -> Others {
        Others(Arc::downgrade(&self.shared))
    }

    /// Does what [`flush`](Self::flush) does, for one decision of the manager: a
    /// host has still to see to the others.
    pub(crate) async fn write_noted(&self) -> Result<(), StoreError> {
        self.interval.0.store(Interval::fresh(), Ordering::Relaxed);
        interval_ended();
        let (parts, retired) = {
            let mut noted = self.noted();
            (noted.take(), std::mem::take(&mut noted.retired))
        };
        self.emit(retired);
        let Some(uses) = self.joined(parts) else { return Ok(()) };
        let batch = batch(&uses);
        let written = self.write(&batch).await;
        flushed(batch.len(), written.is_ok());
        written?;
        let written = [uses];
        let replaced = self.noted().replace(&written, None);
        drop((written, replaced));
        self.adopt_peppers(&batch).await;
        Ok(())
    }

    async fn write(&self, batch: &[(UserId, LastUse)]) -> Result<(), StoreError> {
        let Some(uses) = self.shared.store.last_uses() else { return Ok(()) };
        for piece in batch.chunks(PIECE) {
            uses.record_usage(piece).await?;
        }
        Ok(())
    }

    /// Has the check values of these peppers kept when a token that was made under
    /// them has been accepted.
    pub(crate) fn verify_peppers(&self, peppers: Vec<UnverifiedPepper>) {
        *self.unverified() = peppers;
    }

    /// What fails is tried again with the uses of the next flush.
    async fn adopt_peppers(&self, accepted: &[(UserId, LastUse)]) {
        let unverified = self.unverified().clone();
        if unverified.is_empty() {
            return;
        }
        match adoption::adopt(&*self.shared.store, unverified, accepted).await {
            Ok(left) => *self.unverified() = left,
            Err(error) => error.log(),
        }
    }

    fn unverified(&self) -> MutexGuard<'_, Vec<UnverifiedPepper>> {
        self.shared.unverified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes one of the parts, so that those which wait to be written do not
    /// become more with every flush that fails.
    fn joined(&self, mut parts: Vec<Arc<Uses>>) -> Option<Arc<Uses>> {
        if parts.len() < 2 {
            return parts.pop();
        }
        let uses = Arc::new(latest(&parts));
        let replaced = self.noted().replace(&parts, Some(&uses));
        drop(replaced);
        Some(uses)
    }

    fn emit(&self, retired: HashMap<(UserId, TokenId), RetiredUses>) {
        let now = self.shared.clock.now();
        let Ok(layer) = Actor::program("tower-api-token") else { return };
        for ((user, id), RetiredUses { revision, count }) in retired {
            let event = Event::RetiredTokenUsed { id, count };
            let entry = AuditEntry::new(user, revision, now, layer.clone(), event);
            self.shared.events.audit(&entry);
        }
    }

    /// No code that holds this lock can panic half-way through a change.
    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.shared.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for UsageRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageRecorder").finish_non_exhaustive()
    }
}
