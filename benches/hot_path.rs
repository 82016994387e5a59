//! What authenticating one request adds to a bare service.
//!
//! ```sh
//! cargo bench --bench hot_path
//! cargo bench --bench hot_path -- --ten-million
//! ```

mod support {
    pub(crate) mod allocator;
    pub(crate) mod clock;
    pub(crate) mod floor;
    pub(crate) mod interleave;
    pub(crate) mod jwt;
    pub(crate) mod peers;
    pub(crate) mod population;
    pub(crate) mod requests;
    pub(crate) mod spread;
    pub(crate) mod statistics;
}

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;

use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use tower::{Layer, Service, service_fn};
use tower_api_token::TokenAuthLayer;
use tower_api_token::store::MemoryStore;
use tower_api_token::usage::UsageRecorder;

use self::support::allocator::{Counting, Counts};
use self::support::floor::{Floor, FloorTable};
use self::support::interleave::{Candidate, interleave};
use self::support::jwt::{Jwt, jwt};
use self::support::peers::{PlainTable, fabryk_auth, tower_http};
use self::support::population::{BACKUP, Sequence, account, memory_store, token};
use self::support::requests::{Requests, exchange, keep};
use self::support::spread::Spread;
use self::support::statistics::median;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const USERS: u64 = 1_000;
const ROUNDS: usize = 25;

fn main() {
    let ten_million = std::env::args().any(|argument| argument == "--ten-million");
    println!(
        "| | added ns | least to most | ratio to the floor | least to most | allocations | bytes |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|");
    let (ratio, allocations) = small();
    large("1 M users: floor", "1 M users: this layer", 1_000_000);
    if ten_million {
        large("10 M users: floor", "10 M users: this layer", 10_000_000);
    }
    println!("\n| users | bytes resident per token of the table that `peek` touches |\n|--:|--:|");
    let sizes = [1_000, 1_000_000, 10_000_000];
    for users in &sizes[..if ten_million { 3 } else { 2 }] {
        println!("| {users} | {:.0} |", resident(*users));
    }
    println!("\nhot-path ratio: {ratio:.3} allocations: {allocations:.0}");
}

/// One way to serve requests, all of which it must answer with `expected`.
fn candidate<S, B>(
    name: &'static str,
    mut service: S,
    mut requests: Requests,
    expected: StatusCode,
) -> Candidate
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + 'static,
{
    Candidate::new(name, move |count| {
        for _ in 0..count {
            assert_eq!(exchange(&mut service, &mut requests), expected);
        }
    })
}

/// Requests with the tokens of users drawn at random.
fn drawn(method: Method, users: u64, text: impl Fn(u64) -> String) -> Requests {
    let mut sequence = Sequence::new(users);
    // Many enough that a large table is never in the caches.
    let count = if users > 10_000 { 1_000_000 } else { 4_096 };
    Requests::new(method, (0..count).map(|_| text(sequence.below(users))))
}

fn layer(store: MemoryStore) -> TokenAuthLayer {
    let store = Arc::new(store);
    let usage = UsageRecorder::new(Arc::clone(&store));
    TokenAuthLayer::new(store).usage(usage)
}

/// Everything at 1 000 users. The layer's ratio to the floor and its
/// allocations.
fn small() -> (f64, f64) {
    const OK: StatusCode = StatusCode::OK;
    let get = || drawn(Method::GET, USERS, token);
    let backups = || drawn(Method::GET, USERS, |number| token(number + BACKUP));
    let ours = layer(memory_store(USERS, false));
    let table = PlainTable::new(USERS);
    let floor = Floor { inner: service_fn(keep), table: Arc::new(FloorTable::new(USERS, false)) };
    let both = Floor { table: Arc::new(FloorTable::new(USERS, true)), ..floor.clone() };
    let peer = tower_http(table.clone(), service_fn(keep));
    let mut passing = [
        candidate("bare service", service_fn(keep), get(), OK),
        candidate("floor", floor, get(), OK),
        candidate("this layer", ours.layer(service_fn(keep)), get(), OK),
        candidate("floor, hit on the backup", both, backups(), OK),
        candidate(
            "this layer, hit on the backup",
            layer(memory_store(USERS, true)).layer(service_fn(keep)),
            backups(),
            OK,
        ),
        candidate("tower-http `AsyncRequireAuthorization`, SHA-256", peer, get(), OK),
        candidate(
            "fabryk-auth 0.4.2, SHA-256",
            fabryk_auth(table).layer(service_fn(keep)),
            get(),
            OK,
        ),
        candidate(
            "jsonwebtoken 11 HS256",
            Jwt::new(service_fn(keep)),
            drawn(Method::GET, USERS, jwt),
            OK,
        ),
    ];
    interleave(&mut passing, ROUNDS);
    let (floor, this) = (passing[1].over(&passing[0]), passing[2].over(&passing[0]));
    report(&passing, &floor);
    refused(&ours, &floor);
    (median(&this) / median(&floor), passing[2].allocations - passing[0].allocations)
}

/// A bare service that keeps nothing.
fn discard(request: Request<Body>) -> Ready<Result<Response<Body>, Infallible>> {
    drop(request);
    ready(Ok(Response::new(Body::empty())))
}

/// Requests that are refused. They never come back, so that each is a new one:
/// what they are compared to is a bare service that drops its request.
fn refused(ours: &TokenAuthLayer, floor: &[f64]) {
    let delete = drawn(Method::DELETE, USERS, token);
    let unknown = drawn(Method::GET, USERS, |number| token(number + USERS));
    let damaged = drawn(Method::GET, USERS, |number| {
        let text = token(number);
        format!("{}{}", &text[..45], if text.ends_with('0') { '1' } else { '0' })
    });
    let around = || ours.layer(service_fn(discard));
    let get = drawn(Method::GET, USERS, token);
    let mut candidates = [
        candidate("bare service that drops its request", service_fn(discard), get, StatusCode::OK),
        candidate("this layer, 403", around(), delete, StatusCode::FORBIDDEN),
        candidate("this layer, 401, wrong check sum", around(), damaged, StatusCode::UNAUTHORIZED),
        candidate("this layer, 401, right check sum", around(), unknown, StatusCode::UNAUTHORIZED),
    ];
    interleave(&mut candidates, ROUNDS);
    report(&candidates, floor);
}

fn large(floor_name: &'static str, layer_name: &'static str, users: u64) {
    let get = || drawn(Method::GET, users, token);
    let table = Arc::new(FloorTable::new(users, false));
    let around = layer(memory_store(users, false)).layer(service_fn(keep));
    let mut candidates = [
        candidate("bare service", service_fn(keep), get(), StatusCode::OK),
        candidate(floor_name, Floor { inner: service_fn(keep), table }, get(), StatusCode::OK),
        candidate(layer_name, around, get(), StatusCode::OK),
    ];
    interleave(&mut candidates, ROUNDS);
    let floor = candidates[1].over(&candidates[0]);
    report(&candidates, &floor);
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

/// The bytes per token that a store takes beyond the accounts and the map by
/// user that any store of accounts would need.
fn resident(users: u64) -> f64 {
    let before = Counts::now().resident;
    let mut accounts = BTreeMap::new();
    for account in (0..users).map(|number| account(number, false)) {
        accounts.insert(account.user().clone(), Arc::new(account));
    }
    let plain = Counts::now().resident - before;
    drop(accounts);
    let before = Counts::now().resident;
    let store = memory_store(users, false);
    let taken = Counts::now().resident - before;
    drop(store);
    (taken.saturating_sub(plain)) as f64 / users as f64
}
