//! What candidates add to a bare service, as a table.

use std::convert::Infallible;

use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use tower::Service;

use super::interleave::{Candidate, interleave};
use super::population::Sequence;
use super::requests::{Requests, exchange};
use super::spread::Spread;

pub(crate) fn head() {
    println!(
        "| | added ns | least to most | ratio to the floor | least to most | allocations | bytes |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|");
}

/// One way to serve requests, all of which it must answer with `expected`.
pub(crate) fn candidate<S, B>(
    name: &'static str,
    mut service: S,
    mut requests: Requests,
    expected: StatusCode,
) -> Candidate
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + 'static,
{
    let each = requests.credentials.len();
    let mut serve = move |count| {
        for _ in 0..count {
            assert_eq!(exchange(&mut service, &mut requests), expected);
        }
    };
    // The first use of a token in an interval is noted: not in what is measured.
    serve(each);
    Candidate::new(name, serve)
}

/// Requests with the tokens of users drawn at random.
pub(crate) fn drawn(method: Method, users: u64, text: impl Fn(u64) -> String) -> Requests {
    let mut sequence = Sequence::new(users);
    // Many enough that a large table is never in the caches.
    let count = if users > 10_000 { 1_000_000 } else { 4_096 };
    Requests::new(method, (0..count).map(|_| text(sequence.below(users))))
}

/// Measures the candidates and prints a row for each: the bare service, the
/// floor, others. `None` if the machine was busy.
pub(crate) fn measure<const N: usize>(mut candidates: [Candidate; N]) -> Option<[Candidate; N]> {
    if interleave(&mut candidates) {
        report(&candidates, &candidates[1].over(&candidates[0]));
        Some(candidates)
    } else {
        for candidate in &candidates {
            println!("| {} | not measured, the machine was busy | | | | | |", candidate.name);
        }
        None
    }
}

/// One row for each candidate but the first, which the others are compared to.
fn report(candidates: &[Candidate], floor: &[f64]) {
    let (bare, others) = candidates.split_first().expect("a bare service");
    let took = Spread::of(&bare.rounds);
    println!(
        "| {} (itself) | {:.0} | {:.0} to {:.0} | | | {:.2} | {:.0} |",
        bare.name, took.median, took.least, took.most, bare.allocations, bare.bytes
    );
    for candidate in others {
        let added = candidate.over(bare);
        let ratios: Vec<f64> =
            added.iter().zip(floor).map(|(added, floor)| added / floor).collect();
        let (added, ratio) = (Spread::of(&added), Spread::of(&ratios));
        let allocations = candidate.allocations - bare.allocations;
        println!(
            "| {} | {:.0} | {:.0} to {:.0} | {:.2} | {:.2} to {:.2} | {:.2} | {:.0} |",
            candidate.name,
            added.median,
            added.least,
            added.most,
            ratio.median,
            ratio.least,
            ratio.most,
            allocations,
            candidate.bytes - bare.bytes,
        );
    }
}
