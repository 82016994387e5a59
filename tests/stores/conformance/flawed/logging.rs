//! How a flawed store keeps its audit log.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use tower_api_token::audit::AuditEntry;
use tower_api_token::store::{
    AuditCursor, AuditItem, AuditLog, AuditPosition, Erasure, PageSize, Replacement, StoreError,
};
use tower_api_token::time::Timestamp;
use tower_api_token::user::UserId;

use super::place::State;
use super::{Flaw, Flawed};

/// The log and the dues of a place.
#[derive(Default)]
pub(crate) struct Log {
    items: BTreeMap<u64, AuditItem>,
    /// What is in the log after the next look at it.
    late: Vec<AuditEntry>,
    /// The greatest position that was given out.
    last: u64,
    cursors: BTreeMap<String, Cursor>,
    /// What is done behind each cursor.
    done: BTreeMap<String, Vec<AuditPosition>>,
    pub(super) due: BTreeMap<String, (UserId, Timestamp)>,
    pub(super) schedule: u64,
}

#[derive(Clone, Copy)]
struct Cursor {
    position: u64,
    holder: u64,
    until: Timestamp,
}

impl Log {
    /// The next position, which nobody else gets.
    pub(crate) fn reserve(&mut self, flaw: Flaw) -> u64 {
        let greatest = self.items.keys().next_back().copied().unwrap_or(0);
        self.last = if flaw == Flaw::PositionsGivenAgain { greatest } else { self.last } + 1;
        self.last
    }

    pub(crate) fn put(&mut self, position: u64, entry: AuditEntry) {
        self.items.insert(position, AuditItem::Entry(entry));
    }

    fn push(&mut self, flaw: Flaw, item: AuditItem) {
        let position = self.reserve(flaw);
        self.items.insert(position, item);
    }

    /// Whether another cursor of that name would be taken for the one that there is.
    fn key(flaw: Flaw, name: &str) -> String {
        if flaw == Flaw::CursorNamesTrimmed { name.trim_end().to_owned() } else { name.to_owned() }
    }
}

/// A number as a store keeps it that has no room for the first bit.
fn kept(flaw: Flaw, holder: u64) -> u64 {
    if flaw == Flaw::HoldersCutShort { holder & (u64::MAX >> 1) } else { holder }
}

impl Flawed {
    /// Puts the entries of a change into the log, as the history has them.
    pub(crate) fn log(&self, state: &mut State, mut entries: Vec<AuditEntry>) {
        match self.flaw {
            Flaw::LogPositionBeforeCommit | Flaw::LogBeforeCommit if !state.in_a_batch => return,
            Flaw::LogSkipsBatches if state.in_a_batch => return,
            Flaw::LogLatestFirst => entries.reverse(),
            Flaw::LogLate => {
                state.log.late.append(&mut entries);
            }
            _ => {}
        }
        for entry in entries {
            state.log.push(self.flaw, AuditItem::Entry(entry));
        }
    }

    /// Puts the entry of a change into the log that is yet to be made.
    pub(crate) fn log_beforehand(&self, replacement: &Replacement) {
        let mut state = self.place.state();
        state.log.push(self.flaw, AuditItem::Entry(replacement.entry.clone()));
    }

    /// Puts an erasure into the log.
    pub(crate) fn log_erasure(&self, state: &mut State, erasure: &Erasure) {
        let log = &mut state.log;
        if !self.has(Flaw::ErasureKeepsEntries) {
            let own = |item: &AuditItem| matches!(item, AuditItem::Entry(entry) if entry.user == *erasure.user());
            log.items.retain(|_, item| !own(item));
        }
        if !self.has(Flaw::ErasureKeepsDue) {
            log.due.remove(erasure.user().as_str());
        }
        let mut erased = erasure.erased();
        if self.has(Flaw::ErasureNamesUser) {
            erased.actor = erasure.actor.clone();
        }
        if !self.has(Flaw::ErasureNotLogged) {
            log.push(self.flaw, AuditItem::Erased(erased));
        }
    }
}

