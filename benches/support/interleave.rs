//! Measuring candidates in turns, so that whatever else happens on the machine
//! happens to all of them.

use std::time::{Duration, Instant};

use super::allocator::Counts;
use super::clock::thread_time;

/// How long one turn of a candidate takes.
const SLICE: Duration = Duration::from_millis(7);

/// Rounds to be measured.
const ROUNDS: usize = 25;
/// Rounds that must have been measured.
const ENOUGH: usize = 15;
/// Rounds tried at most, those included in which the machine was busy.
const TRIES: usize = 100;

/// One way to serve a request, and what it took.
pub(crate) struct Candidate {
    pub(crate) name: &'static str,
    /// Serves so many requests.
    serve: Box<dyn FnMut(usize)>,
    /// Requests in one slice.
    requests: usize,
    /// Nanoseconds for one request, by round.
    pub(crate) rounds: Vec<f64>,
    /// Allocations for one request, and their bytes.
    pub(crate) allocations: f64,
    pub(crate) bytes: f64,
}

impl Candidate {
    pub(crate) fn new(name: &'static str, serve: impl FnMut(usize) + 'static) -> Self {
        let serve = Box::new(serve);
        Self { name, serve, requests: 1, rounds: Vec::new(), allocations: 0.0, bytes: 0.0 }
    }

    fn time(&mut self, requests: usize) -> Duration {
        let start = thread_time();
        (self.serve)(requests);
        thread_time() - start
    }

    /// Finds how many requests fill a slice, and counts allocations.
    fn prepare(&mut self) {
        self.time(2_000);
        let one = self.time(2_000).as_secs_f64() / 2_000.0;
        self.requests = ((SLICE.as_secs_f64() / one) as usize).max(10);
        let before = Counts::now();
        (self.serve)(1_000);
        let after = Counts::now();
        self.allocations = (after.allocations - before.allocations) as f64 / 1_000.0;
        self.bytes = (after.bytes - before.bytes) as f64 / 1_000.0;
    }

    /// One turn: a short run to fill the caches that the others have emptied,
    /// and the measured one.
    fn slice(&mut self) -> f64 {
        self.time(self.requests / 8);
        self.time(self.requests).as_secs_f64() * 1e9 / self.requests as f64
    }

    /// What it took over the other one, by round.
    pub(crate) fn over(&self, other: &Self) -> Vec<f64> {
        self.rounds.iter().zip(&other.rounds).map(|(this, other)| this - other).collect()
    }
}

/// Runs the candidates in the order A B C C B A, many times. Rounds in which
/// another program had the processor for a while do not count; whether enough
/// others were left.
pub(crate) fn interleave(candidates: &mut [Candidate]) -> bool {
    candidates.iter_mut().for_each(Candidate::prepare);
    let mut measured = 0;
    for _ in 0..TRIES {
        if measured == ROUNDS {
            break;
        }
        let (processor, wall) = (thread_time(), Instant::now());
        let there: Vec<f64> = candidates.iter_mut().map(Candidate::slice).collect();
        let back: Vec<f64> = candidates.iter_mut().rev().map(Candidate::slice).collect();
        if wall.elapsed() < (thread_time() - processor).mul_f64(1.05) {
            measured += 1;
            for ((candidate, there), back) in
                candidates.iter_mut().zip(there).zip(back.iter().rev())
            {
                candidate.rounds.push(there.midpoint(*back));
            }
        }
    }
    measured >= ENOUGH
}
