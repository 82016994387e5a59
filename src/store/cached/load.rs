//! One question to the store, which any number of requests wait for.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use crate::account::Account;
use crate::store::{StoreError, StoreErrorKind};

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
