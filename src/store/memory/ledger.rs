//! What a memory store holds, and how it changes.
//!
//! Requests read one table beside all changes. Changes come one at a time, under
//! one lock.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::map::DigestMap;
use super::sync::{Mutex, MutexGuard, PoisonError};
use super::table::Table;
use crate::account::{Account, LastUse, Revision};
use crate::audit::AuditEntry;
use crate::store::{Change, Erasure, StoreError, StoreErrorKind};
use crate::time::Timestamp;
use crate::token::{PepperCheck, PepperVersion, TokenDigest, TokenId};
use crate::user::UserId;

/// The accounts, and what is kept beside them.
pub(super) struct Ledger<P, O> {
    /// What requests read.
    table: Table<P, O>,
    /// What changes read and write, one after the other.
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// The first digest that each user's account names, by which the table knows
    /// it.
    pub(super) accounts: BTreeMap<UserId, Option<TokenDigest>>,
    /// The accounts that name none.
    nameless: HashMap<UserId, Account>,
    pub(super) usage: HashMap<UserId, BTreeMap<TokenId, LastUse>>,
    pub(super) history: HashMap<UserId, Vec<AuditEntry>>,
    pub(super) pepper_checks: BTreeMap<PepperVersion, PepperCheck>,
    /// The digests of erased accounts, and when these were erased.
    erased: HashMap<TokenDigest, Timestamp>,
    /// The greatest number that an erased account has reached.
    pub(super) erased_up_to: u64,
}

impl<P: DigestMap<Account>, O: DigestMap<Arc<Account>>> Ledger<P, O> {
    pub(super) fn new(table: Table<P, O>) -> Self {
        Self { table, state: Mutex::new(State::default()) }
    }

    #[inline]
    pub(super) const fn table(&self) -> &Table<P, O> {
        &self.table
    }

    /// No code that holds this lock can panic half-way through a change.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lends a user's account.
    pub(super) fn read<R>(
        &self,
        state: &State,
        user: &UserId,
        read: impl FnMut(&Account) -> R,
    ) -> Option<R> {
        match state.accounts.get(user)? {
            Some(digest) => self.table.read(digest, read),
            None => state.nameless.get(user).map(read),
        }
    }

    /// Makes one change, its checks first, and then lets `tell` know of it
    /// before the next one can be made. What `tell` returns outlives the lock.
    pub(super) fn change<R>(
        &self,
        account: Account,
        expected: Option<Revision>,
        tell: impl FnOnce(&mut State, Change) -> R,
    ) -> Result<R, StoreError> {
        self.change_by(account, expected, tell, Table::publish)
    }

    /// The same with a way of one's own to let requests see the change: the
    /// test of the interleavings must see a wrong one fail.
    pub(super) fn change_by<R>(
        &self,
        account: Account,
        expected: Option<Revision>,
        tell: impl FnOnce(&mut State, Change) -> R,
        publish: impl FnOnce(&Table<P, O>, Option<&Account>, Account),
    ) -> Result<R, StoreError> {
        let mut state = self.state();
        let before = self.read(&state, account.user(), Account::clone);
        let same = before.as_ref().map(Account::revision) == expected;
        let begins = before.is_some() || account.begins_above(state.erased_up_to);
        if !same || !begins || self.is_taken(&state, &account) {
            return Err(StoreError::new(StoreErrorKind::Conflict, "replacing an account"));
        }
        let change = Change::between(before.as_ref(), &account);
        let (user, digest) = (account.user().clone(), account.digests().next().map(|it| it.digest));
        match digest {
            Some(_) => drop(state.nameless.remove(&user)),
            None => drop(state.nameless.insert(user.clone(), account.clone())),
        }
        publish(&self.table, before.as_ref(), account);
        state.accounts.insert(user, digest);
        Ok(tell(&mut state, change))
    }

    /// Removes an account, and then lets `tell` know of it before the next change
    /// can be made. What `tell` returns outlives the lock.
    pub(super) fn erase<R>(
        &self,
        erasure: &Erasure,
        tell: impl FnOnce(Change) -> R,
    ) -> Result<R, StoreError> {
        let mut state = self.state();
        let before = self.read(&state, erasure.user(), Account::clone);
        let read = erasure.account.revision();
        let Some(before) = before.filter(|before| before.revision() == read) else {
            return Err(StoreError::new(StoreErrorKind::Conflict, "erasing an account"));
        };
        state.erased.retain(|_, at| *at >= erasure.forgets_before());
        state.erased.extend(before.digests().map(|stored| (stored.digest, erasure.at)));
        state.erased_up_to = state.erased_up_to.max(erasure.reached());
        self.table.take_out(&before, |_| false, |_| false);
        let user = erasure.user();
        state.accounts.remove(user);
        state.nameless.remove(user);
        state.usage.remove(user);
        state.history.remove(user);
        Ok(tell(erasure.change()))
    }

    /// Whether another account names one of the digests, or has named it when it
    /// was erased.
    fn is_taken(&self, state: &State, account: &Account) -> bool {
        let other = |named: &Account| named.user() != account.user();
        account.digests().any(|stored| {
            let named = self.table.read(&stored.digest, other).unwrap_or(false);
            named || state.erased.contains_key(&stored.digest)
        })
    }
}
