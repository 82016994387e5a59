//! What can happen to an account.

use std::fmt;
use std::time::Duration;

use crate::account::{Lifetimes, Slot};
use crate::method::MethodSet;
use crate::time::{Length, Minute, Timestamp};
use crate::token::TokenId;

/// Everything auditable.
///
/// All but [`RetiredTokenUsed`](Self::RetiredTokenUsed) and
/// [`ConfirmationNotSent`](Self::ConfirmationNotSent) are changes of an account, and a
/// store keeps each in the transaction of its change.
/// [`TokenRevealed`](Self::TokenRevealed) is one, too, although nothing but the
/// revision changes: no token is shown before the store has kept that it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The methods that the user may perform were set.
    AccessGranted {
        /// The methods from now on.
        methods: MethodSet,
        /// The lifetimes from now on, where they are shorter than the policy's.
        lifetimes: Lifetimes,
    },
    /// The user's access was revoked, and every token with it.
    AccessRevoked,
    /// The user's access was suspended: every request is refused until it is
    /// resumed.
    AccessSuspended,
    /// The user's access was resumed, with the tokens that are left.
    AccessResumed,
    /// A new primary was generated; it is not active yet.
    PrimaryGenerated {
        /// The pending token.
        id: TokenId,
        /// The pending token that it superseded.
        superseded: Option<TokenId>,
    },
    /// A new confirmation code was made for the pending token.
    ConfirmationResent {
        /// The pending token.
        id: TokenId,
    },
    /// The pending token became the primary, and the former primary the
    /// backup.
    PrimaryConfirmed {
        /// The new primary.
        id: TokenId,
        /// The backup from now on.
        backup: Option<TokenId>,
        /// The former backup, retired.
        replaced: Option<TokenId>,
    },
    /// The pending token was cancelled.
    PendingCancelled {
        /// The token that was pending.
        id: TokenId,
    },
    /// The backup was deleted.
    BackupDeleted {
        /// The token that was the backup.
        id: TokenId,
    },
    /// The primary was given up, and the backup is the primary again.
    RolledBack {
        /// The token that was given up.
        given_up: TokenId,
        /// The primary from now on.
        primary: TokenId,
    },
    /// Both slots and the pending token were revoked at once.
    AllRevoked,
    /// A first token was issued without confirmation.
    TokenIssued {
        /// The primary from now on.
        id: TokenId,
    },
    /// An existing token was imported.
    TokenImported {
        /// The id it has from now on.
        id: TokenId,
        /// The slot it is in.
        slot: Slot,
    },
    /// A token was decrypted and shown once more.
    TokenRevealed {
        /// The token.
        id: TokenId,
    },
    /// A token was ended by whoever held it, or because it was found where it was
    /// not secret.
    TokenEnded {
        /// The token.
        id: TokenId,
        /// The former backup, if it is the primary from now on in its place.
        promoted: Option<TokenId>,
    },
    /// Somebody has found a token where it was not secret. It does not end by this
    /// alone; the entry after it says whether it did.
    LeakReported {
        /// The token.
        id: TokenId,
        /// Where it was found, as the report says: a kind of place, or an address.
        found: String,
    },
    /// The user was told that a token is going to end. In the name of the program
    /// `expiry`.
    ExpiryAnnounced {
        /// The token.
        id: TokenId,
        /// When it ends.
        expires_at: Timestamp,
        /// Which notice it is: so long before the end, or less, it was due.
        notice: Duration,
        /// Whether a use of the token before its end keeps it.
        unless_used: bool,
    },
    /// A token that was to end for want of use was used. In the name of the program
    /// `expiry`.
    ExpiryLifted {
        /// The token.
        id: TokenId,
        /// When it ends now, if it does.
        expires_at: Option<Timestamp>,
    },
    /// A token was retired because its lifetime was over, or because nobody had used
    /// it for too long. It is recorded when it is noticed or
    /// together with the next change of the account, in the name of the program
    /// `expiry`; requests with the token were refused from `expired_at` on.
    TokenExpired {
        /// The token.
        id: TokenId,
        /// When its lifetime was over.
        expired_at: Timestamp,
        /// The former backup, if it is the primary from now on in its place.
        promoted: Option<TokenId>,
    },
    /// A retired token was presented, and refused.
    RetiredTokenUsed {
        /// The retired token.
        id: TokenId,
        /// How often since the last such event for this token.
        count: u64,
    },
    /// The confirmation code of the pending token could not be sent.
    ConfirmationNotSent {
        /// The pending token.
        id: TokenId,
    },
}

