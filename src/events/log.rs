//! Log records beside those of audit events.

use std::error::Error;

use super::{TARGET, meter};
#[cfg(feature = "tokio")]
use crate::audit::AccountErased;
use crate::audit::AuditEntry;
use crate::denial::Denial;
use crate::notify::NotifyError;
use crate::sealing::SealerError;
use crate::store::{StoreError, StoreErrorKind};
use crate::token::{PepperVersion, TokenPrefix};

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
        StoreErrorKind::NotSetUp
        | StoreErrorKind::NewerSchema
        | StoreErrorKind::Refused
        | StoreErrorKind::Unsupported => {
            tracing::error!(target: TARGET, %error, source, "store unusable");
        }
    }
}

/// A token could not be sealed or opened, and a request was answered so.
pub(crate) fn sealer_failed(error: &SealerError) {
    let source = error.source().map(tracing::field::display);
    tracing::error!(target: TARGET, %error, source, "sealer failed");
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
pub(crate) fn notice_not_sent(entry: &AuditEntry, error: &NotifyError) {
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
