//! When, and by which client, each token was last used.
//!
//! A use is noted off the request path: one relaxed load, and a short lock once
//! per token and interval. What was noted is written in batches, and a request
//! never waits for it. It can never undo or delay a change of an account.

mod adoption;
mod client;
mod recorder;
#[cfg(feature = "tokio")]
mod task;

pub(crate) use self::adoption::UnverifiedPepper;
pub use self::client::ClientLabel;
pub use self::recorder::UsageRecorder;
use crate::identity::UserId;
use crate::time::Timestamp;
use crate::token::TokenId;

/// The latest known use of one token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenUsage {
    /// The token.
    pub id: TokenId,
    /// When it was used, by the clock of the node that saw it; later uses
    /// within the flush interval may not show.
    pub at: Timestamp,
    /// What used it, if the host could tell.
    pub client: Option<ClientLabel>,
}

impl TokenUsage {
    /// The token `id` was used at `at`.
    #[must_use]
    pub const fn new(id: TokenId, at: Timestamp, client: Option<ClientLabel>) -> Self {
        Self { id, at, client }
    }
}

/// A use of one token of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenUse {
    /// Whose token it is.
    pub user: UserId,
    /// Which token, when and by what.
    pub usage: TokenUsage,
}

impl TokenUse {
    /// This use of one of `user`'s tokens.
    #[must_use]
    pub const fn new(user: UserId, usage: TokenUsage) -> Self {
        Self { user, usage }
    }
}
