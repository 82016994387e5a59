//! A store that yields at every call, so that calls interleave, and fails when
//! it is told to.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tower_api_token::account::{Account, LastUse, Revision};
use tower_api_token::audit::AuditEntry;
use tower_api_token::store::{
    AccountStore, AuditLog, ChangeFeed, DueAccounts, Erasure, LastUses, Loaded, Page, PageSize,
    Replacement, StoreError, StoreErrorKind, TokenStore,
};
use tower_api_token::token::{PepperCheck, PepperChecks, PepperVersion, TokenDigest, TokenPrefix};
use tower_api_token::user::UserId;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Find,
    Load,
    Replace,
    ReplaceMany,
    RecordUsage,
    Usage,
    History,
    List,
    PepperVersions,
    Prefixes,
    PepperChecks,
    KeepPepperCheck,
    Erase,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Does nothing and answers so.
    Error(StoreErrorKind),
    /// Does it and answers that it is unavailable.
    LostAnswer,
    /// Never answers.
    Hang,
    /// Waits until it is let go on, and then does its work or answers that.
    Held(Option<StoreErrorKind>),
}

pub(crate) struct Faulty {
    inner: Arc<dyn AccountStore>,
    faults: Mutex<VecDeque<(Call, Fault)>>,
    calls: Mutex<Vec<Call>>,
    let_go: Semaphore,
    keeps_no_uses: AtomicBool,
    damaged: Mutex<Option<UserId>>,
}

impl Faulty {
    pub(crate) fn new(inner: Arc<dyn AccountStore>) -> Self {
        Self {
            inner,
            faults: Mutex::default(),
            calls: Mutex::default(),
            let_go: Semaphore::new(0),
            keeps_no_uses: AtomicBool::new(false),
            damaged: Mutex::default(),
        }
    }

    /// From now on it is a store that keeps no last uses.
    pub(crate) fn keep_no_uses(&self) {
        self.keeps_no_uses.store(true, Ordering::SeqCst);
    }

    /// From now on this user's record cannot be read, nor a page that it is on.
    pub(crate) fn damage(&self, user: &UserId) {
        *self.damaged.lock().unwrap() = Some(user.clone());
    }

    fn can_be_read(&self, user: &UserId) -> Result<(), StoreError> {
        let is_damaged = self.damaged.lock().unwrap().as_ref() == Some(user);
        if is_damaged { Err(broken(StoreErrorKind::Corrupt)) } else { Ok(()) }
    }

    /// The next call of that kind without a fault yet gets this one.
    pub(crate) fn plan(&self, call: Call, fault: Fault) {
        self.faults.lock().unwrap().push_back((call, fault));
    }

    /// Lets one call that is held go on.
    pub(crate) fn let_go(&self) {
        self.let_go.add_permits(1);
    }

    /// Faults that no call has met.
    pub(crate) fn unmet(&self) -> usize {
        self.faults.lock().unwrap().len()
    }

    /// How many calls of that kind there were since the last time it was asked
    /// for any.
    pub(crate) fn take_calls(&self, call: Call) -> usize {
        let calls = std::mem::take(&mut *self.calls.lock().unwrap());
        calls.iter().filter(|&&made| made == call).count()
    }

    /// All calls since the last time it was asked for any, in their order.
    #[cfg(feature = "holder")]
    pub(crate) fn take_all_calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    async fn around<T>(
        &self,
        call: Call,
        answer: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.calls.lock().unwrap().push(call);
        tokio::task::yield_now().await;
        let fault = {
            let mut faults = self.faults.lock().unwrap();
            let place = faults.iter().position(|(planned, _)| *planned == call);
            place.and_then(|place| faults.remove(place))
        };
        let answer = match fault.map(|(_, fault)| fault) {
            None => answer.await,
            Some(Fault::Error(kind)) => Err(broken(kind)),
            Some(Fault::LostAnswer) => answer.await.and(Err(broken(StoreErrorKind::Unavailable))),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Held(kind)) => {
                self.let_go.acquire().await.unwrap().forget();
                match kind {
                    None => answer.await,
                    Some(kind) => Err(broken(kind)),
                }
            }
        };
        tokio::task::yield_now().await;
        answer
    }
}

fn broken(kind: StoreErrorKind) -> StoreError {
    StoreError::new(kind, "being broken").with_source("a test did it")
}

#[async_trait]
impl TokenStore for Faulty {
    async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        self.around(Call::Find, self.inner.find(digest)).await
    }
}

#[async_trait]
impl AccountStore for Faulty {
    async fn load(&self, user: &UserId) -> Result<Loaded, StoreError> {
        self.can_be_read(user)?;
        self.around(Call::Load, self.inner.load(user)).await
    }

    async fn replace(&self, replacement: Replacement) -> Result<(), StoreError> {
        self.around(Call::Replace, self.inner.replace(replacement)).await
    }

    async fn replace_many(
        &self,
        replacements: Vec<Replacement>,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.around(Call::ReplaceMany, self.inner.replace_many(replacements)).await
    }

    async fn list(
        &self,
        after: Option<&UserId>,
        size: PageSize,
    ) -> Result<Page<Arc<Account>>, StoreError> {
        let page = self.around(Call::List, self.inner.list(after, size)).await?;
        page.items.iter().try_for_each(|account| self.can_be_read(account.user()))?;
        Ok(page)
    }

    async fn history(
        &self,
        user: &UserId,
        before: Option<Revision>,
        size: PageSize,
    ) -> Result<Page<AuditEntry, Revision>, StoreError> {
        self.around(Call::History, self.inner.history(user, before, size)).await
    }

    fn last_uses(&self) -> Option<&dyn LastUses> {
        (!self.keeps_no_uses.load(Ordering::SeqCst)).then_some(self)
    }

    fn feed(&self) -> Option<&dyn ChangeFeed> {
        self.inner.feed()
    }

    fn audit_log(&self) -> Option<&dyn AuditLog> {
        self.inner.audit_log()
    }

    fn due_accounts(&self) -> Option<&dyn DueAccounts> {
        self.inner.due_accounts()
    }

    async fn pepper_versions(&self) -> Result<Vec<(PepperVersion, u64)>, StoreError> {
        self.around(Call::PepperVersions, self.inner.pepper_versions()).await
    }

    async fn prefixes(&self) -> Result<Vec<(Option<TokenPrefix>, u64)>, StoreError> {
        self.around(Call::Prefixes, self.inner.prefixes()).await
    }

    async fn pepper_checks(&self) -> Result<PepperChecks, StoreError> {
        self.around(Call::PepperChecks, self.inner.pepper_checks()).await
    }

    async fn keep_pepper_check(
        &self,
        version: PepperVersion,
        check: PepperCheck,
    ) -> Result<PepperCheck, StoreError> {
        self.around(Call::KeepPepperCheck, self.inner.keep_pepper_check(version, check)).await
    }

    async fn erase(&self, erasure: Erasure) -> Result<(), StoreError> {
        self.around(Call::Erase, self.inner.erase(erasure)).await
    }
}

#[async_trait]
impl LastUses for Faulty {
    async fn record_usage(&self, batch: &[(UserId, LastUse)]) -> Result<(), StoreError> {
        self.around(Call::RecordUsage, self.inner.last_uses().unwrap().record_usage(batch)).await
    }

    async fn usage(&self, user: &UserId) -> Result<Vec<LastUse>, StoreError> {
        self.around(Call::Usage, self.inner.last_uses().unwrap().usage(user)).await
    }
}
