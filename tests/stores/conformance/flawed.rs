//! A store that is sound but for one flaw of choice, to show that the
//! conformance suite has teeth.

mod dues;
mod erasing;
mod flaw;
mod harness;
mod logging;
mod place;
mod reading;
mod writing;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use tower_api_token::account::{Account, LastUse, Revision};
use tower_api_token::audit::AuditEntry;
use tower_api_token::store::{
    AccountStore, AuditLog, ChangeFeed, DueAccounts, Erasure, Feed, FeedItem, LastUses, Loaded,
    Page, PageSize, Replacement, StoreError, StoreErrorKind, TokenStore,
};
use tower_api_token::time::Timestamp;
use tower_api_token::token::{PepperCheck, PepperChecks, PepperVersion, TokenDigest, TokenPrefix};
use tower_api_token::user::UserId;

pub(crate) use self::flaw::Flaw;
pub(crate) use self::harness::FlawedHarness;
use self::place::{Place, State};

/// A store with a flaw, over a place that other nodes may share.
pub(crate) struct Flawed {
    pub(crate) flaw: Flaw,
    pub(crate) place: Arc<Place>,
    /// Which node of its place it is.
    pub(crate) node: u64,
    /// Whether its driver fails.
    pub(crate) down: AtomicBool,
}

impl Flawed {
    /// The first node of a new place.
    pub(crate) fn new(flaw: Flaw) -> Self {
        Self { flaw, place: Arc::default(), node: 0, down: AtomicBool::new(false) }
    }

    pub(crate) fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    pub(crate) fn is_down(&self) -> bool {
        self.down.load(Ordering::SeqCst)
    }

    fn outage(&self) -> Result<(), StoreError> {
        let error = StoreError::new(StoreErrorKind::Unavailable, "asking a store that is down");
        match self.flaw {
            _ if !self.is_down() => Ok(()),
            Flaw::SourceForgotten => Err(error),
            _ => Err(error.with_source(std::io::Error::other("the driver is down"))),
        }
    }

    /// An answer without content instead of an outage, if that is the flaw.
    fn nothing_instead(&self) -> bool {
        self.is_down() && self.has(Flaw::OutageAsNone)
    }

    /// What `find` and `peek` look at.
    fn found(&self, digest: &TokenDigest) -> Option<Arc<Account>> {
        let mut state = self.place.state();
        state.touched += 1;
        let index = match self.flaw {
            Flaw::StaleReadAfterReplace => &state.index_before,
            _ => &state.index,
        };
        let known = index.get(digest).cloned();
        match self.flaw {
            Flaw::UnknownDigestFound => known.or_else(|| index.values().next().cloned()),
            Flaw::DigestsCutShort => {
                let half = |other: &&TokenDigest| other.as_bytes()[..16] == digest.as_bytes()[..16];
                known.or_else(|| index.get(index.keys().find(half)?).cloned())
            }
            _ => known,
        }
    }

    /// Checks a change, and lets the lock go.
    fn check_first(&self, replacement: &Replacement) -> Result<(), StoreError> {
        let mut state = self.place.state();
        state.touched += 1;
        self.check(&state, replacement)
    }

    /// A change with pauses in which it can be observed, or dropped.
    async fn replace_in_steps(&self, replacement: Replacement) -> Result<(), StoreError> {
        let account = Arc::new(replacement.account.clone());
        match self.flaw {
            Flaw::ChecksBeforeLock => {
                self.check_first(&replacement)?;
                self.place.pause().await;
                self.keep(&mut self.place.state(), &replacement)
            }
            Flaw::IndexGap => {
                self.check_first(&replacement)?;
                self.place.state().forget_digests(account.user().as_str());
                self.place.pause().await;
                self.write(&mut self.place.state(), &replacement)
            }
            Flaw::IndexHalfWritten => {
                self.check_first(&replacement)?;
                self.place.state().mislead(&account);
                self.place.pause().await;
                self.write(&mut self.place.state(), &replacement)
            }
            Flaw::DroppedHalfWritten => {
                self.check_first(&replacement)?;
                self.place.state().accounts.insert(account.user().as_str().to_owned(), account);
                self.place.pause().await;
                self.keep(&mut self.place.state(), &replacement)
            }
            Flaw::FeedBeforeCommit => {
                self.check_first(&replacement)?;
                self.tell_beforehand(&replacement)?;
                self.place.pause().await;
                self.keep(&mut self.place.state(), &replacement)
            }
            Flaw::LogPositionBeforeCommit => {
                self.check_first(&replacement)?;
                let position = self.place.state().log.reserve(self.flaw);
                self.place.pause().await;
                let mut state = self.place.state();
                self.keep(&mut state, &replacement)?;
                state.log.put(position, replacement.entry);
                Ok(())
            }
            Flaw::LogBeforeCommit => {
                self.check_first(&replacement)?;
                self.log_beforehand(&replacement);
                self.place.pause().await;
                self.keep(&mut self.place.state(), &replacement)
            }
            Flaw::DroppedStaysBusy => {
                self.place.take()?;
                self.place.pause().await;
                let answer = self.write(&mut self.place.state(), &replacement);
                self.place.release();
                answer
            }
            _ => self.write(&mut self.place.state(), &replacement),
        }
    }

