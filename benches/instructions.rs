//! How many instructions the layer executes over the floor: a count, which no
//! other program on the machine can disturb.
//!
//! ```sh
//! cargo bench --bench instructions              # prints the counts
//! cargo bench --bench instructions -- --check   # fails when the way of a request has grown
//! cargo bench --bench instructions -- --accept  # takes the present count for the new one
//! ```
//!
//! Callgrind knows no SHA instructions, so both sides hash in software, and
//! the difference is free of it.
//!
//! A token with an end costs a look at the clock; beyond that, and before its user is
//! told of the end, at most 10 instructions.

mod support {
    pub(crate) mod callgrind;
    pub(crate) mod floor;
    pub(crate) mod population;
    pub(crate) mod requests;
}

use std::convert::Infallible;
use std::error::Error;
use std::future::Ready;
use std::sync::Arc;

use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use tower::{Layer, Service, service_fn};
use tower_api_token::TokenAuthLayer;
use tower_api_token::account::Account;
use tower_api_token::store::MemoryStore;
use tower_api_token::time::Timestamp;
use tower_api_token::usage::UsageRecorder;

use self::support::callgrind::{Accepted, REQUESTS, added, instructions};
use self::support::floor::{Floor, FloorTable, sha256};
use self::support::population::{Sequence, account, memory_store, token};
use self::support::requests::{Requests, exchange, keep};

const USERS: u64 = 1_000;

/// What a token with an end may take more than one without, beside the clock.
const MOST_FOR_AN_END: i64 = 10;
const ACCEPTED: Accepted =
    Accepted(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.accepted"));

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["--serve", candidate, runs] => serve(candidate, runs.parse::<usize>()? * REQUESTS),
        _ => measure(&arguments),
    }
}

/// What runs under callgrind.
fn serve(candidate: &str, count: usize) -> Result<(), Box<dyn Error>> {
    match candidate {
        "bare" => run(service_fn(keep), count),
        "floor" => {
            let table = Arc::new(FloorTable::new(USERS, false));
            run(Floor::<_, false>::new(service_fn(keep), table), count);
        }
        "layer" => run(layer(memory_store(USERS, false)).layer(service_fn(keep)), count),
        "ending" => run(layer(ending_tokens()).layer(service_fn(keep)), count),
        "burdened" => run(layer(memory_store(USERS, false)).layer(service_fn(burdened)), count),
        "clock" => (0..count).for_each(|_| {
            std::hint::black_box(Timestamp::now());
        }),
        "hash" => {
            let token = token(1);
            for _ in 0..count {
                std::hint::black_box(sha256(std::hint::black_box(token.as_bytes())));
            }
        }
        unknown => return Err(format!("no candidate {unknown}").into()),
    }
    Ok(())
}

fn layer(store: MemoryStore) -> TokenAuthLayer {
    let store = Arc::new(store);
    let usage = UsageRecorder::new(Arc::clone(&store));
    TokenAuthLayer::new(store).usage(usage)
}

/// A store whose tokens end in the year 2100, of which no user has been told.
fn ending_tokens() -> MemoryStore {
    let store = MemoryStore::new();
    for number in 0..USERS {
        let account = account(number, false);
        let mut token = account.primary().expect("a primary").clone();
        token.expires_at = Some(Timestamp::from_unix_millis(4_102_444_800_000));
        let ending = Account::builder(account.user().clone()).methods(account.methods().clone());
        let ending = ending.primary(token).build().expect("a sound account");
        store.insert(ending).expect("accounts of their own");
    }
    store
}

/// A small carelessness: one header is looked for by its name.
fn burdened(request: Request<Body>) -> Ready<Result<Response<Body>, Infallible>> {
    std::hint::black_box(request.headers().get("x-forwarded-proto"));
    keep(request)
}

fn run<S, B>(mut service: S, count: usize)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
{
    let mut sequence = Sequence::new(1);
    let tokens = (0..REQUESTS).map(|_| token(sequence.below(USERS)));
    let mut requests = Requests::new(Method::GET, tokens);
    for _ in 0..count {
        assert_eq!(exchange(&mut service, &mut requests), StatusCode::OK);
    }
}

fn measure(arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    let (floor, layer) = (added("floor")?, added("layer")?);
    let (hash, over) = (instructions("hash")?, layer - floor);
    let share = |part: i64, whole: i64| part as f64 / whole as f64 * 100.0;
    println!("| added instructions for one request | |");
    println!("|---|--:|");
    println!("| floor | {floor} |");
    println!("| of them SHA-256 in software | {hash} |");
    println!("| this layer | {layer} |");
    println!("| over the floor | {:.1} % |", share(over, floor));
    println!("| over the floor without its hash | {:.1} % |", share(over, floor - hash));
    let end = for_an_end(layer)?;
    println!("\ninstructions over floor: {over}, for a token with an end: {end}");
    if arguments.contains(&"--accept") {
        ACCEPTED.replace(over)?;
    }
    if arguments.contains(&"--check") {
        ACCEPTED.check(over, floor - hash)?;
        see_it_fail(floor, hash)?;
        if end > MOST_FOR_AN_END {
            return Err(format!("{end} instructions for an end, not {MOST_FOR_AN_END}").into());
        }
    }
    Ok(())
}

/// What a token with an end takes more than one without, beside the clock.
fn for_an_end(layer: i64) -> Result<i64, Box<dyn Error>> {
    let (more, clock) = (added("ending")? - layer, instructions("clock")?);
    println!("| a token with an end, more | {more} |");
    println!("| of them the clock | {clock} |");
    Ok(more - clock)
}

/// A guard that lets everything pass guards nothing: it must refuse the layer
/// with one careless look-up in front.
fn see_it_fail(floor: i64, hash: i64) -> Result<(), Box<dyn Error>> {
    let over = added("burdened")? - floor;
    match ACCEPTED.check(over, floor - hash) {
        Err(refused) => println!("with one header looked up by name it would fail: {refused}"),
        Ok(()) => return Err(format!("the guard does not see {over} instructions").into()),
    }
    Ok(())
}
