//! Tasks that outlive their caller.

use super::{StoreError, StoreErrorKind};

/// Runs `work` in a task of its own, so that a caller that is dropped half-way
/// cannot stop it.
pub(crate) async fn to_its_end<T: Send + 'static>(
    doing: &'static str,
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    let stopped = |error| {
        // Only a runtime that is being shut down stops it.
        Err(StoreError::new(StoreErrorKind::Unavailable, doing).with_source(error))
    };
    tokio::spawn(work).await.unwrap_or_else(stopped)
}
