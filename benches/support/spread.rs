//! Medians with their range.

use super::statistics::{median, sorted};

/// The median of some values with the smallest and the greatest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    pub(crate) fn of(values: &[f64]) -> Self {
        let sorted = sorted(values);
        Self { median: median(values), least: sorted[0], most: sorted[sorted.len() - 1] }
    }
}