impl Event {
    /// The [name](Self::name) of every event.
    pub const NAMES: [&'static str; 21] = [
        "access_granted",
        "access_revoked",
        "access_suspended",
        "access_resumed",
        "primary_generated",
        "confirmation_resent",
        "primary_confirmed",
        "pending_cancelled",
        "backup_deleted",
        "rolled_back",
        "all_revoked",
        "token_issued",
        "token_imported",
        "token_revealed",
        "token_ended",
        "leak_reported",
        "expiry_announced",
        "expiry_lifted",
        "token_expired",
        "retired_token_used",
        "confirmation_not_sent",
    ];

    /// The event's name in logs and stores, such as `backup_deleted`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AccessGranted { .. } => "access_granted",
            Self::AccessRevoked => "access_revoked",
            Self::AccessSuspended => "access_suspended",
            Self::AccessResumed => "access_resumed",
            Self::PrimaryGenerated { .. } => "primary_generated",
            Self::ConfirmationResent { .. } => "confirmation_resent",
            Self::PrimaryConfirmed { .. } => "primary_confirmed",
            Self::PendingCancelled { .. } => "pending_cancelled",
            Self::BackupDeleted { .. } => "backup_deleted",
            Self::RolledBack { .. } => "rolled_back",
            Self::AllRevoked => "all_revoked",
            Self::TokenIssued { .. } => "token_issued",
            Self::TokenImported { .. } => "token_imported",
            Self::TokenRevealed { .. } => "token_revealed",
            Self::TokenEnded { .. } => "token_ended",
            Self::LeakReported { .. } => "leak_reported",
            Self::ExpiryAnnounced { .. } => "expiry_announced",
            Self::ExpiryLifted { .. } => "expiry_lifted",
            Self::TokenExpired { .. } => "token_expired",
            Self::RetiredTokenUsed { .. } => "retired_token_used",
            Self::ConfirmationNotSent { .. } => "confirmation_not_sent",
        }
    }

    /// The token that the event is about, if it is about one.
    #[must_use]
    pub const fn token(&self) -> Option<TokenId> {
        match self {
            Self::AccessGranted { .. }
            | Self::AccessRevoked
            | Self::AccessSuspended
            | Self::AccessResumed
            | Self::AllRevoked => None,
            Self::PrimaryGenerated { id, .. }
            | Self::ConfirmationResent { id }
            | Self::PrimaryConfirmed { id, .. }
            | Self::PendingCancelled { id }
            | Self::BackupDeleted { id }
            | Self::RolledBack { given_up: id, .. }
            | Self::TokenIssued { id }
            | Self::TokenImported { id, .. }
            | Self::TokenRevealed { id }
            | Self::TokenEnded { id, .. }
            | Self::LeakReported { id, .. }
            | Self::ExpiryAnnounced { id, .. }
            | Self::ExpiryLifted { id, .. }
            | Self::TokenExpired { id, .. }
            | Self::RetiredTokenUsed { id, .. }
            | Self::ConfirmationNotSent { id } => Some(*id),
        }
    }
}

