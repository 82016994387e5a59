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
//! A request is decided on within the span `decision`, whose fields `trace_id` and
//! `parent_id` come from its `traceparent` (W3C Trace Context) if it is valid and not
//! repeated. It is of the level `DEBUG`; where a store has to be asked of a request with a
//! `traceparent` it is of the level `INFO` if nobody wants the other. Where nobody wants
//! either the header is not looked for.
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
//! | `ERROR` | `unreadable record` | a request was answered 500, or an account was left out of what is due, or an entry of the audit log passed over |
//! | `ERROR` | `a change that is due could not be made` | an account was left out; the next pass tries again |
//! | `WARN` | `another process with the same store has another policy …` | they disagree about when a user is to be told of an end |
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
//! not write another in its place. The log of all accounts goes on:
//! [`Unreadable`](crate::store::AuditItem::Unreadable) stands there for the entry.
//! Requests are not concerned, since they read no
//! history, and neither are changes, except one whose outcome is in doubt.

mod event;

use std::sync::Arc;

pub use self::event::{Ended, Event};
use crate::account::Revision;
use crate::time::Timestamp;
use crate::user::{Actor, UserId};

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