    /// Sends what a change has kept back, once the next change is made.
    async fn send_late(&self, revision: Revision) {
        let next = |state: &State| {
            state.history.values().map(Vec::len).max() > Some(revision.as_u64() as usize)
        };
        if revision.as_u64() % 2 == 1 {
            self.place.wait_until(next).await;
        }
        self.flush(revision);
    }
}

#[async_trait]
impl TokenStore for Flawed {
    fn peek(&self, digest: &TokenDigest, visit: &mut dyn FnMut(Option<&Account>)) -> bool {
        if self.is_down() {
            return self.has(Flaw::OutagePeeksNone);
        }
        let found = self.found(digest);
        visit(found.as_deref().filter(|_| !self.has(Flaw::PeekKnowsNone)));
        if self.has(Flaw::PeekVisitsTwice) {
            visit(found.as_deref());
        }
        !self.has(Flaw::PeekVisitsAndDenies)
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        if self.nothing_instead() {
            return Ok(None);
        }
        self.outage()?;
        Ok(self.found(digest))
    }
}

#[async_trait]
impl AccountStore for Flawed {
    async fn load(&self, user: &UserId) -> Result<Loaded, StoreError> {
        self.outage()?;
        let mut state = self.place.state();
        let name = self.key(user);
        if self.has(Flaw::LoadCreates) && !state.accounts.contains_key(&name) {
            let account = Account::builder(user.clone()).build().unwrap();
            state.accounts.insert(name.clone(), Arc::new(account));
        }
        let now = Timestamp::now();
        let now = match self.flaw {
            Flaw::ClockBackwards => {
                let changes = state.history.values().map(Vec::len).sum::<usize>();
                Timestamp::from_unix_millis(now.unix_millis() - 1_000 * changes as u64)
            }
            Flaw::ClockInSeconds => Timestamp::from_unix_millis(now.unix_millis() / 1_000),
            _ => now,
        };
        let loaded = Loaded::new(state.accounts.get(&name).cloned(), now);
        Ok(loaded.with_erased_up_to(state.erased_up_to))
    }

    async fn replace(&self, replacement: Replacement) -> Result<(), StoreError> {
        self.outage()?;
        let revision = replacement.account.revision();
        let answer = self.replace_in_steps(replacement).await;
        if answer.is_ok() && self.has(Flaw::FeedAfterLock) {
            self.send_late(revision).await;
        }
        if self.has(Flaw::IndexLate) {
            let place = Arc::clone(&self.place);
            tokio::spawn(async move { place.state().catch_up() });
        }
        answer
    }

