//! Audit events, to the log and to a sink of the host's, and the log's other
//! records.

use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::meter;
use crate::audit::{AccountErased, AuditEntry, Event, EventSink};
use crate::denial::Denial;
use crate::token::{PepperVersion, TokenId, TokenPrefix};

/// The target of every log record and span of this crate.
pub(super) const TARGET: &str = "tower_api_token";

/// Where audit events go: always to the log, and to the host's sink if there is
/// one.
#[derive(Clone, Default)]
pub(crate) struct Events {
    sink: Option<Arc<dyn EventSink>>,
}

impl Events {
    /// Events that go to `sink`, too.
    pub(crate) fn to(sink: impl EventSink) -> Self {
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
            host_panicked("event sink");
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("sink", &self.sink.is_some()).finish()
    }
}

/// What a store keeps cannot be read.
pub(crate) fn unreadable_record(error: &dyn Error) {
    let source = error.source().map(tracing::field::display);
    tracing::error!(target: TARGET, %error, source, "unreadable record");
}

/// A store cannot answer for the time being.
pub(crate) fn store_unavailable(error: &dyn Error) {
    let source = error.source().map(tracing::field::display);
    tracing::warn!(target: TARGET, %error, source, "store unavailable");
}

/// A store does not answer until somebody has looked at it.
pub(crate) fn store_unusable(error: &dyn Error) {
    let source = error.source().map(tracing::field::display);
    tracing::error!(target: TARGET, %error, source, "store unusable");
}

/// A token could not be sealed or opened, and a request was answered so.
pub(crate) fn sealer_failed(error: &dyn Error) {
    let source = error.source().map(tracing::field::display);
    tracing::error!(target: TARGET, %error, source, "sealer failed");
}

/// A change that nobody has asked for, and nobody waits for, could not be made.
pub(crate) fn unattended_change_failed(error: &dyn Error) {
    tracing::error!(target: TARGET, %error, "a change that is due could not be made");
}

/// Processes that use one store disagree about when accounts are due.
pub(crate) fn policies_differ() {
    tracing::warn!(
        target: TARGET,
        "another process with the same store has another policy of unused tokens or notices: \
         give both the same"
    );
}

/// An entry of the audit log could not be delivered for now.
#[cfg(feature = "tokio")]
pub(crate) fn delivery_failed(receiver: &str, position: u64, failures: u32, error: &dyn Error) {
    meter::delivered(receiver, "failed");
    let source = error.source().map(tracing::field::display);
    tracing::warn!(target: TARGET, receiver, position, failures, source, "not delivered yet");
}

/// An entry of the audit log is not delivered any more.
#[cfg(feature = "tokio")]
pub(crate) fn not_delivered(receiver: &str, position: u64, error: &dyn Error) {
    meter::delivered(receiver, "given_up");
    let source = error.source().map(tracing::field::display);
    tracing::error!(target: TARGET, receiver, position, source, "delivery given up");
}

/// A request was denied.
pub(crate) fn denied(denial: &Denial) {
    meter::denied(denial.kind());
    let (status, code) = (denial.status().as_u16(), denial.code());
    tracing::debug!(target: TARGET, status, code, reason = denial.reason(), "denied");
}

/// Uses have been noted for long, and never written.
pub(crate) fn uses_never_written() {
    tracing::warn!(
        target: TARGET,
        "last uses are noted and never written: call Tokens::start, or flush on an interval"
    );
}

/// What writes last uses was dropped while it ran.
#[cfg(feature = "tokio")]
pub(crate) fn dropped_unclosed() {
    tracing::warn!(
        target: TARGET,
        "Tokens was dropped without being closed: uses since the last flush may be lost"
    );
}

/// Tokens are in use that every request is refused with.
pub(crate) fn tokens_unrecognised(prefix: Option<&TokenPrefix>, tokens: u64) {
    match prefix {
        Some(prefix) => tracing::warn!(
            target: TARGET, tokens, prefix = prefix.as_str(),
            "tokens in use are not recognised: their prefix is not listed as a former one (in the \
             program tokens.former-prefixes)"
        ),
        None => tracing::warn!(
            target: TARGET, tokens,
            "tokens in use are not recognised: of a foreign form, or known by their digest alone, \
             and foreign tokens are not accepted"
        ),
    }
}

/// The store keeps the check value of another key than this node has accepted a token
/// with.
pub(crate) fn pepper_differs(version: PepperVersion) {
    let version = version.as_u16();
    tracing::error!(target: TARGET, version, "another node has another pepper of this version");
}

/// A notice of that change could not be sent.
pub(crate) fn notice_not_sent(entry: &AuditEntry, error: &dyn Error) {
    let (user, event) = (entry.user.as_str(), entry.event.name());
    // A notice holds no secret, so its error cannot repeat one.
    let source = error.source().map(tracing::field::display);
    tracing::warn!(target: TARGET, user, event, source, "notice not sent");
}

/// Whether that change was made the store could not tell, and it has not
/// appeared since.
#[cfg(feature = "tokio")]
pub(crate) fn outcome_unknown(entry: &AuditEntry) {
    let (user, event) = (entry.user.as_str(), entry.event.name());
    let (revision, actor) = (entry.revision.as_u64(), &entry.actor);
    tracing::warn!(target: TARGET, user, event, revision, %actor, "outcome unknown");
}

/// Whether an account was erased the store could not tell, and it is still there.
#[cfg(feature = "tokio")]
pub(crate) fn erasure_unknown(erased: &AccountErased) {
    let (event, AccountErased { at, actor }) = (AccountErased::NAME, erased);
    tracing::warn!(target: TARGET, event, %at, %actor, "outcome unknown");
}

/// A host's own code has panicked, and what follows goes on.
pub(crate) fn host_panicked(code: &'static str) {
    tracing::error!(target: TARGET, code, "the host's code has panicked");
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
