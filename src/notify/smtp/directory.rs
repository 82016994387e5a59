//! Who has which address.

use std::error::Error;

use async_trait::async_trait;

use super::Mailbox;
use crate::user::UserId;

/// Where users read their mail: the host's own table of addresses.
///
/// It is asked when a message is sent, so that it knows of no address longer
/// than the host does, and none ever comes from a request. An asynchronous
/// closure is one.
///
/// ```
/// use async_trait::async_trait;
/// use tower_api_token::user::UserId;
/// use tower_api_token::notify::{Mailbox, MailDirectory};
///
/// /// Users are called like their mailboxes.
/// struct SameName;
///
/// #[async_trait]
/// impl MailDirectory for SameName {
///     async fn address(
///         &self,
///         user: &UserId,
///     ) -> Result<Option<Mailbox>, Box<dyn std::error::Error + Send + Sync>> {
///         Ok(Some(Mailbox::new(&format!("{user}@example.com"))?))
///     }
/// }
/// ```
#[async_trait]
pub trait MailDirectory: Send + Sync + 'static {
    /// The user's address; `None` if they have none, or none that they have
    /// confirmed.
    ///
    /// # Errors
    ///
    /// Whatever made it impossible to tell.
    async fn address(&self, user: &UserId)
    -> Result<Option<Mailbox>, Box<dyn Error + Send + Sync>>;
}

#[async_trait]
impl<F, R> MailDirectory for F
where
    F: Fn(UserId) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Option<Mailbox>, Box<dyn Error + Send + Sync>>> + Send,
{
    async fn address(
        &self,
        user: &UserId,
    ) -> Result<Option<Mailbox>, Box<dyn Error + Send + Sync>> {
        self(user.clone()).await
    }
}
