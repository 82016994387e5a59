//! What authenticating one request adds to a bare service when the account
//! comes from a warm `CachedStore`, against a floor that reads the clock, too;
//! what two threads on one hot token cost one another there; and how many
//! instructions it executes over that floor.
//!
//! ```sh
//! cargo bench --features cache --bench warm_cache
//! cargo bench --features cache --bench warm_cache -- --check    # the count alone, as in `instructions`
//! cargo bench --features cache --bench warm_cache -- --accept
//! ```

mod support {
    pub(crate) mod allocator;
    pub(crate) mod callgrind;
    pub(crate) mod clock;
    pub(crate) mod contend;
    pub(crate) mod core;
    pub(crate) mod floor;
    pub(crate) mod interleave;
    pub(crate) mod population;
    pub(crate) mod requests;
    pub(crate) mod spread;
    pub(crate) mod statistics;
    pub(crate) mod table;
}

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, Service, service_fn};
use tower_api_token::TokenAuthLayer;
use tower_api_token::store::{CacheOptions, CachedStore, MemoryStore, TokenStore};
use tower_api_token::usage::UsageRecorder;

use self::support::allocator::Counting;
use self::support::callgrind::{Accepted, REQUESTS, added};
use self::support::contend::{Tokens, USERS, close, contend};
use self::support::core::processors;
use self::support::floor::{Floor, FloorTable};
use self::support::population::{digest, memory_store, token};
use self::support::requests::{exchange, keep};
use self::support::statistics::median;
use self::support::table::{candidate, drawn, head, measure};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ACCEPTED: Accepted =
    Accepted(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/warm_cache.accepted"));

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["--serve", candidate, runs] => serve(candidate, runs.parse::<usize>()? * REQUESTS),
        arguments if arguments.contains(&"--check") || arguments.contains(&"--accept") => {
            count(arguments)
        }
        arguments => {
            time();
            contention();
            count(arguments)
        }
    }
}

/// A cache that knows every user. Its tasks stand still while its runtime is
/// not driven, and what it knows holds for most of a minute.
struct Warm {
    _runtime: Runtime,
    store: Arc<CachedStore<MemoryStore>>,
}

impl Warm {
    fn up() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let options = CacheOptions::new().staleness_bound(Duration::from_secs(60));
        let store = runtime.block_on(async {
            let cache = CachedStore::start(memory_store(USERS, false), options);
            let cache = Arc::new(cache.expect("sound options"));
            while !cache.is_trusted() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            for number in 0..USERS {
                let found = cache.find(&digest(&token(number)).digest).await;
                assert!(found.expect("memory answers").is_some());
            }
            cache
        });
        Self { _runtime: runtime, store }
    }

    fn layer(&self) -> TokenAuthLayer {
        let usage = UsageRecorder::new(Arc::clone(&self.store));
        TokenAuthLayer::new(Arc::clone(&self.store)).usage(usage)
    }
}

fn floor<S>(inner: S) -> Floor<S, true> {
    Floor::new(inner, Arc::new(FloorTable::new(USERS, false)))
}

fn time() {
    let warm = Warm::up();
    let get = || drawn(Method::GET, USERS, token);
    head();
    let measured = measure([
        candidate("bare service", service_fn(keep), get(), StatusCode::OK),
        candidate("floor that reads the clock", floor(service_fn(keep)), get(), StatusCode::OK),
        candidate(
            "this layer, warm `CachedStore`",
            warm.layer().layer(service_fn(keep)),
            get(),
            StatusCode::OK,
        ),
    ]);
    let Some([bare, floor, this]) = measured else {
        return println!("\nwarm-cache ratio: not measured, the machine was busy\n");
    };
    let ratio = median(&this.over(&bare)) / median(&floor.over(&bare));
    let allocations = this.allocations - bare.allocations;
    println!("\nwarm-cache ratio: {ratio:.3} allocations: {allocations:.0}\n");
}

fn contention() {
    let processors = processors();
    if processors.len() < 2 {
        println!("warm-cache contention ratio: not measured, there is one processor only");
        return;
    }
    support::contend::head();
    let (warm, name) = (Warm::up(), "this layer, warm cache, one hot token");
    let around = warm.layer().layer(service_fn(keep));
    let hot = contend(name, &processors, Tokens::OneHot, |_| around.clone());
    let (warm, name) = (Warm::up(), "this layer, warm cache, 1 000 tokens");
    let around = warm.layer().layer(service_fn(keep));
    contend(name, &processors, Tokens::Many, |_| around.clone());
    close("warm-cache contention ratio", hot);
}

/// What runs under callgrind.
fn serve(candidate: &str, count: usize) -> Result<(), Box<dyn Error>> {
    match candidate {
        "bare" => run(service_fn(keep), count),
        "floor" => run(floor(service_fn(keep)), count),
        "layer" => {
            let warm = Warm::up();
            run(warm.layer().layer(service_fn(keep)), count);
        }
        unknown => return Err(format!("no candidate {unknown}").into()),
    }
    Ok(())
}

fn run<S, B>(mut service: S, count: usize)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
{
    let mut requests = drawn(Method::GET, USERS, token);
    for _ in 0..count {
        assert_eq!(exchange(&mut service, &mut requests), StatusCode::OK);
    }
}

fn count(arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    let (floor, layer) = (added("floor")?, added("layer")?);
    let over = layer - floor;
    println!("\nadded instructions: floor {floor}, this layer {layer}");
    println!("\nwarm-cache instructions over floor: {over}");
    if arguments.contains(&"--accept") {
        ACCEPTED.replace(over)?;
    }
    if arguments.contains(&"--check") {
        // The hash in software is far the most of it.
        ACCEPTED.check(over, floor / 4)?;
    }
    Ok(())
}
