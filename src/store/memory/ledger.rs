//! What a memory store holds, and how it changes.
//!
//! Requests read one map beside all changes. Changes come one at a time, under
//! one lock, and each digest goes from the old account to the new one in one
//! step: a reader finds a token that stays live in every instant.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::map::DigestMap;
use super::sync::{Mutex, MutexGuard, PoisonError};
use crate::account::{Account, Revision};
use crate::audit::AuditEntry;
use crate::identity::UserId;
use crate::store::{Change, StoreError, StoreErrorKind};
use crate::token::{TokenDigest, TokenId};
use crate::usage::TokenUsage;

/// The accounts, and what is kept beside them.
pub(super) struct Ledger<M> {
    /// What requests read.
    by_digest: M,
    /// What changes read and write, one after the other.
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) accounts: BTreeMap<UserId, Arc<Account>>,
    pub(super) usage: HashMap<UserId, BTreeMap<TokenId, TokenUsage>>,
    pub(super) history: HashMap<UserId, Vec<AuditEntry>>,
}

impl<M: DigestMap<Arc<Account>>> Ledger<M> {
    pub(super) fn new(by_digest: M) -> Self {
        Self { by_digest, state: Mutex::new(State::default()) }
    }

    /// No code that holds this lock can panic half-way through a change.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lends the account that names the digest.
    #[inline]
    pub(super) fn read<R>(
        &self,
        digest: &TokenDigest,
        read: impl FnOnce(&Arc<Account>) -> R,
    ) -> Option<R> {
        self.by_digest.read(digest, read)
    }

    /// Makes one change, its checks first, and then lets `tell` know of it
    /// before the next one can be made.
    pub(super) fn change(
        &self,
        account: Account,
        expected: Option<Revision>,
        tell: impl FnOnce(&mut State, Change),
    ) -> Result<(), StoreError> {
        self.change_by(account, expected, tell, Self::publish)
    }

    /// The same with a way of one's own to let requests see the change: the
    /// test of the interleavings must see a wrong one fail.
    pub(super) fn change_by(
        &self,
        account: Account,
        expected: Option<Revision>,
        tell: impl FnOnce(&mut State, Change),
        publish: impl FnOnce(&M, Option<&Account>, &Arc<Account>),
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        let before = state.accounts.get(account.user()).cloned();
        let same = before.as_ref().map(|before| before.revision()) == expected;
        if !same || self.names_elsewhere(&account) {
            return Err(StoreError::new(StoreErrorKind::Conflict, "replacing an account"));
        }
        let change = Change::between(before.as_deref(), &account);
        let account = Arc::new(account);
        publish(&self.by_digest, before.as_deref(), &account);
        state.accounts.insert(account.user().clone(), account);
        tell(&mut state, change);
        Ok(())
    }

    /// Whether another account names one of the digests.
    fn names_elsewhere(&self, account: &Account) -> bool {
        let other = |named: &Arc<Account>| named.user() != account.user();
        account.digests().any(|stored| self.read(&stored.digest, other).unwrap_or(false))
    }

    fn publish(by_digest: &M, before: Option<&Account>, account: &Arc<Account>) {
        for stored in account.digests() {
            by_digest.insert(stored.digest, Arc::clone(account));
        }
        by_digest.make_room();
        let named: HashSet<_> = account.digests().map(|stored| stored.digest).collect();
        for stored in before.into_iter().flat_map(Account::digests) {
            if !named.contains(&stored.digest) {
                by_digest.remove(&stored.digest);
            }
        }
    }
}
