//! Collects uses between two flushes.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{ClientLabel, TokenUsage, TokenUse};
use crate::account::{Account, Revision, TokenRecord};
use crate::audit::{AuditEntry, Event};
use crate::events::Events;
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
    uses: HashMap<(UserId, TokenId), (Timestamp, Option<ClientLabel>)>,
    retired: HashMap<(UserId, TokenId), RetiredUses>,
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

    /// Begins a new interval, writes the uses noted in the last one, and emits
    /// an event for each retired token that was presented.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store could not write the uses; they are kept for
    /// the next flush.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.interval.0.store(Interval::fresh(), Ordering::Relaxed);
        let Noted { uses, retired } = std::mem::take(&mut *self.noted());
        self.emit(retired);
        if uses.is_empty() {
            return Ok(());
        }
        let batch: Vec<_> = uses.into_iter().map(token_use).collect();
        let unwritten = Unwritten { recorder: self, batch };
        self.shared.store.record_usage(&unwritten.batch).await?;
        unwritten.written();
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

/// A batch on its way to the store. Unless it is written it goes back to what
/// waits, even if the flush is dropped half-way; a later use wins.
struct Unwritten<'a> {
    recorder: &'a UsageRecorder,
    batch: Vec<TokenUse>,
}

impl Unwritten<'_> {
    fn written(mut self) {
        self.batch.clear();
    }
}

impl Drop for Unwritten<'_> {
    fn drop(&mut self) {
        let mut noted = self.recorder.noted();
        for TokenUse { user, usage } in self.batch.drain(..) {
            noted.uses.entry((user, usage.id)).or_insert((usage.at, usage.client));
        }
    }
}

fn token_use(
    ((user, id), (at, client)): ((UserId, TokenId), (Timestamp, Option<ClientLabel>)),
) -> TokenUse {
    TokenUse::new(user, TokenUsage::new(id, at, client))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorder_is_shared_by_its_clones() {
        fn shared<T: Clone + Send + Sync + Unpin + 'static>() {}
        shared::<UsageRecorder>();
        shared::<Events>();
    }
}
