//! How a flawed store reads lists and histories.

use std::sync::Arc;

use tower_api_token::account::{Account, Revision};
use tower_api_token::audit::AuditEntry;
use tower_api_token::user::UserId;

use super::place::State;
use super::{Flaw, Flawed};

impl Flawed {
    /// The accounts after that of user `after`.
    pub(crate) fn listed(&self, state: &State, after: Option<&UserId>) -> Vec<Arc<Account>> {
        let known = |user: &UserId| state.accounts.contains_key(user.as_str());
        if self.has(Flaw::ListNeedsUser) && !after.is_none_or(known) {
            return Vec::new();
        }
        let accounts = if self.has(Flaw::ListStale) { &state.created } else { &state.accounts };
        let follows = |account: &&Arc<Account>| {
            let (user, after) = (self.order(account.user()), after.map(|user| self.order(user)));
            let again = self.has(Flaw::ListRepeats) && after == Some(user.clone());
            again || after.is_none_or(|after| user > after)
        };
        let mut accounts: Vec<_> = accounts.values().filter(follows).cloned().collect();
        accounts.sort_by_key(|account| self.order(account.user()));
        if after.is_some() && self.has(Flaw::ListSkips) && !accounts.is_empty() {
            accounts.remove(0);
        }
        accounts
    }

    /// What a list is ordered by.
    fn order(&self, user: &UserId) -> String {
        let name = user.as_str();
        if self.has(Flaw::ListFolded) { name.to_lowercase() } else { name.to_owned() }
    }

    /// The entries of a history before that revision.
    pub(crate) fn entries(
        &self,
        state: &State,
        user: &UserId,
        before: Option<Revision>,
    ) -> Vec<AuditEntry> {
        let name = self.key(user);
        let own = |other: &String| match self.flaw {
            Flaw::HistoryOfNeighbours => other.starts_with(&name),
            _ => *other == name,
        };
        let entries = state.history.iter().filter(|(other, _)| own(other));
        let below = |entry: &&AuditEntry| match before {
            Some(before) if self.has(Flaw::HistoryRepeats) => entry.revision <= before,
            Some(before) => entry.revision < before,
            None => true,
        };
        let entries = entries.flat_map(|(_, entries)| entries).filter(below).cloned();
        let mut entries: Vec<_> = entries.collect();
        if !self.has(Flaw::HistoryOldestFirst) {
            entries.reverse();
        }
        entries
    }
}
