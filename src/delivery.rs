//! Delivery of the audit log to those who should know: users by their notifier, and
//! other systems by webhooks.
//!
//! A [`Receiver`] is told of every entry of a store's
//! [`AuditLog`](crate::store::AuditLog) that it wants, at least once, and of the
//! entries of one user in their order. How far it has come is a cursor in the store, so
//! a process that is killed loses nothing, and what happens while a receiver is away
//! waits for it. Of several nodes one delivers to a receiver, by a lease; when it stops
//! another goes on within seconds. A receiver that is slow or away holds up no other.
//!
//! [`Tokens::start`](crate::Tokens::start) delivers: to the notifier of
//! [`TokensBuilder::notifier`](crate::TokensBuilder::notifier) the notices, and to each
//! receiver of [`TokensBuilder::deliver_to`](crate::TokensBuilder::deliver_to) what it
//! wants. A receiver begins with what happens after it was first started.
//!
//! What is delivered twice is what was under way when a process was killed, eight
//! messages at most; what a receiver has taken without saying so; and, where the store
//! does not [keep](crate::store::AuditLog::keep_done) it, what was delivered behind an
//! entry that could not be. Confirmation codes are never delivered by this: they are sent
//! at once or not at all.

#[cfg(feature = "webhook")]
mod webhook;
mod window;
mod worker;

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;

#[cfg(feature = "webhook")]
pub use self::webhook::{Webhook, WebhookSecret};
pub(crate) use self::worker::{Options, Worker};
use crate::notify::{Notifier, NotifyError};
use crate::store::{AuditItem, AuditPosition};

/// Somebody who is told what happens to accounts.
///
/// ```
/// use async_trait::async_trait;
/// use tower_api_token::delivery::{DeliveryError, Receiver};
/// use tower_api_token::store::{AuditItem, AuditPosition};
///
/// struct Print;
///
/// #[async_trait]
/// impl Receiver for Print {
///     async fn receive(&self, at: AuditPosition, item: &AuditItem) -> Result<(), DeliveryError> {
///         println!("{}: {item:?}", at.as_u64());
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait Receiver: Send + Sync + 'static {
    /// Whether it wants to be told of this at all. By default everything.
    ///
    /// Neither this nor [`receive`](Self::receive) is asked about an entry that
    /// [cannot be read](AuditItem::Unreadable): it is tried again for an hour, so that
    /// a node that can read it has time to take its place, and those of its user wait
    /// as long.
    fn wants(&self, item: &AuditItem) -> bool {
        let _ = item;
        true
    }

    /// Takes one entry, which stands at that position in the log of the store: the
    /// same entry, if it comes again, at the same one.
    ///
    /// It is dropped after half a minute, and tried again. A panic counts as a failure.
    ///
    /// # Errors
    ///
    /// [`DeliveryError`] says whether it is to be tried again later.
    async fn receive(&self, at: AuditPosition, item: &AuditItem) -> Result<(), DeliveryError>;
}

/// The receiver that is shared.
#[async_trait]
impl<R: Receiver + ?Sized> Receiver for Arc<R> {
    fn wants(&self, item: &AuditItem) -> bool {
        (**self).wants(item)
    }

    async fn receive(&self, at: AuditPosition, item: &AuditItem) -> Result<(), DeliveryError> {
        (**self).receive(at, item).await
    }
}

/// An entry could not be delivered; what caused it is its [`source`](Error::source).
#[derive(Debug, thiserror::Error)]
#[error("the entry could not be delivered{}", if *.is_final { ", and never will be" } else { "" })]
pub struct DeliveryError {
    is_final: bool,
    source: Box<dyn Error + Send + Sync>,
}

impl DeliveryError {
    /// It is to be tried again later, as long as it takes. The cause must not hold a
    /// secret.
    #[must_use]
    pub fn later(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { is_final: false, source: source.into() }
    }

    /// It will never be taken, and is not tried again: the log says so. The cause must
    /// not hold a secret.
    #[must_use]
    pub fn never(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { is_final: true, source: source.into() }
    }
}

/// Notices to users, by their notifier.
pub(crate) struct Notices(pub(crate) Arc<dyn Notifier>);

#[async_trait]
impl Receiver for Notices {
    fn wants(&self, item: &AuditItem) -> bool {
        matches!(item, AuditItem::Entry(entry) if entry.is_notable())
    }

    async fn receive(&self, _: AuditPosition, item: &AuditItem) -> Result<(), DeliveryError> {
        let AuditItem::Entry(entry) = item else { return Ok(()) };
        self.0.notice(entry).await.map_err(|error: NotifyError| DeliveryError {
            is_final: error.is_permanent(),
            source: error.into(),
        })
    }
}
