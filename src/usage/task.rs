//! Flushing on an interval.

use std::time::Duration;

use super::UsageRecorder;
use crate::store::StoreError;

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(86_400);

impl UsageRecorder {
    /// Flushes once every `interval` until `shutdown` is ready, and then once
    /// more. An interval under a millisecond is a millisecond, and one over a day
    /// is a day.
    ///
    /// Spawn it beside the server and wait for it when the server has stopped.
    /// A flush that fails is logged and tried again with the next.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// # use tower_api_token::{store::MemoryStore, usage::UsageRecorder};
    ///
    /// # async fn example(usage: UsageRecorder) {
    /// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    /// let shutdown = async move { drop(stopped.await) };
    /// let flusher = tokio::spawn(usage.run(Duration::from_secs(10), shutdown));
    /// // ... serve ...
    /// drop(stop);
    /// let last_flush = flusher.await;
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the last flush failed.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime whose timer is enabled.
    pub async fn run(
        self,
        interval: Duration,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), StoreError> {
        let mut ticks = tokio::time::interval(interval.clamp(SHORTEST, LONGEST));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let ready = std::future::poll_fn(|cx| {
                if shutdown.as_mut().poll(cx).is_ready() {
                    return std::task::Poll::Ready(true);
                }
                ticks.poll_tick(cx).map(|_| false)
            });
            if ready.await {
                return self.flush().await;
            }
            if let Err(error) = self.flush().await {
                error.log();
            }
        }
    }
}
