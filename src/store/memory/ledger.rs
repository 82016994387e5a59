//! What a memory store holds, and how it changes.
//!
//! Requests read one table beside all changes. Changes come one at a time, under
//! one lock.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::map::DigestMap;
use super::sync::{Mutex, MutexGuard, PoisonError};
use super::table::{Home, Table};
use crate::account::{Account, Revision};
use crate::audit::AuditEntry;
use crate::identity::UserId;
use crate::store::{Change, StoreError, StoreErrorKind};
use crate::token::TokenId;
use crate::usage::TokenUsage;

/// The accounts, and what is kept beside them.
pub(super) struct Ledger<P, O> {
    /// What requests read.
    table: Table<P, O>,
    /// What changes read and write, one after the other.
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) accounts: BTreeMap<UserId, Home>,
    pub(super) usage: HashMap<UserId, BTreeMap<TokenId, TokenUsage>>,
    pub(super) history: HashMap<UserId, Vec<AuditEntry>>,
}

impl<P: DigestMap<Account>, O: DigestMap<Arc<Account>>> Ledger<P, O> {
    pub(super) fn new(table: Table<P, O>) -> Self {
        Self { table, state: Mutex::new(State::default()) }
    }

    /// What requests read. What changes read is in it for the one alone that
    /// holds the state.
    #[inline]
    pub(super) const fn table(&self) -> &Table<P, O> {
        &self.table
    }

    /// No code that holds this lock can panic half-way through a change.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A user's account.
    pub(super) fn account(&self, user: &UserId) -> Option<Arc<Account>> {
        let state = self.state();
        state.accounts.get(user).and_then(|home| self.table.at(home))
    }

    /// Makes one change, its checks first, and then lets `tell` know of it
    /// before the next one can be made.
    pub(super) fn change(
        &self,
        account: Account,
        expected: Option<Revision>,
        tell: impl FnOnce(&mut State, Change),
    ) -> Result<(), StoreError> {
        self.change_by(account, expected, tell, Table::publish)
    }

    /// The same with a way of one's own to let requests see the change: the
    /// test of the interleavings must see a wrong one fail.
    pub(super) fn change_by(
        &self,
        account: Account,
        expected: Option<Revision>,
        tell: impl FnOnce(&mut State, Change),
        publish: impl FnOnce(&Table<P, O>, Option<&Account>, Account) -> Home,
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        let before = state.accounts.get(account.user()).and_then(|home| self.table.at(home));
        let same = before.as_ref().map(|before| before.revision()) == expected;
        if !same || self.names_elsewhere(&account) {
            return Err(StoreError::new(StoreErrorKind::Conflict, "replacing an account"));
        }
        let (user, change) = (account.user().clone(), Change::between(before.as_deref(), &account));
        let home = publish(&self.table, before.as_deref(), account);
        state.accounts.insert(user, home);
        tell(&mut state, change);
        Ok(())
    }

    /// Whether another account names one of the digests.
    fn names_elsewhere(&self, account: &Account) -> bool {
        let other = |named: &Account| named.user() != account.user();
        account.digests().any(|stored| self.table.read(&stored.digest, other).unwrap_or(false))
    }
}
