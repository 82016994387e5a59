//! How often one user may do what sends mail, tries a code or shows a token.

use std::time::Duration;

use crate::limit::Limiter;
use crate::user::UserId;

/// The limits of a portal, each with room for a burst, and then one at a time.
/// Only requests of the user's own session count, so nobody uses up another's.
pub(super) struct Limits {
    pub(super) generate: Limiter<UserId>,
    pub(super) resend: Limiter<UserId>,
    /// Tokens shown again: each time is a row of the history, and a change that
    /// every node hears of.
    pub(super) reveal: Limiter<UserId>,
    /// Wrong codes sent by the form, which another site cannot send.
    pub(super) verify: Limiter<UserId>,
    /// Links opened, which another site can make a browser do: where they are
    /// used up the page shows less, and its button still works.
    pub(super) look: Limiter<UserId>,
}

impl Default for Limits {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self {
            generate: Limiter::new(10, minute),
            resend: Limiter::new(5, minute),
            reveal: Limiter::new(10, minute),
            verify: Limiter::new(10, minute),
            look: Limiter::new(60, Duration::from_secs(5)),
        }
    }
}
