//! Calls of a store: how long they took, and which failed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::{counter, histogram};

use super::{STORE_ERRORS, STORE_SECONDS};
use crate::store::StoreErrorKind;

/// The methods of a store, by which its calls are told apart.
const OPERATIONS: [&str; 15] = [
    "find",
    "load",
    "replace",
    "replace_many",
    "list",
    "record_usage",
    "usage",
    "history",
    "changes",
    "heartbeat",
    "pepper_versions",
    "prefixes",
    "pepper_checks",
    "keep_pepper_check",
    "erase",
];

const ERRORS: [StoreErrorKind; 7] = [
    StoreErrorKind::Conflict,
    StoreErrorKind::Corrupt,
    StoreErrorKind::Unavailable,
    StoreErrorKind::NotSetUp,
    StoreErrorKind::NewerSchema,
    StoreErrorKind::Refused,
    StoreErrorKind::Unsupported,
];

const fn label(kind: StoreErrorKind) -> &'static str {
    match kind {
        StoreErrorKind::Conflict => "conflict",
        StoreErrorKind::Corrupt => "corrupt",
        StoreErrorKind::Unavailable => "unavailable",
        StoreErrorKind::NotSetUp => "not_set_up",
        StoreErrorKind::NewerSchema => "newer_schema",
        StoreErrorKind::Refused => "refused",
        StoreErrorKind::Unsupported => "unsupported",
    }
}

/// Whether a store is measured in this process.
static MEASURED: AtomicBool = AtomicBool::new(false);

/// Calls of a store are measured from now on.
pub(crate) fn store_measured() {
    MEASURED.store(true, Ordering::Relaxed);
    show();
}

/// Shows every count of failures, also those that have not risen.
pub(super) fn show() {
    if MEASURED.load(Ordering::Relaxed) {
        for operation in OPERATIONS {
            ERRORS.into_iter().for_each(|kind| failed(operation, kind, 0));
        }
    }
}

/// A store has answered, with an error of that kind or without one.
pub(crate) fn store_answered(
    operation: &'static str,
    took: Duration,
    error: Option<StoreErrorKind>,
) {
    histogram!(STORE_SECONDS, "operation" => operation).record(took.as_secs_f64());
    if let Some(kind) = error {
        failed(operation, kind, 1);
    }
}

fn failed(operation: &'static str, kind: StoreErrorKind, times: u64) {
    counter!(STORE_ERRORS, "operation" => operation, "kind" => label(kind)).increment(times);
}
