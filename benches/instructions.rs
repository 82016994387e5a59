//! How many instructions the layer executes over the floor: a count, which no
//! other program on the machine can disturb.
//!
//! ```sh
//! cargo bench --bench instructions              # prints the counts
//! cargo bench --bench instructions -- --check   # fails when the way of a request has grown
//! cargo bench --bench instructions -- --accept  # takes the present count for the new one
//! ```
//!
//! It runs itself under callgrind, which is part of valgrind. That knows no
//! SHA instructions, so both sides hash in software, and the difference is free
//! of it.

mod support {
    pub(crate) mod floor;
    pub(crate) mod population;
    pub(crate) mod requests;
}

use std::convert::Infallible;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use tower::{Layer, Service, service_fn};
use tower_api_token::TokenAuthLayer;
use tower_api_token::usage::UsageRecorder;

use self::support::floor::{Floor, FloorTable, sha256};
use self::support::population::{Sequence, memory_store, token};
use self::support::requests::{Requests, exchange, keep};

const USERS: u64 = 1_000;
/// Whole runs through the credentials, so that each run does the same.
const REQUESTS: usize = 4_096;
/// The accepted count, for [`check`].
const ACCEPTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.accepted");

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["--serve", candidate, runs] => serve(candidate, runs.parse()?),
        _ => measure(&arguments),
    }
}

/// What runs under callgrind.
fn serve(candidate: &str, runs: usize) -> Result<(), Box<dyn Error>> {
    let count = runs * REQUESTS;
    match candidate {
        "bare" => run(service_fn(keep), count),
        "floor" => {
            let table = Arc::new(FloorTable::new(USERS, false));
            run(Floor { inner: service_fn(keep), table }, count);
        }
        "layer" => {
            let store = Arc::new(memory_store(USERS, false));
            let usage = UsageRecorder::new(Arc::clone(&store));
            run(TokenAuthLayer::new(store).usage(usage).layer(service_fn(keep)), count);
        }
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
    let [bare, floor, layer, hash] = ["bare", "floor", "layer", "hash"].map(instructions);
    let (bare, floor, layer, hash) = (bare?, floor?, layer?, hash?);
    let (floor, layer) = (floor - bare, layer - bare);
    let over = layer - floor;
    let share = |part: i64, whole: i64| part as f64 / whole as f64 * 100.0;
    println!("| instructions for one request | |");
    println!("|---|--:|");
    println!("| bare service (itself) | {bare} |");
    println!("| floor, added | {floor} |");
    println!("| of them SHA-256 in software | {hash} |");
    println!("| this layer, added | {layer} |");
    println!("| over the floor | {:.1} % |", share(over, floor));
    println!("| over the floor without its hash | {:.1} % |", share(over, floor - hash));
    println!("\ninstructions over floor: {over}");
    if arguments.contains(&"--accept") {
        fs::write(ACCEPTED, format!("{over}\n"))?;
    }
    if arguments.contains(&"--check") {
        return check(over, floor - hash);
    }
    Ok(())
}

/// Fails when the count has grown by more than 5 % of the floor without its
/// hash.
fn check(over: i64, floor: i64) -> Result<(), Box<dyn Error>> {
    let accepted: i64 = fs::read_to_string(ACCEPTED)?.trim().parse()?;
    let limit = accepted + floor / 20;
    println!("accepted: {accepted}, limit: {limit}");
    if over > limit {
        return Err(format!("{over} instructions over the floor are more than {limit}").into());
    }
    Ok(())
}

/// The instructions of one request: what a second run through the credentials
/// adds, when every user has been seen.
fn instructions(candidate: &str) -> Result<i64, Box<dyn Error>> {
    let (one, three) = (count(candidate, 1)?, count(candidate, 3)?);
    Ok((three - one) / (2 * REQUESTS as i64))
}

fn count(candidate: &str, runs: usize) -> Result<i64, Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("callgrind.out");
    let status = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe()?)
        .args(["--serve", candidate, &runs.to_string()])
        .status()
        .map_err(|error| format!("valgrind cannot be run ({error}): install it"))?;
    if !status.success() {
        return Err(format!("callgrind failed: {status}").into());
    }
    total(&file)
}

fn total(file: &Path) -> Result<i64, Box<dyn Error>> {
    let report = fs::read_to_string(file)?;
    let total = report.lines().find_map(|line| line.strip_prefix("totals: "));
    Ok(total.ok_or("callgrind wrote no total")?.trim().parse()?)
}
