//! Where a store keeps when tokens were last used.

use async_trait::async_trait;

use crate::account::LastUse;
use crate::store::StoreError;
use crate::user::UserId;

/// Keeps when, and by which client, each token was last used: a capability of an
/// [`AccountStore`](super::AccountStore).
///
/// Without it views show no last use, and only somebody who says so ends a token
/// that may be in use.
#[async_trait]
pub trait LastUses: Send + Sync {
    /// Keeps the latest use of each token in the batch; an earlier one than is
    /// kept makes no difference, and one of an unknown user or token may be
    /// dropped. A token may come more than once.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it could not be written; the caller tries again.
    async fn record_usage(&self, batch: &[(UserId, LastUse)]) -> Result<(), StoreError>;

    /// The latest use of each of the user's tokens that has one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if they cannot be had.
    async fn usage(&self, user: &UserId) -> Result<Vec<LastUse>, StoreError>;
}