#[async_trait]
impl AuditLog for Flawed {
    async fn audit(
        &self,
        after: AuditPosition,
        size: PageSize,
    ) -> Result<Vec<(AuditPosition, AuditItem)>, StoreError> {
        self.outage()?;
        let mut state = self.place.state();
        state.touched += 1;
        let first = match self.flaw {
            Flaw::LogGivesTwice if after != AuditPosition::START => after.as_u64(),
            Flaw::LogSkipsAtPages if after != AuditPosition::START => after.as_u64() + 2,
            _ => after.as_u64() + 1,
        };
        let known = state.log.items.contains_key(&after.as_u64());
        let lost = self.has(Flaw::LogNeedsEntry) && !known && after != AuditPosition::START;
        let items = state.log.items.range(first..).take(if lost { 0 } else { size.get() });
        let items = items
            .map(|(position, item)| (AuditPosition::from_u64(*position), item.clone()))
            .collect();
        for entry in std::mem::take(&mut state.log.late) {
            state.log.push(self.flaw, AuditItem::Entry(entry));
        }
        Ok(items)
    }

    async fn audit_end(&self) -> Result<AuditPosition, StoreError> {
        self.outage()?;
        let state = self.place.state();
        let last = match self.flaw {
            Flaw::LogEndsEarly => state.log.last.saturating_sub(1),
            _ => state.log.last,
        };
        Ok(AuditPosition::from_u64(last))
    }

    async fn prune_audit(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.outage()?;
        let mut state = self.place.state();
        let state = &mut *state;
        let hour_ago = Timestamp::from_unix_millis(Timestamp::now().unix_millis() - 3_600_000);
        let before = if self.has(Flaw::PrunesYoung) { before } else { before.min(hour_ago) };
        let before = if self.has(Flaw::PrunesAnyAge) { hour_ago } else { before };
        let positions = state.log.cursors.values().map(|cursor| cursor.position);
        let read = match self.flaw {
            Flaw::PrunesPastCursors => None,
            Flaw::PrunesToFurthestCursor => positions.max(),
            Flaw::PrunesToLeasedCursors => {
                let now = Timestamp::now();
                let leased = state.log.cursors.values().filter(|cursor| cursor.until > now);
                leased.map(|cursor| cursor.position).min()
            }
            _ => positions.min(),
        };
        let history = &state.history;
        let is_last = |entry: &AuditEntry| {
            let last = history.get(&self.key(&entry.user)).and_then(|entries| entries.last());
            !self.has(Flaw::PrunesLastEntries) && last == Some(entry)
        };
        let goes = |(position, item): &(u64, AuditItem)| {
            let old = match item {
                AuditItem::Entry(entry) => entry.at < before && !is_last(entry),
                AuditItem::Erased(erased) => {
                    erased.at < before && !self.has(Flaw::PruneKeepsErasures)
                }
                _ => false,
            };
            old && read.is_none_or(|read| *position <= read)
        };
        let items = std::mem::take(&mut state.log.items).into_iter();
        let (gone, kept): (BTreeMap<_, _>, _) = items.partition(goes);
        state.log.items = kept;
        if !self.has(Flaw::PruneKeepsHistory) {
            for entries in state.history.values_mut() {
                let is_gone = |entry: &AuditEntry| {
                    gone.iter().any(|(_, item)| *item == AuditItem::Entry(entry.clone()))
                };
                entries.retain(|entry| !is_gone(entry));
            }
        }
        Ok(gone.len() as u64)
    }

    async fn audit_cursors(&self) -> Result<Vec<AuditCursor>, StoreError> {
        self.outage()?;
        let state = self.place.state();
        let cursors =
            state.log.cursors.iter().map(|(name, cursor)| {
                AuditCursor::new(name, AuditPosition::from_u64(cursor.position))
            });
        Ok(cursors.collect())
    }

