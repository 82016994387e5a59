//! In place of `tasks.rs` without the feature `tokio`: everything is done in the
//! caller's future, and ends with it.

use std::sync::Arc;

use super::Inner;
use super::follow::Follows;
use crate::store::StoreError;

/// No tasks.
pub(super) struct Tasks;

impl Tasks {
    pub(super) const fn none() -> Self {
        Self
    }

    pub(super) async fn run<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        work.await
    }

    pub(super) async fn idle(&self) {}
}

impl Inner {
    /// Nothing goes on after the answer.
    pub(super) fn await_outcome(self: &Arc<Self>, _: Vec<Follows>, _: &StoreError) {}
}
