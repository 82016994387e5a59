//! How far to trust a median.

use super::population::Sequence;
use super::statistics::{median, sorted};

/// The 95 % bootstrap interval of the median: what the middle 95 % of the
/// medians of 10 000 samples, drawn from the values with replacement, span.
pub(crate) fn bootstrap(values: &[f64]) -> (f64, f64) {
    let mut sequence = Sequence::new(0x5eed);
    let draw = |_| {
        let drawn = (0..values.len()).map(|_| values[sequence.below(values.len() as u64) as usize]);
        median(&drawn.collect::<Vec<_>>())
    };
    let medians = sorted(&(0..10_000).map(draw).collect::<Vec<_>>());
    (medians[249], medians[9_749])
}
