//! Why a change was not made.

use std::io;

use super::change::ATTEMPTS;
use super::generate::GENERATIONS;
use crate::rotation::RotationError;
use crate::sealing::SealerError;
use crate::store::{StoreError, StoreErrorKind};
use crate::{ConfigError, ValueError, telemetry};

/// Why the manager has not done what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManageError {
    /// The rules of a token's life forbid it. Nothing has changed.
    #[error(transparent)]
    Refused(#[from] RotationError),
    /// The token cannot be imported. Nothing has changed.
    #[error(transparent)]
    Import(ValueError),
    /// The store failed. Nothing has changed, except that after an error of
    /// kind `Unavailable` the change may have been made all the same.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The manager cannot be built so; see
    /// [`build`](super::TokenManagerBuilder::build). A function that configures,
    /// builds and uses a manager has one error for all of it.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There was no randomness for a new token. Nothing has changed.
    #[error("the random generator failed")]
    Random(#[source] io::Error),
    /// The new token could not be sealed, or a sealed one not be opened. Nothing
    /// has changed.
    #[error(transparent)]
    Sealer(#[from] SealerError),
    /// The manager has no sealer, so it can reveal no token. Nothing has changed.
    #[error("there is no sealer to open sealed tokens with")]
    NoSealer,
    /// The token to be revealed is not kept: it is older than the first sealer, or
    /// was imported by its digest. Nothing has changed.
    #[error("the token was not kept, so it cannot be shown again")]
    NotSealed,
    /// The random generator gave known tokens only. Nothing has changed.
    #[error("the random generator gave {GENERATIONS} tokens in a row that are already known")]
    RepeatedToken,
    /// Others changed the account again and again. Nothing has changed.
    #[error("the account was changed by others during each of {ATTEMPTS} attempts")]
    Contended,
    /// The code was to be sent, and there is nobody to send it. Nothing has
    /// changed.
    #[error(
        "there is no notifier to send the confirmation code: give the manager one, or ask for \
         `Confirmation::ByCaller`"
    )]
    NoNotifier,
}

impl ManageError {
    /// The rule that forbade it, if it was one.
    #[must_use]
    pub const fn refusal(&self) -> Option<RotationError> {
        match self {
            Self::Refused(refusal) => Some(*refusal),
            _ => None,
        }
    }

    /// Whether it says nothing about other accounts.
    pub(super) fn is_of_one_account(&self) -> bool {
        match self {
            Self::Store(error) => {
                matches!(error.kind(), StoreErrorKind::Conflict | StoreErrorKind::Corrupt)
            }
            _ => true,
        }
    }

    /// Tells the log, where nobody waits for the answer.
    pub(crate) fn log(&self) {
        match self {
            Self::Store(error) => error.log(),
            error => telemetry::unattended_change_failed(error),
        }
    }
}
