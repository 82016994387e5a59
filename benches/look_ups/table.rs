//! What is printed of one store.

use tokio::runtime::Runtime;

use super::measure::{Candidate, interleave};
use crate::support::statistics::median;

/// The head of the table.
pub(crate) fn head() {
    println!("| | look-ups a second | p50 µs | p99 µs | of the driver |");
    println!("|---|--:|--:|--:|--:|");
}

/// The candidates of one store; where it has a driver, that is the first.
pub(crate) struct Table(Vec<Candidate>);

impl Table {
    pub(crate) fn of(runtime: &Runtime, candidates: impl Into<Vec<Candidate>>) -> Self {
        let mut candidates = candidates.into();
        interleave(runtime, &mut candidates);
        candidates.iter_mut().for_each(|candidate| candidate.times.sort_unstable());
        Self(candidates)
    }

    /// Without a driver.
    pub(crate) fn print(&self) {
        self.0.iter().for_each(|candidate| row(candidate, None));
    }

    /// With the first for a driver; the second one's median ratio to it.
    pub(crate) fn print_ratios(&self) -> f64 {
        let [driver, others @ ..] = &self.0[..] else { panic!("no driver") };
        row(driver, None);
        let ratio = |candidate: &Candidate| {
            let rounds = candidate.rates.iter().zip(&driver.rates);
            median(&rounds.map(|(store, driver)| store / driver).collect::<Vec<_>>())
        };
        others.iter().for_each(|candidate| row(candidate, Some(ratio(candidate))));
        others.first().map_or(f64::NAN, ratio)
    }
}

fn row(candidate: &Candidate, ratio: Option<f64>) {
    let times = &candidate.times;
    let micros = |part: f64| times[((times.len() - 1) as f64 * part) as usize] as f64 / 1e3;
    let ratio = ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
    println!(
        "| {} | {:.0} | {:.1} | {:.1} | {ratio} |",
        candidate.name,
        median(&candidate.rates),
        micros(0.5),
        micros(0.99)
    );
}
