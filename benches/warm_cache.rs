//! What authenticating one request adds to a bare service when the account
//! comes from a warm `CachedStore`, against a floor that reads the clock, too;
//! and what two threads on one hot token cost one another there.
//!
//! ```sh
//! cargo bench --features cache --bench warm_cache
//! ```
//!
//! Instructions are not counted: valgrind has no page of the kernel's to read
//! the clock from.

mod support {
    pub(crate) mod allocator;
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

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, service_fn};
use tower_api_token::TokenAuthLayer;
use tower_api_token::store::{CacheOptions, CachedStore, MemoryStore, TokenStore};
use tower_api_token::usage::UsageRecorder;

use self::support::allocator::Counting;
use self::support::contend::{Tokens, USERS, close, contend};
use self::support::core::processors;
use self::support::floor::{Floor, FloorTable};
use self::support::population::{digest, memory_store, token};
use self::support::requests::keep;
use self::support::statistics::median;
use self::support::table::{candidate, drawn, head, measure};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    time();
    contention();
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
