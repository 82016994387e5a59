//! How a user is told: the confirmation code of a new token, and notices of
//! what has been changed.
//!
//! | notifier | for |
//! |---|---|
//! | a closure | a queue, a mail program, a test |
//! | [`DirectoryNotifier`] | development: one file for each message |
//! | `SmtpNotifier` | mail, by way of a server (feature `smtp`) |
//!
//! A [`TokenManager`](crate::manage::TokenManager) calls its notifier after the
//! change is committed and waits for it. A notifier should therefore bound its
//! own time; one that fails or is never heard of again undoes nothing.

mod directory;
mod link;
#[cfg(feature = "smtp")]
mod smtp;

use std::error::Error;

use async_trait::async_trait;

pub use self::directory::DirectoryNotifier;
pub use self::link::{ConfirmationLink, LinkBase};
#[cfg(feature = "smtp")]
pub use self::smtp::{MailDirectory, Mailbox, SmtpError, SmtpErrorKind, SmtpNotifier, SmtpServer};
use crate::audit::AuditEntry;
use crate::time::Timestamp;
use crate::token::{ConfirmationCode, TokenHint, TokenId};
use crate::user::{Actor, ClientLabel, UserId};
pub use crate::visible::visible;

/// Sends messages to users, to an address that the host knows and no request
/// names.
///
/// ```
/// use async_trait::async_trait;
/// use tower_api_token::notify::{ConfirmationMessage, Notifier, NotifyError};
///
/// struct Printer;
///
/// #[async_trait]
/// impl Notifier for Printer {
///     async fn confirmation(&self, message: &ConfirmationMessage) -> Result<(), NotifyError> {
///         println!("{}: confirm token {} within ten minutes", message.user, message.token);
///         Ok(())
///     }
/// }
/// ```
///
/// A panic counts as a failure to send, and an error in the log says so.
#[async_trait]
pub trait Notifier: Send + Sync + 'static {
    /// Sends the code that activates a pending token to its user.
    ///
    /// The code belongs in this one message, best as a link that only shows
    /// what will happen and has a button; the token is never part of it.
    ///
    /// # Errors
    ///
    /// [`NotifyError`] if it could not be handed over. The pending token stays
    /// and a new code can be sent for it.
    async fn confirmation(&self, message: &ConfirmationMessage) -> Result<(), NotifyError>;

    /// Tells the user of a change that has been made; the entry holds no secret. The
    /// default sends nothing.
    ///
    /// Called for [`PrimaryConfirmed`](crate::audit::Event::PrimaryConfirmed),
    /// [`BackupDeleted`](crate::audit::Event::BackupDeleted),
    /// [`RolledBack`](crate::audit::Event::RolledBack),
    /// [`AllRevoked`](crate::audit::Event::AllRevoked),
    /// [`AccessRevoked`](crate::audit::Event::AccessRevoked),
    /// [`AccessSuspended`](crate::audit::Event::AccessSuspended),
    /// [`AccessResumed`](crate::audit::Event::AccessResumed),
    /// [`TokenEnded`](crate::audit::Event::TokenEnded),
    /// [`LeakReported`](crate::audit::Event::LeakReported),
    /// [`ExpiryAnnounced`](crate::audit::Event::ExpiryAnnounced),
    /// [`TokenRevealed`](crate::audit::Event::TokenRevealed), and
    /// [`TokenIssued`](crate::audit::Event::TokenIssued) by somebody else.
    ///
    /// # Errors
    ///
    /// [`NotifyError`] if it could not be handed over; that is logged, and the
    /// change stands.
    async fn notice(&self, entry: &AuditEntry) -> Result<(), NotifyError> {
        let _ = entry;
        Ok(())
    }
}

/// A closure is handed each confirmation, and answers with a future; notices are
/// dropped.
///
/// ```
/// use std::sync::mpsc;
/// use tower_api_token::TokenManager;
/// use tower_api_token::notify::{ConfirmationMessage, NotifyError};
/// use tower_api_token::store::MemoryStore;
///
/// let (queue, messages) = mpsc::channel();
/// let manager = TokenManager::builder(MemoryStore::new()).notifier(
///     move |message: ConfirmationMessage| {
///         let queued = queue.send(message).map_err(|_| NotifyError::new("the queue is gone"));
///         async move { queued }
///     },
/// );
/// # let _ = (manager, messages);
/// ```
#[async_trait]
impl<F, R> Notifier for F
where
    F: Fn(ConfirmationMessage) -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), NotifyError>> + Send,
{
    async fn confirmation(&self, message: &ConfirmationMessage) -> Result<(), NotifyError> {
        self(message.clone()).await
    }
}

/// What a user needs to activate a token. Its `Debug` does not show the code.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConfirmationMessage {
    /// Whom it is for.
    pub user: UserId,
    /// The pending token.
    pub token: TokenId,
    /// The secret that activates it.
    pub code: ConfirmationCode,
    /// From when on the code is dead, by the store's clock.
    pub code_expires_at: Timestamp,
    /// From when on no code can activate the token, by the store's clock.
    pub pending_expires_at: Timestamp,
    /// Who asked for it.
    pub actor: Actor,
    /// When, by the store's clock.
    pub at: Timestamp,
    /// By which client, if the caller has said so.
    pub client: Option<ClientLabel>,
    /// What of the pending token may be shown, so that its user recognises it.
    pub hint: TokenHint,
}

impl ConfirmationMessage {
    /// A message with these parts, by an unknown client, about a token of which
    /// nothing may be shown.
    #[must_use]
    pub const fn new(
        user: UserId,
        token: TokenId,
        code: ConfirmationCode,
        code_expires_at: Timestamp,
        pending_expires_at: Timestamp,
        actor: Actor,
        at: Timestamp,
    ) -> Self {
        let client = None;
        let hint = TokenHint::unknown();
        Self { user, token, code, code_expires_at, pending_expires_at, actor, at, client, hint }
    }
}

/// A message could not be handed over; what caused it is its
/// [`source`](Error::source).
#[derive(Debug, thiserror::Error)]
#[error("the message could not be sent")]
pub struct NotifyError {
    source: Box<dyn Error + Send + Sync>,
    is_permanent: bool,
}

impl NotifyError {
    /// A failure with its cause, which must not hold the code.
    #[must_use]
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: source.into(), is_permanent: false }
    }

    /// A failure that comes again whenever the message is tried, such as a user without
    /// an address. The cause must not hold the code.
    #[must_use]
    pub fn permanent(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: source.into(), is_permanent: true }
    }

    /// Whether there is no use in trying again.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        self.is_permanent
    }
}