    async fn replace_many(
        &self,
        replacements: Vec<Replacement>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.outage()?;
        if replacements.is_empty() && self.has(Flaw::EmptyBatchFails) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "writing an empty batch"));
        }
        Ok(self.write_batch(replacements))
    }

    async fn list(
        &self,
        after: Option<&UserId>,
        size: PageSize,
    ) -> Result<Page<Arc<Account>>, StoreError> {
        self.outage()?;
        let state = self.place.state();
        let mut accounts = self.listed(&state, after);
        let full = accounts.len() >= size.get();
        accounts.truncate(size.get() + 1);
        let mut page = Page::of_accounts(accounts, size);
        if full && self.has(Flaw::FullPageHasMore) {
            page.next = page.items.last().map(|account| account.user().clone());
        }
        Ok(page)
    }

    async fn history(
        &self,
        user: &UserId,
        before: Option<Revision>,
        size: PageSize,
    ) -> Result<Page<AuditEntry, Revision>, StoreError> {
        self.outage()?;
        let mut entries = self.entries(&self.place.state(), user, before);
        entries.truncate(size.get() + 1);
        let mut page = Page::of_entries(entries, size);
        if self.has(Flaw::HistoryEndsEarly) {
            page.next = None;
        }
        Ok(page)
    }

    fn last_uses(&self) -> Option<&dyn LastUses> {
        Some(self)
    }

    fn feed(&self) -> Option<&dyn ChangeFeed> {
        Some(self)
    }

    fn audit_log(&self) -> Option<&dyn AuditLog> {
        Some(self)
    }

    fn due_accounts(&self) -> Option<&dyn DueAccounts> {
        Some(self)
    }

    async fn pepper_versions(&self) -> Result<Vec<(PepperVersion, u64)>, StoreError> {
        self.outage()?;
        let state = self.place.state();
        let in_use = |account: &Account| -> Vec<_> {
            match self.flaw {
                Flaw::PeppersCountRetired => account.digests().map(|one| one.pepper).collect(),
                _ => account.pepper_versions_in_use().collect(),
            }
        };
        let mut counts = std::collections::BTreeMap::new();
        for version in state.accounts.values().flat_map(|account| in_use(account)) {
            *counts.entry(version).or_default() += 1;
        }
        Ok(counts.into_iter().collect())
    }

    async fn prefixes(&self) -> Result<Vec<(Option<TokenPrefix>, u64)>, StoreError> {
        self.outage()?;
        let state = self.place.state();
        let mut counts = std::collections::BTreeMap::new();
        for prefix in state.accounts.values().flat_map(|account| account.prefixes_in_use()) {
            if prefix.is_some() || !self.has(Flaw::PrefixesOmitUnknown) {
                *counts.entry(prefix).or_default() += 1;
            }
        }
        Ok(counts.into_iter().collect())
    }

    async fn pepper_checks(&self) -> Result<PepperChecks, StoreError> {
        self.outage()?;
        let state = self.place.state();
        Ok(PepperChecks::new(state.checks.iter().map(|(of, check)| (*of, *check)).collect()))
    }

    async fn keep_pepper_check(
        &self,
        version: PepperVersion,
        check: PepperCheck,
    ) -> Result<PepperCheck, StoreError> {
        self.outage()?;
        let mut state = self.place.state();
        let kept = state.checks.entry(version).or_insert(check);
        if self.has(Flaw::LastCheckKept) {
            *kept = check;
        }
        Ok(*kept)
    }

    async fn erase(&self, erasure: Erasure) -> Result<(), StoreError> {
        self.outage()?;
        self.erase_at_once(&erasure)
    }
}

#[async_trait]
impl LastUses for Flawed {
    async fn record_usage(&self, batch: &[(UserId, LastUse)]) -> Result<(), StoreError> {
        self.outage()?;
        let mut state = self.place.state();
        let length = if self.has(Flaw::BatchCutShort) { 100 } else { usize::MAX };
        batch.iter().take(length).try_for_each(|token_use| self.record(&mut state, token_use))
    }

    async fn usage(&self, user: &UserId) -> Result<Vec<LastUse>, StoreError> {
        self.outage()?;
        let state = self.place.state();
        let user = self.usage_key(user);
        let own = state.uses.iter().filter(|((name, _), _)| *name == user);
        Ok(own.map(|(_, usage)| usage.clone()).collect())
    }
}

#[async_trait]
impl ChangeFeed for Flawed {
    async fn changes(&self) -> Result<Feed, StoreError> {
        self.outage()?;
        Ok(self.place.subscribe(self))
    }

    async fn heartbeat(&self, id: u64) -> Result<(), StoreError> {
        self.outage()?;
        let _state = self.place.state();
        let number = match self.flaw {
            Flaw::HeartbeatCutShort => id & 0xffff_ffff,
            _ => id,
        };
        self.send(FeedItem::Heartbeat(number))
    }
}
