//! A memory store in the hands of the exploring scheduler, whose users act as
//! the model's do.

use std::sync::Arc;

use shuttle::sync::Mutex;
use tower_api_token::rotation::{Facts, apply};
use tower_api_token::time::Timestamp;

use crate::account::{Account, Revision};
use crate::memory::accounts::Accounts;
use crate::model::{Act, Lifetimes, User, World, token_digest};
use crate::schedules::maps::DigestMap;
use crate::store::{Change, StoreErrorKind};
use crate::user::UserId;

/// How a store is broken, where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// It takes the old account away before it puts the new one in.
    TakesAwayFirst,
    /// It replaces whatever account is there.
    IgnoresTheRevision,
}

/// All times are the same: nothing here runs out.
const NOW: u64 = 1_767_323_045_678;

/// A store, and what was written to it, in the order in which it told of it.
#[derive(Clone)]
pub(crate) struct Explored {
    accounts: Arc<Accounts>,
    told: Arc<Mutex<Vec<Change>>>,
    flaw: Flaw,
}

/// An act that has had its effect, and the revision that it made.
pub(crate) struct Written {
    pub(crate) user: UserId,
    pub(crate) revision: u64,
    pub(crate) act: Act,
}

impl Explored {
    /// An empty store; the broken twin if so wanted here or from outside.
    pub(crate) fn new(flaw: Flaw) -> Self {
        let from_outside = std::env::var_os("MEMORY_TWIN").is_some();
        let flaw = if from_outside { Flaw::TakesAwayFirst } else { flaw };
        let by_digest = match flaw {
            Flaw::TakesAwayFirst => DigestMap::that_takes_away_first(),
            _ => DigestMap::new(),
        };
        Self { accounts: Arc::new(Accounts::new(by_digest)), told: Arc::default(), flaw }
    }

    pub(crate) fn load(&self, user: &UserId) -> Account {
        let account = self.accounts.of(&self.accounts.state(), user);
        account.map_or_else(|| Account::absent(user.clone()), Arc::unwrap_or_clone)
    }

    /// The account that names the digest of that number, as a request finds it.
    pub(crate) fn find(&self, digest: u64) -> Option<Account> {
        self.accounts.read(&token_digest(digest), Account::clone)
    }

    /// Whether a request with the token of that number is accepted.
    pub(crate) fn accepts(&self, digest: u64) -> bool {
        let digest = &token_digest(digest);
        self.accounts.read(digest, |account| account.slot_of(digest)).flatten().is_some()
    }

    /// Acts until it is written, or refused by the rules or by another user's
    /// digest: then `None`.
    pub(crate) fn act(&self, user: &UserId, act: &Act) -> Option<Written> {
        loop {
            let before = self.load(user);
            let policy = Lifetimes::default().policy();
            let facts = Facts::new(Timestamp::from_unix_millis(NOW), &policy);
            let after = apply(&before, act.command(user), &facts).ok()?.account;
            let revision = after.revision().as_u64();
            match self.replace(before.revision(), after) {
                Ok(()) => return Some(Written { user: user.clone(), revision, act: act.clone() }),
                Err(kind) => assert_eq!(kind, StoreErrorKind::Conflict),
            }
            if self.load(user).revision() == before.revision() {
                return None;
            }
        }
    }

    fn replace(&self, read: Revision, after: Account) -> Result<(), StoreErrorKind> {
        let expected = match self.flaw {
            Flaw::IgnoresTheRevision => self.load(after.user()).revision(),
            _ => read,
        };
        let expected = (expected != Revision::ABSENT).then_some(expected);
        let told = Arc::clone(&self.told);
        let tell = move |_: &mut _, change| told.lock().unwrap().push(change);
        let written = self.accounts.change(after, expected, tell);
        written.map_err(|error| error.kind())
    }

    /// Holds that the store is what a plain model makes of what was written, in
    /// the order of the revisions, and that it told of it in that order.
    pub(crate) fn judge(&self, users: &[UserId], written: &[Written]) {
        let told = self.told.lock().unwrap().clone();
        assert_eq!(told.len(), written.len(), "a change was lost");
        for user in users {
            let mut own: Vec<_> = written.iter().filter(|it| it.user == *user).collect();
            own.sort_by_key(|written| written.revision);
            let told = told.iter().filter(|change| change.user == *user);
            let told = told.map(|change| change.revision.as_u64());
            assert!(told.eq(1..=own.len() as u64), "a change was lost");
            let mut model = User::default();
            for written in own {
                assert_eq!(model.act(&written.act, world()), Ok(()), "a change was lost");
            }
            let account = self.load(user);
            model.assert_is(&account);
            for digest in model.named() {
                assert_eq!(self.find(digest).as_ref(), Some(&account), "digest {digest}");
            }
        }
    }
}

fn world() -> World {
    let lifetimes = Lifetimes::default();
    World { now: NOW, primary_used: None, backup_used: None, lifetimes }
}
