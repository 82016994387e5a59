//! Measurements, through the [`metrics`] facade.
//!
//! | name | type | labels | unit: what |
//! |---|---|---|---|
//! | `tower_api_token_decisions_total` | counter | `outcome`, `slot` | requests decided on |
//! | `tower_api_token_store_seconds` | histogram | `operation` | seconds that a call of the store took |
//! | `tower_api_token_store_errors_total` | counter | `operation`, `kind` | calls of the store that failed |
//! | `tower_api_token_cache_look_ups_total` | counter | `answer` | look-ups that a cache was asked for |
//! | `tower_api_token_cache_invalidations_total` | counter | | changes that a cache was told of |
//! | `tower_api_token_cache_losses_total` | counter | | times that a cache's feed was opened, or may have lost changes |
//! | `tower_api_token_cache_entries` | gauge | | accounts that a cache remembers |
//! | `tower_api_token_cache_trusted` | gauge | | 1 while a cache is trusted, 0 while every request asks the store |
//! | `tower_api_token_cache_feed_lag_seconds` | gauge | | seconds that the last heartbeat was on its way through the feed |
//! | `tower_api_token_usage_flush_size` | histogram | | tokens whose last use one flush wrote |
//! | `tower_api_token_usage_flush_errors_total` | counter | | flushes that failed |
//! | `tower_api_token_events_total` | counter | `event` | changes of accounts, and notable uses |
//! | `tower_api_token_deliveries_total` | counter | `receiver`, `outcome` | attempts at delivering an entry of the audit log |
//! | `tower_api_token_delivery_waiting` | gauge | `receiver` | entries that were read and wait for a receiver |
//! | `tower_api_token_delivery_age_seconds` | gauge | `receiver` | seconds that the oldest of them waits |
//! | `tower_api_token_users_ending` | gauge | `within` | users of whom the first token to end does so within that time; counted every ten minutes |
//! | `tower_api_token_users_on_backup` | gauge | | users who have a backup; counted every ten minutes |
//!
//! # Labels
//!
//! None has a value that a client chooses: no user, no method, no path.
//!
//! * `outcome`: `pass`, or the [code](crate::denial::Denial::code) of the
//!   denial. `slot`: of a request that passed, `primary`, `backup`, or `none`
//!   for an anonymous one; else `none`. A request that passed as anonymous and
//!   was then denied by its handler counts as both.
//! * `operation`: the method of [`TokenStore`](crate::store::TokenStore) or
//!   [`AccountStore`](crate::store::AccountStore) or its capabilities. `kind`: `conflict`,
//!   `corrupt`, `unavailable`, `not_set_up`, `newer_schema`, `refused` or
//!   `unsupported`, as [`StoreErrorKind`](crate::store::StoreErrorKind) says.
//! * `answer`: `hit` (an account was remembered), `negative_hit` (that no
//!   account names the digest was), `miss` (the store was asked), `joined`
//!   (another request's look-up was waited for) or `refused` (too many look-ups
//!   were under way while the cache was not trusted).
//! * `event`: the event's [name](crate::audit::Event::name).
//! * `receiver`: `notices`, or the name that the host has given a
//!   [receiver](crate::delivery::Receiver). `outcome` of a delivery: `delivered`,
//!   `failed` (it is tried again) or `given_up`.
//! * `within`: `1d`, `7d` or `30d`.
//!
//! # When they move
//!
//! Decisions count in words that no two threads share. These are handed to the
//! recorder by [`report`], which every
//! [flush of last uses](crate::usage::UsageRecorder::flush) calls; a host
//! without a `UsageRecorder`, or one that wants figures of this very moment
//! when they are read, calls it itself. A cache tells its own four times per
//! staleness bound. Users are counted every ten minutes by every node that
//! [`Tokens::start`](crate::Tokens::start) was called on, with the same result on each.
//! All else goes to the recorder at once.
//!
//! Every counter is there from the start, at 0, so that its first rise shows:
//! [`describe`] and each [`report`] see to it. Those of a store are there if a
//! [`WithMetrics`](crate::store::WithMetrics) is, those of a cache or of
//! deliveries if one has started.
//!
//! A histogram has the ranges that the recorder was given for its name. With
//! Prometheus give it some: what it makes without them cannot be added up over
//! several nodes.
//!
//! Calls of the store are measured where a
//! [`WithMetrics`](crate::store::WithMetrics) stands around it. Several caches in
//! one process add to the same counters, and a gauge shows whichever told last.
//!
//! ```
//! use tower_api_token::metrics::{describe, report};
//!
//! // Once the host's recorder is installed:
//! describe();
//! // And before its figures are read:
//! report();
//! ```

