//! How a flawed store keeps its audit log and what is due.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tower_api_token::account::{Account, Revision};
use tower_api_token::audit::AuditEntry;
use tower_api_token::store::{
    AuditCursor, AuditItem, AuditLog, AuditPosition, Due, DueAccounts, Erasure, FeedItem, Page,
    PageSize, Replacement, StoreError,
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
    due: BTreeMap<String, (UserId, Timestamp)>,
    schedule: u64,
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

    /// Keeps when the account of a change is due.
    pub(crate) fn schedule(&self, state: &mut State, replacement: &Replacement) {
        let in_a_batch = state.in_a_batch && self.has(Flaw::DueOfBatchesLost);
        let keeps = replacement.due.is_none() && self.has(Flaw::DueForEver);
        if !in_a_batch && !keeps {
            set_due(state, replacement.account.user(), replacement.due);
        }
    }
}

fn set_due(state: &mut State, user: &UserId, due: Option<Timestamp>) {
    let name = user.as_str().to_owned();
    match due {
        Some(at) => drop(state.log.due.insert(name, (user.clone(), at))),
        None => drop(state.log.due.remove(&name)),
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
        cursor.holder = holder;
        cursor.until = match self.flaw {
            Flaw::LeaseNotGivenBack => cursor.until.max(now + time),
            Flaw::LeaseNotProlonged if again && !time.is_zero() => cursor.until,
            Flaw::LeaseForEver if time.is_zero() => now,
            _ => now + time,
        };
        Ok(Some(AuditPosition::from_u64(cursor.position)))
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
        Ok(true)
    }

    async fn remove_cursor(&self, name: &str) -> Result<(), StoreError> {
        self.outage()?;
        if !self.has(Flaw::CursorStays) {
            self.place.state().log.cursors.remove(&Log::key(self.flaw, name));
        }
        Ok(())
    }
}

#[async_trait]
impl DueAccounts for Flawed {
    async fn due(
        &self,
        until: Timestamp,
        after: Option<&Due>,
        size: PageSize,
    ) -> Result<Page<Due, Due>, StoreError> {
        self.outage()?;
        let state = self.place.state();
        let due = state.log.due.values().map(|(user, at)| Due::new(*at, user.clone()));
        let comes = |due: &Due| match self.flaw {
            Flaw::DueTooLate => due.at < until,
            _ => due.at <= until,
        };
        let follows = |due: &Due| match self.flaw {
            Flaw::DueRepeats => after.is_none_or(|after| due.at >= after.at),
            Flaw::DueSkipsEqualTimes => after.is_none_or(|after| due.at > after.at),
            Flaw::DueByUser => after.is_none_or(|after| due.user > after.user),
            _ => after.is_none_or(|after| due > after),
        };
        let mut due: Vec<_> = due.filter(comes).filter(follows).collect();
        if !self.has(Flaw::DueByUser) {
            due.sort();
        }
        due.truncate(size.get() + 1);
        Ok(Page::of_due(due, size))
    }

    async fn put_off(
        &self,
        user: &UserId,
        revision: Revision,
        due: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.outage()?;
        let mut state = self.place.state();
        let name = self.key(user);
        let account = state.accounts.get(&name).cloned();
        let found = account.as_ref().map(|account| account.revision());
        let fits = found == Some(revision) || self.has(Flaw::PutOffAnyRevision);
        if !fits || (due.is_none() && self.has(Flaw::PutOffNeedsTime)) {
            return Ok(());
        }
        set_due(&mut state, user, due);
        match (self.flaw, account) {
            (Flaw::PutOffReachesFeed, Some(account)) => {
                let change = tower_api_token::store::Change::between(None, &account);
                self.send(FeedItem::Change(change))
            }
            (Flaw::PutOffRaisesRevision, Some(account)) => {
                let raised = Revision::from_u64(revision.as_u64() + 1);
                let raised = Account::builder(user.clone()).revision(raised);
                let parts = raised.methods(account.methods().clone()).next_token(1 << 20);
                let parts = parts.primary(account.primary().unwrap().clone());
                state.accounts.insert(name, Arc::new(parts.build().unwrap()));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn schedule(&self) -> Result<u64, StoreError> {
        self.outage()?;
        Ok(self.place.state().log.schedule)
    }

    async fn keep_schedule(&self, schedule: u64) -> Result<(), StoreError> {
        self.outage()?;
        let kept = match self.flaw {
            Flaw::ScheduleAsFloat => schedule as f64 as u64,
            _ => schedule,
        };
        self.place.state().log.schedule = kept;
        Ok(())
    }
}
