//! The store under test, and how a case says which rule it breaks.

use std::collections::BTreeSet;
use std::fmt::{Debug, Display};
use std::sync::Arc;

use super::Harness;
use super::sample::change;
use super::watch::{Watch, sorted};
use crate::account::{Account, LastUse, Revision};
use crate::audit::AuditEntry;
use crate::store::{
    AccountStore, AuditItem, AuditLog, AuditPosition, ChangeFeed, Due, DueAccounts, LastUses,
    PageSize, Replacement, StoreError, StoreErrorKind,
};
use crate::time::Timestamp;
use crate::token::TokenDigest;
use crate::user::UserId;

/// A store, and the rule that it is tested for.
pub(super) struct Subject<S> {
    pub(super) store: Arc<S>,
    pub(super) rule: Rule,
}

/// Everything that a store says of some users and digests.
#[derive(Debug, PartialEq)]
pub(super) struct State {
    listed: Vec<Account>,
    users: Vec<OfUser>,
    digests: Vec<(TokenDigest, Option<Account>)>,
    log: Vec<Logged>,
    due: Vec<Due>,
}

/// What an audit log says at one position.
pub(super) type Logged = (AuditPosition, AuditItem);

/// After every other time that is kept exactly.
pub(super) const LATEST: Timestamp = Timestamp::from_unix_millis(1 << 52);

#[derive(Debug, PartialEq)]
struct OfUser {
    user: UserId,
    account: Option<Account>,
    history: Vec<AuditEntry>,
    usage: Vec<LastUse>,
}

impl<S: AccountStore> Subject<S> {
    /// A fresh store of `harness`, tested for `rule`.
    pub(super) async fn new(harness: &impl Harness<Store = S>, rule: &'static str) -> Self {
        Self { store: Arc::new(harness.store().await), rule: Rule(rule) }
    }

    /// A store that is there already, tested for `rule`.
    pub(super) fn over(store: S, rule: Rule) -> Self {
        Self { store: Arc::new(store), rule }
    }

    /// Makes a change that nothing speaks against.
    pub(super) async fn replace(&self, replacement: Replacement) {
        let (user, revision) = (replacement.entry.user.clone(), replacement.entry.revision);
        let answer = self.store.replace(replacement).await;
        self.rule.answered(answer, format_args!("writing revision {revision} of {user:?}"));
    }

    /// Writes `account` in the place of the revision before it.
    pub(super) async fn put(&self, account: &Account) {
        self.replace(change(account.clone())).await;
    }

    /// What `find` says; `peek` must say the same, once, or nothing.
    pub(super) async fn find(&self, digest: &TokenDigest) -> Option<Account> {
        let found = self.rule.answered(self.store.find(digest).await, "finding a digest");
        let found = found.map(|account| (*account).clone());
        let mut lent = Vec::new();
        let known = self.store.peek(digest, &mut |account| lent.push(account.cloned()));
        let expected = if known { vec![found.clone()] } else { vec![] };
        self.rule.same(&lent, &expected, format_args!("what peek lends, having said {known}"));
        found
    }

    /// Holds that the digest leads to that account.
    pub(super) async fn finds(
        &self,
        digest: &TokenDigest,
        account: Option<&Account>,
        what: impl Display,
    ) {
        self.rule.same(&self.find(digest).await.as_ref(), &account, what);
    }

    /// Holds that every digest of `account` leads to it, and so does its name.
    pub(super) async fn has(&self, account: &Account) {
        let loaded = self.load(account.user()).await;
        self.rule.same(&loaded.as_ref(), &Some(account), "loading an account");
        for stored in account.digests() {
            let place = account.place_of(&stored.digest);
            let what = format_args!("finding the digest at {place:?}");
            self.finds(&stored.digest, Some(account), what).await;
        }
    }

    pub(super) async fn load(&self, user: &UserId) -> Option<Account> {
        let loaded = self.store.load(user).await;
        let loaded = self.rule.answered(loaded, format_args!("loading {user:?}"));
        loaded.account.map(|account| (*account).clone())
    }

