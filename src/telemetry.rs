//! The only place that emits: audit events, log records, spans and (with the
//! feature `metrics`) measurements. What the log says is listed in
//! [`audit`](crate::audit), what is measured in `metrics`.
//!
//! No log record and no span holds a token, a code, a digest or a header's value, but
//! for the two identifiers of a valid `traceparent`.

mod log;
#[cfg(feature = "metrics")]
pub mod metrics;
mod trace;
#[cfg(not(feature = "metrics"))]
mod unmeasured;

#[cfg(feature = "cache")]
pub(crate) use self::log::cache_trust_changed;
pub(crate) use self::log::{
    Events, denied, host_panicked, notice_not_sent, pepper_differs, policies_differ, sealer_failed,
    store_unavailable, store_unusable, tokens_unrecognised, unattended_change_failed,
    unreadable_record, uses_never_written,
};
#[cfg(feature = "tokio")]
pub(crate) use self::log::{
    delivery_failed, dropped_unclosed, erasure_unknown, not_delivered, outcome_unknown,
};
#[cfg(feature = "cache")]
pub(crate) use self::meter::{cache_changed, cache_looked_up, cache_stands};
#[cfg(feature = "tokio")]
pub(crate) use self::meter::{delivered, delivery_stands};
pub(crate) use self::meter::{flushed, interval_ended, passed};
#[cfg(feature = "metrics")]
use self::metrics as meter;
#[cfg(all(feature = "metrics", feature = "tokio"))]
pub(crate) use self::metrics::users_counted;
#[cfg(feature = "metrics")]
pub(crate) use self::metrics::{store_answered, store_measured};
pub(crate) use self::trace::{Deciding, Trace};
#[cfg(not(feature = "metrics"))]
use self::unmeasured as meter;
