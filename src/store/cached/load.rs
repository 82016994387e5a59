//! One look-up in the store, which any number of requests wait for.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use super::entries::Entries;
use crate::account::Account;
use crate::store::{StoreError, StoreErrorKind};
use crate::token::TokenDigest;

/// The store's work on a question.
pub(super) type Work =
    Pin<Box<dyn Future<Output = Result<Option<Arc<Account>>, StoreError>> + Send>>;

/// What came of it, for everyone who waits.
pub(super) type Outcome = Result<Option<Arc<Account>>, Arc<StoreError>>;

/// A question on its way.
///
/// Whoever holds the lock drives the work; when that request is dropped, the
/// next one goes on with it where it stands. So a client that hangs up neither
/// fails the others nor makes them start anew, and when all are gone the work
/// is dropped.
pub(super) struct Load {
    /// When it began, by the cache's clock: before it was sent.
    pub(super) begun: u64,
    work: tokio::sync::Mutex<Option<Work>>,
    outcome: OnceLock<Outcome>,
}

impl Load {
    pub(super) fn new(begun: u64, work: Work) -> Self {
        let work = tokio::sync::Mutex::new(Some(work));
        Self { begun, work, outcome: OnceLock::new() }
    }

    /// What came of it. The one who has driven it to its end calls `conclude`,
    /// before any other is told.
    pub(super) async fn outcome(&self, conclude: impl FnOnce(&Outcome)) -> Outcome {
        let mut work = self.work.lock().await;
        if let Some(outcome) = self.outcome.get() {
            return outcome.clone();
        }
        let outcome = std::future::poll_fn(|cx| step(&mut work, cx)).await;
        let outcome = outcome.map_err(Arc::new);
        conclude(&outcome);
        self.outcome.get_or_init(|| outcome).clone()
    }
}

/// Work is out of its place while it is polled: when it panics, those who wait
/// find nothing left to drive.
fn step(
    place: &mut Option<Work>,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Arc<Account>>, StoreError>> {
    let Some(mut work) = place.take() else {
        let doing = "waiting for a look-up, which panicked";
        return Poll::Ready(Err(StoreError::new(StoreErrorKind::Unavailable, doing)));
    };
    let polled = work.as_mut().poll(cx);
    if polled.is_pending() {
        *place = Some(work);
    }
    polled
}

/// An answer, or the look-up to wait for.
pub(super) enum Asked<'a> {
    Remembered(Option<Arc<Account>>),
    Waiting(Waiting<'a>),
}

/// A request that waits for a look-up.
pub(super) struct Waiting<'a> {
    entries: &'a Entries,
    digest: TokenDigest,
    leads: bool,
    /// There until it is dropped.
    load: Option<Arc<Load>>,
}

impl<'a> Waiting<'a> {
    pub(super) const fn new(
        entries: &'a Entries,
        digest: TokenDigest,
        leads: bool,
        load: Arc<Load>,
    ) -> Self {
        Self { entries, digest, leads, load: Some(load) }
    }

    /// Whether the look-up is this request's own.
    pub(super) const fn leads(&self) -> bool {
        self.leads
    }

    /// What came of it; `None` if the look-up began too long ago for a request
    /// that came later.
    pub(super) async fn outcome(&self) -> Option<Outcome> {
        self.outcome_by(Entries::conclude).await
    }

    /// The same with a way of one's own to end the look-up: the test of the
    /// interleavings must see a wrong one fail.
    pub(super) async fn outcome_by(
        &self,
        conclude: impl FnOnce(&Entries, &TokenDigest, &Load, &Outcome),
    ) -> Option<Outcome> {
        let load = self.load.as_ref()?;
        let conclude = |outcome: &Outcome| conclude(self.entries, &self.digest, load, outcome);
        let outcome = load.outcome(conclude).await;
        (self.leads || self.entries.is_current(load.begun)).then_some(outcome)
    }
}

impl Drop for Waiting<'_> {
    /// The last to go takes the look-up along. The store's work is dropped
    /// after the lock is free.
    fn drop(&mut self) {
        let mut state = self.entries.state();
        let last = self.load.take().and_then(Arc::into_inner);
        if last.is_some() {
            state.close_if_gone(&self.digest);
        }
        drop(state);
    }
}
