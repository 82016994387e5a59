//! What two threads cost one another.

use std::convert::Infallible;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use tower::{Service, service_fn};

use super::clock::thread_time;
use super::core::stay_on;
use super::population::{Sequence, token};
use super::requests::{Requests, exchange, keep};
use super::spread::Spread;

/// How many users the tokens are drawn from.
pub(crate) const USERS: u64 = 1_000;
/// Requests of one thread in one slice: about ten milliseconds.
const REQUESTS: usize = 40_000;
const ROUNDS: usize = 25;
/// Rounds tried at most, those included in which the machine was busy.
const TRIES: usize = 60;

/// Whether every request has the same token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tokens {
    OneHot,
    Many,
}

/// Nanoseconds for one request on one thread and on each of two.
struct Took {
    alone: f64,
    together: f64,
}

/// The head of the table.
pub(crate) fn head() {
    println!("| | ratio of two threads to one | least to most | busy rounds |");
    println!("|---|--:|--:|--:|");
}

/// The closing line.
pub(crate) fn close(name: &str, ratio: Option<f64>) {
    match ratio {
        Some(ratio) => println!("\n{name}: {ratio:.3}"),
        None => println!("\n{name}: not measured, the machine was busy"),
    }
}

/// Measures one case, prints its row and gives its median; `None` if too few
/// rounds could be measured. Each thread has the service of its number.
pub(crate) fn contend<S, B>(
    name: &str,
    processors: &[usize],
    tokens: Tokens,
    service: impl Fn(usize) -> S,
) -> Option<f64>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Send,
{
    let (mut ratios, mut busy) = (Vec::new(), 0);
    while ratios.len() < ROUNDS && ratios.len() + busy < TRIES {
        match added(processors, &service, tokens) {
            Some(took) => ratios.push(took.together / took.alone),
            None => busy += 1,
        }
    }
    if ratios.len() < ROUNDS {
        println!("| {name} | not measured | | {busy} |");
        return None;
    }
    let Spread { median, least, most } = Spread::of(&ratios);
    println!("| {name} | {median:.2} | {least:.2} to {most:.2} | {busy} |");
    Some(median)
}

/// What a service adds to the bare one, alone and together: A B B A.
fn added<S, B>(processors: &[usize], service: impl Fn(usize) -> S, tokens: Tokens) -> Option<Took>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Send,
{
    let slice = |threads: usize, bare: bool| {
        if bare {
            run(&processors[..threads], |_| service_fn(keep), tokens)
        } else {
            run(&processors[..threads], &service, tokens)
        }
    };
    let over = |threads| Some(slice(threads, false)? - slice(threads, true)?);
    let (alone, together) = (over(1)?, over(2)?);
    let (together, alone) = (together.midpoint(over(2)?), alone.midpoint(over(1)?));
    Some(Took { alone, together })
}

/// Nanoseconds of processor time for one request, with a thread on each of
/// these processors; `None` if one of them had to give its processor up.
fn run<S, B>(processors: &[usize], service: impl Fn(usize) -> S, tokens: Tokens) -> Option<f64>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Send,
{
    let start = Barrier::new(processors.len());
    let took: Vec<Option<Duration>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..processors.len())
            .map(|number| {
                let (service, processor, start) = (service(number), processors[number], &start);
                scope.spawn(move || {
                    stay_on(processor);
                    serve(service, tokens, start)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let took: Option<Vec<Duration>> = took.into_iter().collect();
    let sum: Duration = took?.iter().sum();
    Some(sum.as_secs_f64() * 1e9 / (processors.len() * REQUESTS) as f64)
}

fn serve<S, B>(mut service: S, tokens: Tokens, start: &Barrier) -> Option<Duration>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
{
    let mut sequence = Sequence::new(3);
    let count = if tokens == Tokens::OneHot { 1 } else { 4_096 };
    let numbers = (0..count).map(|_| sequence.below(USERS));
    let mut requests = Requests::new(Method::GET, numbers.map(token));
    let mut serve = |count| {
        for _ in 0..count {
            assert_eq!(exchange(&mut service, &mut requests), StatusCode::OK);
        }
    };
    serve(REQUESTS / 8);
    start.wait();
    let (processor, wall) = (thread_time(), Instant::now());
    serve(REQUESTS);
    let (processor, wall) = (thread_time() - processor, wall.elapsed());
    // Another program on this processor would have left the other thread alone
    // for a while.
    (wall < processor.mul_f64(1.05)).then_some(processor)
}
