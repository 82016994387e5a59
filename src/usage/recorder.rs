//! Collects uses between two flushes.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{ClientLabel, TokenUsage, TokenUse};
use crate::account::{Account, Revision, TokenRecord};
use crate::audit::{AuditEntry, Event};
use crate::events::{Events, flushed, interval_ended};
use crate::identity::{Actor, UserId};
use crate::store::{AccountStore, StoreError};
use crate::time::{Clock, SystemClock, Timestamp};
use crate::token::TokenId;

/// How many tokens wait for one flush at most. Uses of further ones are noted
/// again after it.
const CAPACITY: usize = 1 << 20;

/// The interval that no record is marked with at first.
const UNMARKED: u32 = 0;

/// Collects the uses that layers see, and writes them to a store in batches.
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
}

#[derive(Default)]
struct Noted {
    uses: HashMap<(UserId, TokenId), Noticed>,
    retired: HashMap<(UserId, TokenId), RetiredUses>,
}

impl Noted {
    /// What a flush is to write and to tell. The uses stay until they are
    /// written: a flush may fail or be dropped half-way, and another one that
    /// runs at the same time must not take them for written.
    fn begin_flush(&mut self) -> (Vec<TokenUse>, HashMap<(UserId, TokenId), RetiredUses>) {
        let token_use = |((user, id), (at, client)): (&(UserId, TokenId), &Noticed)| {
            TokenUse::new(user.clone(), TokenUsage::new(*id, *at, client.clone()))
        };
        (self.uses.iter().map(token_use).collect(), std::mem::take(&mut self.retired))
    }

    /// Drops what was written, unless it was noted anew meanwhile.
    fn forget(&mut self, written: &[TokenUse]) {
        for TokenUse { user, usage } in written {
            let key = (user.clone(), usage.id);
            if self.uses.get(&key).is_some_and(|(at, _)| *at == usage.at) {
                self.uses.remove(&key);
            }
        }
    }
}

/// When a token was used, and by what.
type Noticed = (Timestamp, Option<ClientLabel>);

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
        Self::with(store, SystemClock, Events::default())
    }

    /// Collects for `store`. `clock` tells when a token was used, and `events`
    /// is where [`Event::RetiredTokenUsed`] goes.
    #[must_use]
    pub fn with(store: impl AccountStore, clock: impl Clock, events: Events) -> Self {
        let (store, clock) = (Box::new(store), Box::new(clock));
        let shared = Shared { store, clock, events, noted: Mutex::default() };
        let interval = Interval(AtomicU32::new(Interval::fresh()));
        Self { interval: Arc::new(interval), shared: Arc::new(shared) }
    }

    /// Marks `token` as used; `true` if this is its first use in this interval,
    /// which [`note`](Self::note) is then to be told of.
    #[inline]
    pub(crate) fn mark(&self, token: &TokenRecord) -> bool {
        token.mark.set(self.interval.0.load(Ordering::Relaxed))
    }

    /// Notes the first use of a token in this interval.
    #[cold]
    pub(crate) fn note(&self, user: &UserId, token: TokenId, client: Option<ClientLabel>) {
        let now = self.shared.clock.now();
        let mut noted = self.noted();
        if noted.uses.len() < CAPACITY {
            noted.uses.insert((user.clone(), token), (now, client));
        }
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
    /// the next flush.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.interval.0.store(Interval::fresh(), Ordering::Relaxed);
        interval_ended();
        let (batch, retired) = self.noted().begin_flush();
        self.emit(retired);
        if !batch.is_empty() {
            let written = self.shared.store.record_usage(&batch).await;
            flushed(batch.len(), written.is_ok());
            written?;
            self.noted().forget(&batch);
        }
        Ok(())
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
