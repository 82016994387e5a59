//! The only place that emits: audit events, log records and (with the feature
//! `metrics`) measurements, which the module of that name lists.
//!
//! Log records go through [`tracing`] with the target [`TARGET`]. None of them
//! holds a token, a code, a digest or a header's value.
//!
//! | level | message | when |
//! |---|---|---|
//! | `INFO` | the event's [name](crate::audit::Event::name) | an account has changed |
//! | `INFO` | `account_erased` | an account was erased; the user is not named |
//! | `WARN` | `retired_token_used`, `confirmation_not_sent` | as [`Event`](crate::audit::Event) says |
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

mod audit;
mod log;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(not(feature = "metrics"))]
mod unmeasured;

pub use self::audit::{EventSink, Events};
#[cfg(feature = "cache")]
pub(crate) use self::log::cache_trust_changed;
pub(crate) use self::log::{
    denied, host_panicked, notice_not_sent, pepper_differs, sealer_failed, store_failed,
    tokens_unrecognised, uses_never_written,
};
#[cfg(feature = "tokio")]
pub(crate) use self::log::{dropped_unclosed, erasure_unknown, outcome_unknown};
#[cfg(feature = "cache")]
pub(crate) use self::meter::CacheMeter;
pub(crate) use self::meter::{flushed, interval_ended, passed};
#[cfg(feature = "metrics")]
use self::metrics as meter;
#[cfg(feature = "metrics")]
pub(crate) use self::metrics::{store_answered, store_measured};
#[cfg(not(feature = "metrics"))]
use self::unmeasured as meter;

/// The target of every log record of this crate.
pub const TARGET: &str = "tower_api_token";
