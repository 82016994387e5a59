//! A closure as a notifier.

use std::fmt;

use async_trait::async_trait;

use super::{ConfirmationMessage, Notifier, NotifyError};

/// Hands each confirmation to an asynchronous closure. Notices are dropped.
///
/// ```
/// use std::sync::mpsc;
/// use tower_api_token::notify::{NotifyError, NotifyFn};
///
/// let (queue, messages) = mpsc::channel();
/// let notifier = NotifyFn::new(move |message| {
///     let queued = queue.send(message).map_err(|_| NotifyError::new("the mail queue is gone"));
///     async move { queued }
/// });
/// # let _ = (notifier, messages);
/// ```
pub struct NotifyFn<F> {
    send: F,
}

impl<F, R> NotifyFn<F>
where
    F: Fn(ConfirmationMessage) -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), NotifyError>> + Send,
{
    /// A notifier that calls `send` for each confirmation and awaits what it
    /// returns.
    #[must_use]
    pub const fn new(send: F) -> Self {
        Self { send }
    }
}

#[async_trait]
impl<F, R> Notifier for NotifyFn<F>
where
    F: Fn(ConfirmationMessage) -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), NotifyError>> + Send,
{
    async fn confirmation(&self, message: &ConfirmationMessage) -> Result<(), NotifyError> {
        (self.send)(message.clone()).await
    }
}

impl<F> fmt::Debug for NotifyFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotifyFn").finish_non_exhaustive()
    }
}
