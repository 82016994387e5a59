//! The only place that emits: audit events, log records and (with the feature
//! `metrics`) counters.
//!
//! Log records go through [`tracing`] with the target [`TARGET`]. None of them
//! holds a token, a code, a digest or a header's value.
//!
//! | level | message | when |
//! |---|---|---|
//! | `INFO` | the event's [name](crate::audit::Event::name) | an account has changed |
//! | `WARN` | `retired_token_used`, `confirmation_not_sent` | as [`Event`] says |
//! | `WARN` | `notice not sent` | a change is committed, but the user could not be told |
//! | `WARN` | `store unavailable` | a request was answered 503, last uses could not be written, or a feed broke |
//! | `WARN` | `cache bypassed` | a cache stopped to be trusted; every request asks the store |
//! | `INFO` | `cache trusted` | a cache is trusted, at the start and again |
//! | `ERROR` | `unreadable record` | a request was answered 500 |
//! | `DEBUG` | `denied` | a request was answered 400, 401 or 403 |

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::audit::{AuditEntry, Event};
use crate::denial::Denial;
use crate::notify::NotifyError;
use crate::store::{StoreError, StoreErrorKind};

/// The target of every log record of this crate.
pub const TARGET: &str = "tower_api_token";

/// Takes audit entries to where a host collects them.
///
/// It is called by the manager after a change is committed, and when last uses
/// are flushed; never by a request. One that blocks holds up that call of the
/// manager or that flush, and no authentication. A lost entry of a change is
/// not lost for good: the store has kept it in the change's own transaction.
///
/// ```
/// use tower_api_token::audit::AuditEntry;
/// use tower_api_token::events::EventSink;
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
}

/// Where events go: always to [`tracing`], and to the host's sink if there is
/// one.
#[derive(Clone, Default)]
pub struct Events {
    sink: Option<Arc<dyn EventSink>>,
}

impl Events {
    /// Events that go to `sink`, too.
    #[must_use]
    pub fn to(sink: impl EventSink) -> Self {
        Self { sink: Some(Arc::new(sink)) }
    }

    /// An audit entry: a change that is committed, or a notable use.
    pub(crate) fn audit(&self, entry: &AuditEntry) {
        let (name, user) = (entry.event.name(), entry.user.as_str());
        let (revision, actor) = (entry.revision.as_u64(), &entry.actor);
        match &entry.event {
            Event::RetiredTokenUsed { id, count } => {
                tracing::warn!(target: TARGET, user, token = id.as_u64(), count, "{name}");
            }
            Event::ConfirmationNotSent { id } => {
                tracing::warn!(target: TARGET, user, token = id.as_u64(), "{name}");
            }
            event => {
                let token = event.token().map(crate::token::TokenId::as_u64);
                tracing::info!(target: TARGET, user, token, revision, %actor, "{name}");
            }
        }
        if let Some(sink) = &self.sink {
            sink.record(entry);
        }
    }
}

/// A store failed while a request waited for it, last uses were written, or
/// changes were listened for.
pub(crate) fn store_failed(error: &StoreError) {
    let source = error.source().map(tracing::field::display);
    match error.kind() {
        StoreErrorKind::Corrupt => {
            tracing::error!(target: TARGET, %error, source, "unreadable record");
        }
        StoreErrorKind::Conflict | StoreErrorKind::Unavailable => {
            tracing::warn!(target: TARGET, %error, source, "store unavailable");
        }
    }
}

/// A request was denied.
pub(crate) fn denied(denial: &Denial) {
    let (status, code) = (denial.status().as_u16(), denial.code());
    tracing::debug!(target: TARGET, status, code, "denied");
}

/// A notice of that change could not be sent.
pub(crate) fn notice_not_sent(entry: &AuditEntry, error: &NotifyError) {
    let (user, event) = (entry.user.as_str(), entry.event.name());
    // A notice holds no secret, so its error cannot repeat one.
    let source = error.source().map(tracing::field::display);
    tracing::warn!(target: TARGET, user, event, source, "notice not sent");
}

/// A cache is trusted from now on, or is not.
#[cfg(feature = "cache")]
pub(crate) fn cache_trust_changed(trusted: bool) {
    if trusted {
        tracing::info!(target: TARGET, "cache trusted");
    } else {
        tracing::warn!(target: TARGET, "cache bypassed");
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("sink", &self.sink.is_some()).finish()
    }
}
