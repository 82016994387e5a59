//! Audit events, to the log and to a sink of the host's.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::{TARGET, meter};
use crate::audit::{AccountErased, AuditEntry, Event};
use crate::token::TokenId;

/// Takes audit entries to where a host collects them.
///
/// It is called by the manager after a change is committed, and when last uses
/// are flushed; never by a request. One that blocks holds up that call of the
/// manager or that flush, and no authentication. A lost entry of a change is
/// not lost for good: the store has kept it in the change's own transaction.
/// One that panics has lost that entry; an error in the log says so.
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

    /// Takes word that an account was erased, which no store keeps. It names no
    /// user. By default it is ignored.
    fn account_erased(&self, erased: &AccountErased) {
        let _ = erased;
    }
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
                let token = event.token().map(TokenId::as_u64);
                tracing::info!(target: TARGET, user, token, revision, %actor, "{name}");
            }
        }
        meter::happened(name);
        self.to_sink(|sink| sink.record(entry));
    }

    /// An account was erased.
    pub(crate) fn account_erased(&self, erased: &AccountErased) {
        let (name, AccountErased { at, actor }) = (AccountErased::NAME, erased);
        tracing::info!(target: TARGET, %at, %actor, "{name}");
        meter::happened(name);
        self.to_sink(|sink| sink.account_erased(erased));
    }

    /// A panic of the sink holds up nothing else that is to be told. Its message is
    /// left out, since it may quote anything.
    fn to_sink(&self, record: impl FnOnce(&dyn EventSink)) {
        let Some(sink) = &self.sink else { return };
        if catch_unwind(AssertUnwindSafe(|| record(&**sink))).is_err() {
            super::host_panicked("event sink");
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("sink", &self.sink.is_some()).finish()
    }
}
