//! What can happen to an account, and the entry that is kept of it.
//!
//! Nothing here holds a secret: tokens are named by their ids.
//! [`AccountErased`] is no [`Event`], since an account that was erased has no
//! history.
//!
//! # In the log
//!
//! Log records go through [`tracing`] with the target `tower_api_token`. None of them
//! holds a token, a code, a digest or a header's value.
//!
//! | level | message | when |
//! |---|---|---|
//! | `INFO` | the event's [name](Event::name) | an account has changed |
//! | `INFO` | `account_erased` | an account was erased; the user is not named |
//! | `WARN` | `retired_token_used`, `confirmation_not_sent` | as [`Event`] says |
//! | `WARN` | `notice not sent` | a change is committed, but the user could not be told |
//! | `WARN` | `outcome unknown` | a store could not tell whether it has made a change, and it is not there half a minute later |
//! | `WARN` | `store unavailable` | a request was answered 503, last uses could not be written, or a feed broke |
//! | `WARN` | `cache bypassed` | a cache stopped to be trusted; every request asks the store |
//! | `INFO` | `cache trusted` | a cache is trusted, at the start and again |
//! | `ERROR` | `store unusable` | the same, of a store that is not set up or refuses: somebody has to look |
//! | `ERROR` | `unreadable record` | a request was answered 500 |
//! | `WARN` | `tokens in use are not recognised: …` | a manager has started over a store with tokens that are refused |
//! | `ERROR` | `sealer failed` | a request was answered 503, since a token could not be sealed or opened |
//! | `ERROR` | `another node has another pepper of this version` | the key of one of them is wrong |
//! | `DEBUG` | `denied` | a request was denied; `reason` tells what the answer does not, such as that the token has expired |
//!
//! # In a store of the host's own
//!
//! With the feature `serde` an [`Event`] and an [`AuditEntry`] are written to and
//! read from JSON and other formats that describe themselves, in the form that
//! the built-in stores keep events in:
//!
//! ```json
//! {"user":"alice","revision":7,"at":"2026-01-02T03:04:05.678Z","actor":"administrator root",
//!  "event":"backup_deleted","id":1}
//! ```
//!
//! `event` is the event's [name](Event::name), and beside it stands each of its
//! fields: ids as numbers, methods as a list, the time `expired_at` in
//! milliseconds since 1970. An `Event` by itself has `event` and its own fields.
//! The form only ever grows.
//!
//! A history may hold what a newer version of this crate has written: during a
//! rolling upgrade, or after going back. A further member of a known event is
//! passed over. An event of an unknown name is an error when it is read, and the
//! store answers [`StoreErrorKind::Corrupt`](crate::store::StoreErrorKind::Corrupt)
//! as the built-in ones do: the entry stays as it is, and a newer version reads
//! it. Do not leave the entry out, since a history with a gap looks whole, and do
//! not write another in its place. Requests are not concerned, since they read no
//! history, and neither are changes, except one whose outcome is in doubt.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::account::{Lifetimes, Revision, Slot};
use crate::method::MethodSet;
use crate::time::{Length, Minute, Timestamp};
use crate::token::TokenId;
use crate::user::{Actor, UserId};

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

/// One entry of an account's history.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditEntry {
    /// Whose account it is.
    pub user: UserId,
    /// The account's revision after the event.
    pub revision: Revision,
    /// When it happened, by the store's clock.
    pub at: Timestamp,
    /// Who asked for it.
    pub actor: Actor,
    /// What happened.
    pub event: Event,
}

impl AuditEntry {
    /// An entry with these parts.
    #[must_use]
    pub const fn new(
        user: UserId,
        revision: Revision,
        at: Timestamp,
        actor: Actor,
        event: Event,
    ) -> Self {
        Self { user, revision, at, actor, event }
    }
}

impl AuditEntry {
    /// Whether the user should know of it: a change of what works, and a token that
    /// somebody may have who should not.
    pub(crate) const fn is_notable(&self) -> bool {
        match self.event {
            Event::PrimaryConfirmed { .. }
            | Event::BackupDeleted { .. }
            | Event::RolledBack { .. }
            | Event::AllRevoked
            | Event::AccessRevoked
            | Event::AccessSuspended
            | Event::AccessResumed
            | Event::TokenEnded { .. }
            | Event::LeakReported { .. }
            | Event::ExpiryAnnounced { .. }
            | Event::TokenRevealed { .. } => true,
            Event::TokenIssued { .. } => !matches!(self.actor, Actor::User),
            Event::AccessGranted { .. }
            | Event::PrimaryGenerated { .. }
            | Event::ConfirmationResent { .. }
            | Event::PendingCancelled { .. }
            | Event::TokenImported { .. }
            | Event::ExpiryLifted { .. }
            | Event::TokenExpired { .. }
            | Event::RetiredTokenUsed { .. }
            | Event::ConfirmationNotSent { .. } => false,
        }
    }
}

/// An account was erased, with its history and its uses.
///
/// It does not say whose account it was: once an account is erased, nothing that is
/// written for it names its user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccountErased {
    /// When it happened, by the store's clock.
    pub at: Timestamp,
    /// Who asked for it; [`Actor::User`] if it was somebody of the very name of
    /// the erased user.
    pub actor: Actor,
}

impl AccountErased {
    /// Its name in logs, where changes of accounts have that of their
    /// [event](Event::name).
    pub const NAME: &'static str = "account_erased";

    /// `actor` has erased the account of `user` at `at`.
    #[must_use]
    pub fn new(user: &UserId, at: Timestamp, actor: &Actor) -> Self {
        let actor = match actor {
            Actor::Administrator(name) | Actor::Program(name) if name == user => Actor::User,
            other => other.clone(),
        };
        Self { at, actor }
    }
}

/// Takes audit entries to where a host collects them.
///
/// It is called by the manager after a change is committed, and when last uses
/// are flushed; never by a request. One that blocks holds up that call of the
/// manager or that flush, and no authentication. A lost entry of a change is
/// not lost for good: the store has kept it in the change's own transaction.
/// One that panics has lost that entry; an error in the log says so.
///
/// ```
/// use tower_api_token::audit::{AuditEntry, EventSink};
///
/// struct Print;
///
/// impl EventSink for Print {
///     fn record(&self, entry: &AuditEntry) {
///         println!("{} {} {}", entry.at, entry.user, entry.event.name());
///     }
/// }
/// ```
pub trait EventSink: Send + Sync + 'static {
    /// Takes one entry.
    fn record(&self, entry: &AuditEntry);

    /// Takes word that an account was erased. It names no user. By default it is
    /// ignored.
    fn account_erased(&self, erased: &AccountErased) {
        let _ = erased;
    }
}

/// The sink that is shared.
impl<S: EventSink + ?Sized> EventSink for Arc<S> {
    fn record(&self, entry: &AuditEntry) {
        (**self).record(entry);
    }

    fn account_erased(&self, erased: &AccountErased) {
        (**self).account_erased(erased);
    }
}

/// The sink, where there is one.
impl<S: EventSink> EventSink for Option<S> {
    fn record(&self, entry: &AuditEntry) {
        if let Some(sink) = self {
            sink.record(entry);
        }
    }

    fn account_erased(&self, erased: &AccountErased) {
        if let Some(sink) = self {
            sink.account_erased(erased);
        }
    }
}

/// No sink.
impl EventSink for () {
    fn record(&self, _: &AuditEntry) {}
}
