//! Writes that go on although their callers were told that they take too long.

use std::error::Error;
use std::fmt;
use std::iter::successors;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use super::StoreError;

/// What a store says of some changes: of each, or that it failed as a whole.
pub(crate) type Answer = Result<Vec<Result<(), StoreError>>, StoreError>;

type Waiting = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Leads to the answer to a write that is still going on.
///
/// It is the source of the error that says so, where whoever must know what
/// becomes of the write finds it, whatever stands around the store.
pub(crate) struct LateWrite(Arc<Mutex<Option<Waiting>>>);

impl LateWrite {
    pub(super) fn new(answer: impl Future<Output = Answer> + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Some(Box::pin(answer)))))
    }

    /// The write that the error is about, if it goes on.
    pub(crate) fn of(error: &StoreError) -> Option<Self> {
        cause(error).map(|Self(waiting)| Self(Arc::clone(waiting)))
    }

    /// Waits for the answer, which only the first to ask gets.
    pub(crate) async fn answer(self) -> Answer {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match waiting {
            Some(waiting) => waiting.await,
            None => Ok(Vec::new()),
        }
    }
}

/// The error's cause of that type, whatever stands around it.
fn cause<T: Error + 'static>(error: &StoreError) -> Option<&T> {
    successors(error.source(), |&cause| cause.source()).find_map(|cause| cause.downcast_ref())
}

impl Error for LateWrite {}

impl fmt::Display for LateWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it takes too long, and goes on")
    }
}

impl fmt::Debug for LateWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LateWrite")
    }
}

/// The source of an error that says that a write was never begun.
#[derive(Debug, thiserror::Error)]
#[error("too many writes are under way, and it was not begun")]
pub(crate) struct NotBegun;

impl NotBegun {
    /// Whether the error says so: nothing was written, and nothing will be.
    pub(crate) fn is_cause_of(error: &StoreError) -> bool {
        cause::<Self>(error).is_some()
    }
}
