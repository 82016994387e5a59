//! The accounts of a memory store, and how they change.
//!
//! Requests read one map beside all changes. Changes come one at a time, under
//! one lock.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
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
    by_digest: DigestMap<Named>,
    /// What changes read and write, one after the other.
    state: Mutex<State>,
}

/// The account that names a digest.
#[expect(clippy::large_enum_variant, reason = "nearly every one is of the large kind")]
pub(super) enum Named {
    /// By its primary. The account stands here itself, and not behind a pointer:
    /// each one that a request follows is a wait for memory.
    Primary(Account),
    /// By any other of its tokens.
    Other(Arc<Account>),
}

impl Named {
    #[inline]
    fn account(&self) -> &Account {
        match self {
            Self::Primary(account) => account,
            Self::Other(account) => account,
        }
    }
}

/// Where the account of a user is found. That of a user with one token is in memory
/// once.
enum Kept {
    /// Where requests find it, under the digest of its primary.
    UnderPrimary(TokenDigest),
    /// Here, since it has no primary.
    Here(Arc<Account>),
}

#[derive(Default)]
pub(super) struct State {
    by_user: BTreeMap<UserId, Kept>,
    pub(super) usage: HashMap<UserId, BTreeMap<TokenId, LastUse>>,
    pub(super) history: HashMap<UserId, Vec<AuditEntry>>,
    pub(super) pepper_checks: BTreeMap<PepperVersion, PepperCheck>,
    /// The digests of erased accounts, and when these were erased.
    erased: HashMap<TokenDigest, Timestamp>,
    /// The greatest number that an erased account has reached.
    pub(super) erased_up_to: u64,
}

impl State {
    pub(super) fn has(&self, user: &UserId) -> bool {
        self.by_user.contains_key(user)
    }
}

impl Accounts {
    pub(super) fn new(by_digest: DigestMap<Named>) -> Self {
        Self { by_digest, state: Mutex::new(State::default()) }
    }

    /// Lends the account that names the digest, without a lock.
    #[inline]
    pub(super) fn read<R>(
        &self,
        digest: &TokenDigest,
        read: impl FnOnce(&Account) -> R,
    ) -> Option<R> {
        self.by_digest.read(digest, |named| read(named.account()))
    }

    /// No code that holds this lock can panic half-way through a change.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The account of a user.
    pub(super) fn of(&self, state: &State, user: &UserId) -> Option<Arc<Account>> {
        state.by_user.get(user).map(|kept| self.kept(kept))
    }

    /// The accounts of the users after that one, or of all, in the order of their
    /// names.
    pub(super) fn after(
        &self,
        state: &State,
        user: Option<&UserId>,
    ) -> impl Iterator<Item = Arc<Account>> {
        let start = user.map_or(Bound::Unbounded, Bound::Excluded);
        let kept = state.by_user.range::<UserId, _>((start, Bound::Unbounded));
        kept.map(|(_, kept)| self.kept(kept))
    }

    fn kept(&self, kept: &Kept) -> Arc<Account> {
        match kept {
            Kept::UnderPrimary(digest) => self
                .read(digest, |account| Arc::new(account.clone()))
                .expect("whoever holds the lock finds it where it was put"),
            Kept::Here(account) => Arc::clone(account),
        }
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
        let before = self.of(&state, account.user());
        let same = before.as_ref().map(|before| before.revision()) == expected;
        let begins = before.is_some() || account.begins_above(state.erased_up_to);
        if !same || !begins || self.is_taken(&state, &account) {
            return Err(StoreError::new(StoreErrorKind::Conflict, "replacing an account"));
        }
        let (user, change) = (account.user().clone(), Change::between(before.as_deref(), &account));
        let kept = self.show(before.as_deref(), account);
        state.by_user.insert(user, kept);
        Ok(publish(&mut state, change))
    }

    /// Lets requests see a change. A digest that the account goes on naming is found
    /// in every instant of it.
    fn show(&self, before: Option<&Account>, account: Account) -> Kept {
        let named: HashSet<_> = digests(&account).collect();
        let primary = account.primary().map(|primary| primary.digest.digest);
        let account = Arc::new(account);
        for digest in &named {
            let account = if primary == Some(*digest) {
                Named::Primary(Account::clone(&account))
            } else {
                Named::Other(Arc::clone(&account))
            };
            self.by_digest.insert(*digest, account);
        }
        self.by_digest.make_room();
        let former = before.into_iter().flat_map(digests);
        for digest in former.filter(|digest| !named.contains(digest)) {
            self.by_digest.remove(&digest);
        }
        primary.map_or(Kept::Here(account), Kept::UnderPrimary)
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
        let before = self.of(&state, user).filter(|before| before.revision() == read);
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