    /// The whole history, the latest entry first.
    pub(super) async fn history(&self, user: &UserId) -> Vec<AuditEntry> {
        let (mut entries, mut before) = (Vec::new(), None);
        loop {
            let page = self.store.history(user, before, PageSize::MAX).await;
            let page = self.rule.answered(page, format_args!("reading the history of {user:?}"));
            entries.extend(page.items);
            if page.next.is_none() {
                return entries;
            }
            let onward = before.is_none_or(|before| page.next < Some(before));
            self.rule.holds(onward, "a page of the history does not lead to an earlier one");
            before = page.next;
        }
    }

    /// The numbers of the revisions in the history, the latest first.
    pub(super) async fn revisions(&self, user: &UserId) -> Vec<u64> {
        let number = |entry: AuditEntry| Revision::as_u64(entry.revision);
        self.history(user).await.into_iter().map(number).collect()
    }

    /// The recorded uses, in the order of the tokens' ids.
    pub(super) async fn usage(&self, user: &UserId) -> Vec<LastUse> {
        let usage = self.uses().usage(user).await;
        let mut usage = self.rule.answered(usage, format_args!("reading the uses of {user:?}"));
        usage.sort_by_key(|usage| usage.id);
        usage
    }

    /// The recorded uses; none if the store keeps none.
    pub(super) async fn try_usage(&self, user: &UserId) -> Vec<LastUse> {
        match self.store.last_uses() {
            Some(_) => self.usage(user).await,
            None => Vec::new(),
        }
    }

    /// All accounts, page by page.
    pub(super) async fn list(&self, size: PageSize) -> Vec<Account> {
        let (mut accounts, mut after) = (Vec::new(), None);
        loop {
            let page = self.store.list(after.as_ref(), size).await;
            let page = self.rule.answered(page, "listing the accounts");
            self.rule.holds(page.items.len() <= size.get(), "a page is longer than asked for");
            accounts.extend(page.items.iter().map(|account| (**account).clone()));
            if page.next.is_none() {
                return accounts;
            }
            self.rule.holds(page.next > after, "a page of the list does not lead to a later one");
            after = page.next;
        }
    }

    /// Where the store keeps last uses, which it must.
    pub(super) fn uses(&self) -> &dyn LastUses {
        let uses = self.store.last_uses();
        uses.unwrap_or_else(|| panic!("broken rule: {}: no last uses are kept", self.rule.0))
    }

    /// What tells of the store's changes, which something must.
    pub(super) fn feed(&self) -> &dyn ChangeFeed {
        let feed = self.store.feed();
        feed.unwrap_or_else(|| panic!("broken rule: {}: there is no feed", self.rule.0))
    }

    /// What gives the histories of all accounts as one log, which something must.
    pub(super) fn audit_log(&self) -> &dyn AuditLog {
        let log = self.store.audit_log();
        log.unwrap_or_else(|| panic!("broken rule: {}: there is no audit log", self.rule.0))
    }

    /// What finds the accounts that are due, which something must.
    pub(super) fn due_accounts(&self) -> &dyn DueAccounts {
        let due = self.store.due_accounts();
        due.unwrap_or_else(|| panic!("broken rule: {}: no account is ever due", self.rule.0))
    }

    /// The audit log behind that position, read by pages of this size.
    pub(super) async fn log_after(&self, after: AuditPosition, size: usize) -> Vec<Logged> {
        let (mut logged, mut last) = (Vec::new(), after);
        loop {
            let page = self.audit_log().audit(last, PageSize::clamped(size)).await;
            let page = self.rule.answered(page, "reading the audit log");
            self.rule.holds(page.len() <= size, "a page of the log is longer than asked for");
            if page.is_empty() {
                return logged;
            }
            for (position, item) in page {
                let onward = position > last;
                self.rule.holds(onward, format_args!("{position:?} comes after {last:?}"));
                last = position;
                logged.push((position, item));
            }
        }
    }

    /// The whole audit log.
    pub(super) async fn log(&self) -> Vec<Logged> {
        self.log_after(AuditPosition::START, PageSize::MAX.get()).await
    }