mod decisions;

use std::sync::OnceLock;
use std::time::Duration;

#[cfg(any(feature = "cache", feature = "tokio"))]
use metrics::gauge;
use metrics::{
    Counter, Unit, counter, describe_counter, describe_gauge, describe_histogram, histogram,
};

pub(super) use self::decisions::denied;
pub(crate) use self::decisions::passed;
use crate::audit::{AccountErased, Event};

const DECISIONS: &str = "tower_api_token_decisions_total";
const STORE_SECONDS: &str = "tower_api_token_store_seconds";
const STORE_ERRORS: &str = "tower_api_token_store_errors_total";
const CACHE_LOOK_UPS: &str = "tower_api_token_cache_look_ups_total";
const CACHE_INVALIDATIONS: &str = "tower_api_token_cache_invalidations_total";
const CACHE_LOSSES: &str = "tower_api_token_cache_losses_total";
const CACHE_ENTRIES: &str = "tower_api_token_cache_entries";
const CACHE_TRUSTED: &str = "tower_api_token_cache_trusted";
const CACHE_FEED_LAG: &str = "tower_api_token_cache_feed_lag_seconds";
const FLUSH_SIZE: &str = "tower_api_token_usage_flush_size";
const FLUSH_ERRORS: &str = "tower_api_token_usage_flush_errors_total";
const EVENTS: &str = "tower_api_token_events_total";
const DELIVERIES: &str = "tower_api_token_deliveries_total";
const DELIVERY_WAITING: &str = "tower_api_token_delivery_waiting";
const DELIVERY_AGE: &str = "tower_api_token_delivery_age_seconds";
#[cfg(feature = "tokio")]
const USERS_ENDING: &str = "tower_api_token_users_ending";
#[cfg(feature = "tokio")]
const USERS_ON_BACKUP: &str = "tower_api_token_users_on_backup";

/// How an attempt at a delivery ends.
#[cfg(feature = "tokio")]
const DELIVERY_OUTCOMES: [&str; 3] = ["delivered", "failed", "given_up"];

/// The methods of a store, by which its calls are told apart.
const OPERATIONS: [&str; 29] = [
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
    "audit",
    "audit_end",
    "prune_audit",
    "audit_cursors",
    "lease_cursor",
    "move_cursor",
    "keep_done",
    "done",
    "remove_cursor",
    "due",
    "put_off",
    "put_off_many",
    "schedule",
    "keep_schedule",
];

/// The kinds of a store's failures, if a store is measured in this process.
static STORE_FAILURES: OnceLock<&[&str]> = OnceLock::new();

/// Hands to the recorder what requests have counted since this was called last.
pub fn report() {
    decisions::report();
    show_store_errors();
    let names = Event::NAMES.into_iter().chain([AccountErased::NAME]);
    names.for_each(|name| events(name).increment(0));
    counter!(FLUSH_ERRORS).increment(0);
}

/// Tells the recorder what each measurement means, and its unit, and shows the
/// counters; to be called once after the recorder is installed.
pub fn describe() {
    describe_counter!(DECISIONS, "requests decided on");
    describe_histogram!(STORE_SECONDS, Unit::Seconds, "how long a call of the store took");
    describe_counter!(STORE_ERRORS, "calls of the store that failed");
    describe_counter!(CACHE_LOOK_UPS, "look-ups that a cache was asked for");
    describe_counter!(CACHE_INVALIDATIONS, "changes that a cache was told of");
    describe_counter!(CACHE_LOSSES, "times that a cache's feed may have lost changes");
    describe_gauge!(CACHE_ENTRIES, Unit::Count, "accounts that a cache remembers");
    describe_gauge!(CACHE_TRUSTED, "1 while a cache is trusted");
    describe_gauge!(CACHE_FEED_LAG, Unit::Seconds, "how long the last heartbeat was on its way");
    describe_histogram!(FLUSH_SIZE, Unit::Count, "tokens whose last use one flush wrote");
    describe_counter!(FLUSH_ERRORS, "flushes of last uses that failed");
    describe_counter!(DELIVERIES, "attempts at delivering an entry of the audit log");
    describe_gauge!(DELIVERY_WAITING, Unit::Count, "entries that wait for a receiver");
    describe_gauge!(DELIVERY_AGE, Unit::Seconds, "how long the oldest of them waits");
    #[cfg(feature = "tokio")]
    {
        describe_gauge!(USERS_ENDING, Unit::Count, "users of whom a token ends within that time");
        describe_gauge!(USERS_ON_BACKUP, Unit::Count, "users who have a backup");
    }
    describe_counter!(EVENTS, "changes of accounts, and notable uses");
    report();
}