    async fn lease_cursor(
        &self,
        name: &str,
        holder: u64,
        time: Duration,
    ) -> Result<Option<AuditPosition>, StoreError> {
        self.outage()?;
        let (mut state, now, holder) =
            (self.place.state(), Timestamp::now(), kept(self.flaw, holder));
        let last = match self.flaw {
            Flaw::CursorBeginsAtStart => 0,
            _ => state.log.last,
        };
        let begin = Cursor { position: last, holder, until: now };
        let cursor = state.log.cursors.entry(Log::key(self.flaw, name)).or_insert(begin);
        let ended = match self.flaw {
            Flaw::LeaseShared => true,
            Flaw::LeaseForEver => cursor.until == now,
            _ => now >= cursor.until,
        };
        if cursor.holder != holder && !ended {
            if self.has(Flaw::RefusedLeaseTakes) {
                cursor.holder = holder;
            }
            return Ok(None);
        }
        let again = cursor.holder == holder && cursor.until > now;
        let is_another = cursor.holder != holder;
        cursor.holder = holder;
        cursor.until = match self.flaw {
            Flaw::LeaseNotGivenBack => cursor.until.max(now + time),
            Flaw::LeaseNotProlonged if again && !time.is_zero() => cursor.until,
            Flaw::LeaseForEver if time.is_zero() => now,
            _ => now + time,
        };
        let position = AuditPosition::from_u64(cursor.position);
        if is_another && self.has(Flaw::DoneForgottenByLease) {
            state.log.done.clear();
        }
        Ok(Some(position))
    }

    async fn move_cursor(
        &self,
        name: &str,
        holder: u64,
        to: AuditPosition,
    ) -> Result<bool, StoreError> {
        self.outage()?;
        let (mut state, holder) = (self.place.state(), kept(self.flaw, holder));
        let Some(cursor) = state.log.cursors.get_mut(&Log::key(self.flaw, name)) else {
            return Ok(false);
        };
        if cursor.holder != holder && !self.has(Flaw::CursorMovedByAnybody) {
            return Ok(false);
        }
        let back = self.has(Flaw::CursorGoesBack);
        cursor.position = if back { to.as_u64() } else { cursor.position.max(to.as_u64()) };
        if self.has(Flaw::DoneForgottenByMove) {
            state.log.done.clear();
        }
        Ok(true)
    }

    async fn keep_done(
        &self,
        name: &str,
        holder: u64,
        done: &[AuditPosition],
    ) -> Result<bool, StoreError> {
        self.outage()?;
        let (mut state, holder) = (self.place.state(), kept(self.flaw, holder));
        let log = &mut state.log;
        let cursor = log.cursors.get(&Log::key(self.flaw, name));
        if cursor.is_none_or(|cursor| cursor.holder != holder) && !self.has(Flaw::DoneKeptByAnybody)
        {
            return Ok(false);
        }
        let kept = log.done.entry(self.done_key(name)).or_default();
        if !self.has(Flaw::DoneAddsUp) {
            kept.clear();
        }
        let length = match self.flaw {
            Flaw::DoneNotKept => 0,
            Flaw::DoneCutShort => 100,
            _ => usize::MAX,
        };
        let position = |position: &AuditPosition| match self.flaw {
            Flaw::DoneAsFloats => AuditPosition::from_u64(position.as_u64() as f64 as u64),
            _ => *position,
        };
        kept.extend(done.iter().take(length).map(position));
        Ok(true)
    }

    async fn done(&self, name: &str) -> Result<Vec<AuditPosition>, StoreError> {
        self.outage()?;
        let state = self.place.state();
        Ok(state.log.done.get(&self.done_key(name)).cloned().unwrap_or_default())
    }

    async fn remove_cursor(&self, name: &str) -> Result<(), StoreError> {
        self.outage()?;
        let mut state = self.place.state();
        if !self.has(Flaw::CursorStays) {
            state.log.cursors.remove(&Log::key(self.flaw, name));
        }
        if !self.has(Flaw::DoneStays) {
            state.log.done.remove(&self.done_key(name));
        }
        Ok(())
    }
}

impl Flawed {
    fn done_key(&self, name: &str) -> String {
        if self.has(Flaw::DoneShared) { String::new() } else { Log::key(self.flaw, name) }
    }
}
