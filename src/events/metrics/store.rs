//! Calls of a store: how long they took, and which failed.

use std::time::Duration;

use metrics::{counter, histogram};

use super::{STORE_ERRORS, STORE_SECONDS, cells};
use crate::store::StoreErrorKind;

/// A call of a store.
#[derive(Clone, Copy)]
pub(crate) enum Operation {
    Find,
    Load,
    Replace,
    ReplaceMany,
    List,
    RecordUsage,
    Usage,
    History,
    Changes,
    Heartbeat,
    PepperVersions,
    Prefixes,
    PepperChecks,
    KeepPepperCheck,
    Erase,
}

/// Their labels, in the order in which they are declared.
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

const ERRORS: [&str; 6] =
    ["conflict", "corrupt", "unavailable", "not_set_up", "newer_schema", "refused"];

/// Each power of two has four ranges, so a time is told to within a quarter.
const RANGES: usize = 4;
/// From 2^10 ns, about a microsecond, to 2^36 ns, about a minute.
const SHORTEST: u32 = 10;
const LONGEST: u32 = 36;
const TIMES: usize = RANGES * (LONGEST - SHORTEST) as usize;

/// The cells of one operation: its times, then its errors.
const EACH: usize = TIMES + ERRORS.len();
pub(super) const CELLS: usize = EACH * OPERATIONS.len();

/// A store has answered, with an error of that kind or without one.
pub(crate) fn store_answered(operation: Operation, took: Duration, error: Option<StoreErrorKind>) {
    let first = cells::STORE + EACH * operation as usize;
    cells::raise(first + range(took));
    if let Some(kind) = error {
        cells::raise(
            first
                + TIMES
                + match kind {
                    StoreErrorKind::Conflict => 0,
                    StoreErrorKind::Corrupt => 1,
                    StoreErrorKind::Unavailable => 2,
                    StoreErrorKind::NotSetUp => 3,
                    StoreErrorKind::NewerSchema => 4,
                    StoreErrorKind::Refused => 5,
                },
        );
    }
}

/// In which range a time lies; one outside of all counts to the nearest.
fn range(took: Duration) -> usize {
    let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
    let nanos = nanos.clamp(1 << SHORTEST, (1 << LONGEST) - 1);
    let power = nanos.ilog2();
    let quarter = (nanos >> (power - 2)) as usize % RANGES;
    RANGES * (power - SHORTEST) as usize + quarter
}

/// The end of a range, in seconds: no time is told shorter than it was, but for
/// those over a minute.
fn seconds(range: usize) -> f64 {
    let (power, quarter) = (range / RANGES, range % RANGES);
    let nanos = (1_u64 << (SHORTEST as usize + power - 2)) * (RANGES + quarter + 1) as u64;
    nanos as f64 / 1e9
}

/// Hands on what has risen.
pub(super) fn report(risen: &[u64]) {
    for (operation, risen) in OPERATIONS.into_iter().zip(risen.chunks(EACH)) {
        let (times, errors) = risen.split_at(TIMES);
        for (range, rise) in times.iter().enumerate().filter(|(_, rise)| **rise > 0) {
            let histogram = histogram!(STORE_SECONDS, "operation" => operation);
            histogram.record_many(seconds(range), usize::try_from(*rise).unwrap_or(usize::MAX));
        }
        for (kind, rise) in ERRORS.into_iter().zip(errors).filter(|(_, rise)| **rise > 0) {
            counter!(STORE_ERRORS, "operation" => operation, "kind" => kind).increment(*rise);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_to_within_a_quarter_and_never_as_less() {
        for nanos in (1_025..70_000_000_000_u64).step_by(123_456_789).chain(1_025..5_000) {
            if nanos < 1 << LONGEST {
                let (told, real) =
                    (seconds(range(Duration::from_nanos(nanos))), nanos as f64 / 1e9);
                assert!(told > real && told <= real * 1.25, "{nanos} ns told as {told} s");
            }
        }
    }

    #[test]
    fn no_time_is_outside_of_the_ranges() {
        assert_eq!((range(Duration::ZERO), range(Duration::MAX)), (0, TIMES - 1));
        assert!((68.0..69.0).contains(&seconds(TIMES - 1)));
    }

    #[test]
    fn each_operation_has_its_label() {
        let label = |operation: Operation| OPERATIONS[operation as usize];
        assert_eq!(label(Operation::Find), "find");
        assert_eq!(label(Operation::RecordUsage), "record_usage");
        assert_eq!(label(Operation::PepperVersions), "pepper_versions");
        assert_eq!(label(Operation::Erase), "erase");
    }
}
