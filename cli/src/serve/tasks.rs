//! Tasks that run until the server stops. One that ends before ends the server.

use std::collections::HashMap;

use tokio::task::{Id, JoinError, JoinSet};

use super::ServeError;

/// Tasks that run until the server stops.
#[derive(Default)]
pub(super) struct Tasks {
    running: JoinSet<Result<(), ServeError>>,
    names: HashMap<Id, &'static str>,
}

impl Tasks {
    pub(super) fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), ServeError>> + Send + 'static,
    ) {
        let task = self.running.spawn(task);
        self.names.insert(task.id(), name);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Waits until one of them ends, as none should: why.
    pub(super) async fn failure(&mut self) -> ServeError {
        match self.running.join_next_with_id().await {
            None => std::future::pending().await,
            Some(Ok((_, Err(error)))) => error,
            Some(Ok((id, Ok(())))) => ServeError::Ended { name: self.name(id) },
            Some(Err(error)) => self.broken(&error),
        }
    }

    /// Waits until all of them have ended, as they were told to.
    pub(super) async fn ended(&mut self) -> Result<(), ServeError> {
        let mut outcome = Ok(());
        while let Some(ended) = self.running.join_next_with_id().await {
            outcome = outcome.and(match ended {
                Ok((_, ended)) => ended,
                Err(error) => Err(self.broken(&error)),
            });
        }
        outcome
    }

    fn broken(&self, error: &JoinError) -> ServeError {
        ServeError::Broken { name: self.name(error.id()) }
    }

    fn name(&self, id: Id) -> &'static str {
        self.names.get(&id).copied().unwrap_or("a task")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_fails_or_ends_early_is_named() {
        for (task, says) in [("panics", "portal broke"), ("ends", "portal has ended")] {
            let mut tasks = Tasks::default();
            tasks.spawn("operations", std::future::pending());
            tasks.spawn("portal", async move {
                assert_eq!(task, "ends", "a fault of the program");
                Ok(())
            });
            let failure = tasks.failure().await.to_string();
            assert!(failure.contains(says), "{failure}");
        }
    }

    #[tokio::test]
    async fn nothing_fails_where_nothing_runs() {
        let mut tasks = Tasks::default();
        let failure = tokio::time::timeout(std::time::Duration::ZERO, tasks.failure()).await;
        assert!(failure.is_err() && tasks.is_empty());
        assert!(tasks.ended().await.is_ok());
    }
}
