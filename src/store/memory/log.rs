//! What a memory store keeps of all accounts in an order: the audit log with its
//! cursors, and which accounts are due.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::time::Duration;

use crate::account::Revision;
use crate::audit::AccountErased;
use crate::store::{AuditCursor, AuditPosition, Due};
use crate::time::Timestamp;
use crate::user::UserId;

/// Which entry stands at a position; the entry itself is in the history.
pub(super) enum Logged {
    Entry(UserId, Revision),
    Erased(AccountErased),
}

/// Locked behind the accounts, in a change of them, so that it has the order of the
/// changes.
#[derive(Default)]
pub(super) struct Log {
    items: BTreeMap<AuditPosition, Logged>,
    /// The last that was given out, whether or not it is still there.
    last: AuditPosition,
    cursors: BTreeMap<String, Cursor>,
    due: BTreeSet<Due>,
    due_of: HashMap<UserId, Timestamp>,
    pub(super) schedule: u64,
}

struct Cursor {
    position: AuditPosition,
    holder: u64,
    until: Timestamp,
    done: Vec<AuditPosition>,
}

impl Log {
    pub(super) fn push(&mut self, item: Logged) {
        self.last = AuditPosition::from_u64(self.last.as_u64() + 1);
        self.items.insert(self.last, item);
    }

    pub(super) const fn end(&self) -> AuditPosition {
        self.last
    }

    pub(super) fn after(
        &self,
        position: AuditPosition,
    ) -> impl Iterator<Item = (AuditPosition, &Logged)> {
        let range = (Bound::Excluded(position), Bound::Unbounded);
        self.items.range(range).map(|(position, item)| (*position, item))
    }

    /// Forgets where the user's entries stand.
    pub(super) fn forget(&mut self, user: &UserId) {
        self.items.retain(|_, item| !matches!(item, Logged::Entry(of, _) if of == user));
        self.set_due(user, None);
    }

    pub(super) fn retain(&mut self, is_kept: impl Fn(&Logged) -> bool) -> u64 {
        let read = self.cursors.values().map(|cursor| cursor.position).min();
        let before = self.items.len();
        self.items
            .retain(|position, item| read.is_some_and(|read| *position > read) || is_kept(item));
        (before - self.items.len()) as u64
    }

    pub(super) fn cursors(&self) -> Vec<AuditCursor> {
        let cursors = self.cursors.iter();
        cursors.map(|(name, cursor)| AuditCursor::new(name, cursor.position)).collect()
    }

    pub(super) fn lease(
        &mut self,
        name: &str,
        holder: u64,
        now: Timestamp,
        time: Duration,
    ) -> Option<AuditPosition> {
        let at_the_end = Cursor { position: self.last, holder, until: now, done: Vec::new() };
        let cursor = self.cursors.entry(name.to_owned()).or_insert(at_the_end);
        if cursor.holder != holder && now < cursor.until {
            return None;
        }
        (cursor.holder, cursor.until) = (holder, now + time);
        Some(cursor.position)
    }

    pub(super) fn advance(&mut self, name: &str, holder: u64, to: AuditPosition) -> bool {
        let cursor = self.cursors.get_mut(name).filter(|cursor| cursor.holder == holder);
        cursor.map(|cursor| cursor.position = cursor.position.max(to)).is_some()
    }

    pub(super) fn keep_done(&mut self, name: &str, holder: u64, done: &[AuditPosition]) -> bool {
        let cursor = self.cursors.get_mut(name).filter(|cursor| cursor.holder == holder);
        cursor.map(|cursor| cursor.done = done.to_vec()).is_some()
    }

    pub(super) fn done(&self, name: &str) -> Vec<AuditPosition> {
        self.cursors.get(name).map(|cursor| cursor.done.clone()).unwrap_or_default()
    }

    pub(super) fn remove_cursor(&mut self, name: &str) {
        self.cursors.remove(name);
    }

    pub(super) fn set_due(&mut self, user: &UserId, at: Option<Timestamp>) {
        if let Some(at) = self.due_of.remove(user) {
            self.due.remove(&Due::new(at, user.clone()));
        }
        if let Some(at) = at {
            self.due_of.insert(user.clone(), at);
            self.due.insert(Due::new(at, user.clone()));
        }
    }

    pub(super) fn due(&self, until: Timestamp, after: Option<&Due>) -> impl Iterator<Item = &Due> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let due = self.due.range((from, Bound::Unbounded));
        due.take_while(move |due| due.at <= until)
    }
}
