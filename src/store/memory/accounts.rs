//! The accounts of a memory store, and how they change.
//!
//! Requests read one map beside all changes. Changes come one at a time, under
//! one lock.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::maps::DigestMap;
use super::sync::{Mutex, MutexGuard, PoisonError};
use crate::account::{Account, LastUse, Revision};
use crate::audit::AuditEntry;
use crate::store::{Change, Erasure, StoreError, StoreErrorKind};
use crate::time::Timestamp;
use crate::token::{PepperCheck, PepperVersion, TokenDigest, TokenId};
use crate::user::UserId;

/// The accounts, and what is kept beside them.
pub(super) struct Accounts {
    /// What requests read: each account under every digest that it names.
    by_digest: DigestMap<Arc<Account>>,
    /// What changes read and write, one after the other.
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) by_user: BTreeMap<UserId, Arc<Account>>,
    pub(super) usage: HashMap<UserId, BTreeMap<TokenId, LastUse>>,
    pub(super) history: HashMap<UserId, Vec<AuditEntry>>,
    pub(super) pepper_checks: BTreeMap<PepperVersion, PepperCheck>,
    /// The digests of erased accounts, and when these were erased.
    erased: HashMap<TokenDigest, Timestamp>,
    /// The greatest number that an erased account has reached.
    pub(super) erased_up_to: u64,
}

impl Accounts {
    pub(super) fn new(by_digest: DigestMap<Arc<Account>>) -> Self {
        Self { by_digest, state: Mutex::new(State::default()) }
    }

    /// Lends the account that names the digest, without a lock.
    #[inline]
    pub(super) fn read<R>(
        &self,
        digest: &TokenDigest,
        read: impl FnOnce(&Arc<Account>) -> R,
    ) -> Option<R> {
        self.by_digest.read(digest, read)
    }

    /// No code that holds this lock can panic half-way through a change.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes one change, its checks first, and then hands it to `publish`
    /// before the next one can be made. What `publish` returns outlives the lock.
    pub(super) fn change<R>(
        &self,
        account: Account,
        expected: Option<Revision>,
        publish: impl FnOnce(&mut State, Change) -> R,
    ) -> Result<R, StoreError> {
        let mut state = self.state();
        let before = state.by_user.get(account.user());
        let same = before.map(|before| before.revision()) == expected;
        let begins = before.is_some() || account.begins_above(state.erased_up_to);
        if !same || !begins || self.is_taken(&state, &account) {
            return Err(StoreError::new(StoreErrorKind::Conflict, "replacing an account"));
        }
        let account = Arc::new(account);
        let before = state.by_user.insert(account.user().clone(), Arc::clone(&account));
        self.show(before.as_deref(), &account);
        let change = Change::between(before.as_deref(), &account);
        Ok(publish(&mut state, change))
    }

    /// Lets requests see a change. A digest that the account goes on naming is found
    /// in every instant of it.
    fn show(&self, before: Option<&Account>, account: &Arc<Account>) {
        let named: HashSet<_> = digests(account).collect();
        for digest in &named {
            self.by_digest.insert(*digest, Arc::clone(account));
        }
        self.by_digest.make_room();
        let former = before.into_iter().flat_map(digests);
        for digest in former.filter(|digest| !named.contains(digest)) {
            self.by_digest.remove(&digest);
        }
    }

    /// Removes an account, and then hands it to `publish` before the next change
    /// can be made. What `publish` returns outlives the lock.
    pub(super) fn erase<R>(
        &self,
        erasure: &Erasure,
        publish: impl FnOnce(Change) -> R,
    ) -> Result<R, StoreError> {
        let mut state = self.state();
        let (user, read) = (erasure.user(), erasure.account.revision());
        let before = state.by_user.get(user).filter(|before| before.revision() == read).cloned();
        let Some(before) = before else {
            return Err(StoreError::new(StoreErrorKind::Conflict, "erasing an account"));
        };
        state.erased.retain(|_, at| *at >= erasure.forgets_before());
        state.erased_up_to = state.erased_up_to.max(erasure.reached());
        for digest in digests(&before) {
            state.erased.insert(digest, erasure.at);
            self.by_digest.remove(&digest);
        }
        state.by_user.remove(user);
        state.usage.remove(user);
        state.history.remove(user);
        Ok(publish(erasure.change()))
    }

    /// Whether another account names one of the digests, or has named it when it
    /// was erased.
    fn is_taken(&self, state: &State, account: &Account) -> bool {
        digests(account).any(|digest| {
            let other = self.read(&digest, |named| named.user() != account.user());
            other.unwrap_or(false) || state.erased.contains_key(&digest)
        })
    }
}

fn digests(account: &Account) -> impl Iterator<Item = TokenDigest> {
    account.digests().map(|stored| stored.digest)
}