/// The event for people, as a sentence without its full stop: on pages, in mail
/// and on a terminal.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AccessGranted { methods, lifetimes } => {
                write!(f, "API access granted: {methods}")?;
                also(f, lifetimes.token, |life| format!("each token for {}", Length(life)))?;
                also(f, lifetimes.backup, |life| format!("a backup for {}", Length(life)))
            }
            Self::AccessSuspended => f.write_str("API access suspended"),
            Self::AccessResumed => f.write_str("API access resumed"),
            Self::AccessRevoked => f.write_str("API access revoked, and every token with it"),
            Self::PrimaryGenerated { id, superseded } => {
                write!(f, "Token {id} generated, waiting for confirmation")?;
                also(f, *superseded, |id| format!("in place of token {id}"))
            }
            Self::ConfirmationResent { id } => write!(f, "Confirmation of token {id} sent again"),
            Self::PrimaryConfirmed { id, backup, replaced } => {
                write!(f, "Token {id} confirmed as the primary")?;
                also(f, *backup, |id| format!("token {id} is the backup"))?;
                also(f, *replaced, |id| format!("token {id}, the former backup, ended"))
            }
            Self::PendingCancelled { id } => {
                write!(f, "Token {id} cancelled before its confirmation")
            }
            Self::BackupDeleted { id } => write!(f, "Backup deleted: token {id}"),
            Self::RolledBack { given_up, primary } => {
                write!(f, "Token {primary} made the primary again, token {given_up} given up")
            }
            Self::AllRevoked => f.write_str("Every token revoked"),
            Self::TokenIssued { id } => write!(f, "First token issued: token {id}"),
            Self::TokenImported { id, slot } => write!(f, "Token {id} imported as the {slot}"),
            Self::TokenRevealed { id } => write!(f, "Token {id} shown again"),
            Self::TokenEnded { id, promoted } => {
                write!(f, "Token {id} ended")?;
                also(f, *promoted, |id| format!("token {id} made the primary in its place"))
            }
            Self::LeakReported { id, found } => {
                write!(f, "Token {id} found where it was not secret: {found}")
            }
            Self::ExpiryAnnounced { id, expires_at, unless_used: false, .. } => {
                write!(f, "Token {id} is going to end at {}", Minute(*expires_at))
            }
            Self::ExpiryAnnounced { id, expires_at, unless_used: true, .. } => {
                let end = Minute(*expires_at);
                write!(f, "Token {id} is going to end at {end} unless it is used before")
            }
            Self::ExpiryLifted { id, expires_at: None } => {
                write!(f, "Token {id} used again, so it does not end")
            }
            Self::ExpiryLifted { id, expires_at: Some(end) } => {
                write!(f, "Token {id} used again, so it does not end before {}", Minute(*end))
            }
            Self::TokenExpired { id, promoted, .. } => {
                write!(f, "Token {id} expired")?;
                also(f, *promoted, |id| format!("token {id} made the primary in its place"))
            }
            Self::RetiredTokenUsed { id, .. } => {
                write!(f, "Token {id}, which has ended, was tried")
            }
            Self::ConfirmationNotSent { id } => {
                write!(f, "Mail for token {id} could not be sent")
            }
        }
    }
}

/// What the same event says beside, if it does.
fn also<T>(
    f: &mut fmt::Formatter<'_>,
    other: Option<T>,
    text: impl Fn(T) -> String,
) -> fmt::Result {
    match other {
        Some(other) => write!(f, ", {}", text(other)),
        None => Ok(()),
    }
}

impl Event {
    /// The tokens that came to their end by it.
    #[must_use]
    pub fn ended(&self) -> Ended {
        match self {
            Self::AccessRevoked | Self::AllRevoked => Ended::All,
            Self::PrimaryGenerated { superseded: ended, .. }
            | Self::PrimaryConfirmed { replaced: ended, .. } => {
                Ended::Tokens(ended.iter().copied().collect())
            }
            Self::PendingCancelled { id }
            | Self::BackupDeleted { id }
            | Self::RolledBack { given_up: id, .. }
            | Self::TokenEnded { id, .. }
            | Self::TokenExpired { id, .. } => Ended::Tokens(vec![*id]),
            Self::AccessGranted { .. }
            | Self::AccessSuspended
            | Self::AccessResumed
            | Self::LeakReported { .. }
            | Self::ExpiryAnnounced { .. }
            | Self::ExpiryLifted { .. }
            | Self::ConfirmationResent { .. }
            | Self::TokenIssued { .. }
            | Self::TokenImported { .. }
            | Self::TokenRevealed { .. }
            | Self::RetiredTokenUsed { .. }
            | Self::ConfirmationNotSent { .. } => Ended::Tokens(Vec::new()),
        }
    }
}

/// Which tokens of an account an event ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "whoever ends them again must know all of them")]
pub enum Ended {
    /// These; none of them if the event ended no token.
    Tokens(Vec<TokenId>),
    /// Every token that the account had.
    All,
}