    /// The accounts that are due at `until`, read by pages of this size.
    pub(super) async fn due_until(&self, until: Timestamp, size: usize) -> Vec<Due> {
        let (mut due, mut after) = (Vec::new(), None);
        loop {
            let page = self.due_accounts().due(until, after.as_ref(), PageSize::clamped(size));
            let page = self.rule.answered(page.await, "reading which accounts are due");
            self.rule.holds(page.items.len() <= size, "a page is longer than asked for");
            due.extend(page.items);
            if page.next.is_none() {
                return due;
            }
            self.rule.holds(page.next > after, "a page does not lead to a later account");
            after = page.next;
        }
    }

    /// Every account that is due at some time.
    pub(super) async fn due(&self) -> Vec<Due> {
        self.due_until(LATEST, PageSize::MAX.get()).await
    }

    pub(super) async fn watch(&self) -> Watch {
        Watch::open(self.feed(), self.rule).await
    }

    /// Watches the feed, if there is one.
    pub(super) async fn try_watch(&self) -> Option<Watch> {
        self.store.feed()?;
        Some(self.watch().await)
    }

    /// Holds that nothing has come through the feed, if there is one.
    pub(super) async fn silent(&self, watch: Option<Watch>, what: impl Display) {
        if let Some(mut watch) = watch {
            self.rule.same(&watch.items(self.feed()).await, &vec![], what);
        }
    }

    /// Everything that the store says of its accounts and of these ones.
    pub(super) async fn state(&self, also: &[&Account]) -> State {
        let listed = self.list(PageSize::MAX).await;
        let accounts = || listed.iter().chain(also.iter().copied());
        let mut users = Vec::new();
        for user in accounts().map(Account::user).collect::<BTreeSet<_>>() {
            let (history, usage) = (self.history(user).await, self.try_usage(user).await);
            let (user, account) = (user.clone(), self.load(user).await);
            users.push(OfUser { user, account, history, usage });
        }
        let named = accounts().flat_map(Account::digests).map(|stored| &stored.digest);
        let mut digests = Vec::new();
        for digest in sorted(named) {
            digests.push((digest, self.find(&digest).await));
        }
        let log = if self.store.audit_log().is_some() { self.log().await } else { Vec::new() };
        let due = if self.store.due_accounts().is_some() { self.due().await } else { Vec::new() };
        State { listed, users, digests, log, due }
    }

    /// Holds that the change conflicts, that nothing changes by it, and that
    /// the feed is silent.
    pub(super) async fn refuses(&self, replacement: Replacement, what: impl Display) {
        let watch = self.try_watch().await;
        let proposed = replacement.account.clone();
        let before = self.state(&[&proposed]).await;
        self.rule.conflicts(&self.store.replace(replacement).await, &what);
        let after = self.state(&[&proposed]).await;
        self.rule.same(&after, &before, format_args!("the store after {what}"));
        self.silent(watch, format_args!("the feed after {what}")).await;
    }
}

/// A rule of the contract, as a failure names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule(pub(super) &'static str);

impl Rule {
    /// Panics unless it `holds`.
    #[track_caller]
    pub(super) fn holds(self, holds: bool, what: impl Display) {
        assert!(holds, "broken rule: {}: {what}", self.0);
    }

    /// Panics unless what was seen is what was expected.
    #[track_caller]
    pub(super) fn same<T: Debug + PartialEq>(self, seen: &T, expected: &T, what: impl Display) {
        assert!(
            seen == expected,
            "broken rule: {}: {what}\n    seen: {seen:?}\nexpected: {expected:?}",
            self.0
        );
    }

    /// What the store answered; panics if it failed.
    #[track_caller]
    pub(super) fn answered<T>(self, answer: Result<T, StoreError>, what: impl Display) -> T {
        match answer {
            Ok(answer) => answer,
            Err(error) => panic!("broken rule: {}: {what}: {error:?}", self.0),
        }
    }

    /// Panics unless the store answered with a conflict.
    #[track_caller]
    pub(super) fn conflicts(self, answer: &Result<(), StoreError>, what: impl Display) {
        self.same(&outcome(answer), &Err(StoreErrorKind::Conflict), what);
    }
}

/// An answer as far as it can be compared.
pub(super) fn outcome<T>(answer: &Result<T, StoreError>) -> Result<(), StoreErrorKind> {
    answer.as_ref().map(drop).map_err(StoreError::kind)
}