/// An audit event of that name.
pub(super) fn happened(event: &'static str) {
    events(event).increment(1);
}

fn events(name: &'static str) -> Counter {
    counter!(EVENTS, "event" => name)
}

/// The last uses of so many tokens were written, or could not be.
pub(crate) fn flushed(tokens: usize, written: bool) {
    if written {
        histogram!(FLUSH_SIZE).record(tokens as f64);
    } else {
        counter!(FLUSH_ERRORS).increment(1);
    }
}

/// An attempt at delivering an entry of the audit log has ended so.
#[cfg(feature = "tokio")]
pub(crate) fn delivered(receiver: &str, outcome: &'static str) {
    deliveries(receiver, outcome).increment(1);
}

#[cfg(feature = "tokio")]
fn deliveries(receiver: &str, outcome: &'static str) -> Counter {
    counter!(DELIVERIES, "receiver" => receiver.to_owned(), "outcome" => outcome)
}

/// So many entries that were read wait for a receiver, the oldest for so long.
#[cfg(feature = "tokio")]
pub(crate) fn delivery_stands(receiver: &str, waiting: usize, oldest: Option<Duration>) {
    DELIVERY_OUTCOMES.into_iter().for_each(|outcome| deliveries(receiver, outcome).increment(0));
    let receiver = receiver.to_owned();
    gauge!(DELIVERY_WAITING, "receiver" => receiver.clone()).set(waiting as f64);
    gauge!(DELIVERY_AGE, "receiver" => receiver).set(oldest.unwrap_or_default().as_secs_f64());
}

/// All users were counted: of how many a token ends within which time, and how many have
/// a backup.
#[cfg(feature = "tokio")]
pub(crate) fn users_counted(ending: &[(&'static str, u64)], on_backup: u64) {
    for (within, count) in ending {
        gauge!(USERS_ENDING, "within" => *within).set(*count as f64);
    }
    gauge!(USERS_ON_BACKUP).set(on_backup as f64);
}

/// An interval has ended after which counts are handed on.
pub(crate) fn interval_ended() {
    report();
}

/// Calls of a store are measured from now on, whose failures are of these kinds.
pub(crate) fn store_measured(kinds: &'static [&'static str]) {
    STORE_FAILURES.get_or_init(|| kinds);
    show_store_errors();
}

/// Shows every count of failures, also those that have not risen.
fn show_store_errors() {
    for kind in STORE_FAILURES.get().copied().unwrap_or_default() {
        OPERATIONS.into_iter().for_each(|operation| store_failures(operation, kind).increment(0));
    }
}

/// A store has answered, with a failure of that kind or without one.
pub(crate) fn store_answered(
    operation: &'static str,
    took: Duration,
    failure: Option<&'static str>,
) {
    histogram!(STORE_SECONDS, "operation" => operation).record(took.as_secs_f64());
    if let Some(kind) = failure {
        store_failures(operation, kind).increment(1);
    }
}

fn store_failures(operation: &'static str, kind: &'static str) -> Counter {
    counter!(STORE_ERRORS, "operation" => operation, "kind" => kind)
}

/// A cache has answered so many more look-ups so.
#[cfg(feature = "cache")]
pub(crate) fn cache_looked_up(answer: &'static str, rise: u64) {
    counter!(CACHE_LOOK_UPS, "answer" => answer).increment(rise);
}

/// A cache was told of so many more changes, and may have lost some so many more
/// times.
#[cfg(feature = "cache")]
pub(crate) fn cache_changed(invalidations: u64, losses: u64) {
    counter!(CACHE_INVALIDATIONS).increment(invalidations);
    counter!(CACHE_LOSSES).increment(losses);
}

/// How a cache stands.
#[cfg(feature = "cache")]
pub(crate) fn cache_stands(entries: u64, trusted: bool, lag: Option<Duration>) {
    gauge!(CACHE_ENTRIES).set(entries as f64);
    gauge!(CACHE_TRUSTED).set(f64::from(u8::from(trusted)));
    if let Some(lag) = lag {
        gauge!(CACHE_FEED_LAG).set(lag.as_secs_f64());
    }
}
