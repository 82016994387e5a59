//! No request, however odd, makes the layer panic, gets an answer that the
//! documentation does not list, or passes without the exact token of a user who
//! may do what it asks for.

mod generator;
mod oracle;
mod target;

use std::collections::BTreeMap;
use std::time::Instant;

use generator::{Generator, Sample};
use target::{Target, Tokens};

const CASES: usize = 100_000;

/// Shows the case that is being tried if it panics.
struct ShowOnPanic<'a> {
    seed: u64,
    target: usize,
    sample: &'a Sample,
}

impl Drop for ShowOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}, layer {}: {:?}", self.seed, self.target, self.sample);
        }
    }
}

#[test]
fn no_request_panics_or_passes_without_its_token() {
    let seed = seed();
    let tokens = Tokens::new();
    let targets = Target::all(&tokens);
    let mut generator = Generator::new(seed, &tokens);
    let mut answers = BTreeMap::<u16, usize>::new();
    let start = Instant::now();
    for _ in 0..CASES {
        let place = generator.below(targets.len());
        let sample = generator.sample();
        let shown = ShowOnPanic { seed, target: place, sample: &sample };
        let status = oracle::check(&targets[place], &tokens, &sample);
        drop(shown);
        *answers.entry(status).or_default() += 1;
    }
    println!("{CASES} cases in {:?}: {answers:?}", start.elapsed());
    // A generator that never hits would prove nothing.
    for status in [200, 400, 401, 403] {
        let share = answers.get(&status).copied().unwrap_or_default();
        assert!(share > CASES / 50, "only {share} of {status}: {answers:?}");
    }
}

/// `SEED` from the environment repeats a run.
fn seed() -> u64 {
    let random = || {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).expect("random bytes");
        u64::from_ne_bytes(bytes)
    };
    std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(random)
}
