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
    pub(crate) mod table;
}

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;

use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use tower::{Layer, service_fn};
use tower_api_token::TokenAuthLayer;
use tower_api_token::store::MemoryStore;
use tower_api_token::usage::UsageRecorder;

use self::support::allocator::{Counting, Counts};
use self::support::floor::{Floor, FloorTable};
use self::support::jwt::{Jwt, jwt};
use self::support::peers::{PlainTable, fabryk_auth, tower_http};
use self::support::population::{BACKUP, account, memory_store, token};
use self::support::requests::keep;
use self::support::statistics::median;
use self::support::table::{candidate, drawn, head, measure};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const USERS: u64 = 1_000;

fn main() {
    let ten_million = std::env::args().any(|argument| argument == "--ten-million");
    head();
    let small = small();
    refused();
    large("1 M users: floor", "1 M users: this layer", 1_000_000);
    if ten_million {
        large("10 M users: floor", "10 M users: this layer", 10_000_000);
    }
    println!("\n| users | bytes per token of the table that `peek` touches | of the whole store |");
    println!("|--:|--:|--:|");
    let sizes = [1_000, 1_000_000, 10_000_000];
    for users in &sizes[..if ten_million { 3 } else { 2 }] {
        let (table, whole) = resident(*users);
        println!("| {users} | {table:.0} | {whole:.0} |");
    }
    match small {
        Some((ratio, allocations)) => {
            println!("\nhot-path ratio: {ratio:.3} allocations: {allocations:.0}");
        }
        None => println!("\nhot-path ratio: not measured, the machine was busy"),
    }
}

fn layer(store: MemoryStore) -> TokenAuthLayer {
    let store = Arc::new(store);
    let usage = UsageRecorder::new(Arc::clone(&store));
    TokenAuthLayer::new(store).usage(usage)
}

/// Everything at 1 000 users. The layer's ratio to the floor and its
/// allocations.
fn small() -> Option<(f64, f64)> {
    const OK: StatusCode = StatusCode::OK;
    let get = || drawn(Method::GET, USERS, token);
    let backups = || drawn(Method::GET, USERS, |number| token(number + BACKUP));
    let ours = layer(memory_store(USERS, false));
    let table = PlainTable::new(USERS);
    let floor = |backups| {
        Floor::<_, false>::new(service_fn(keep), Arc::new(FloorTable::new(USERS, backups)))
    };
    let peer = tower_http(table.clone(), service_fn(keep));
    let [bare, floor, this, ..] = measure([
        candidate("bare service", service_fn(keep), get(), OK),
        candidate("floor", floor(false), get(), OK),
        candidate("this layer", ours.layer(service_fn(keep)), get(), OK),
        candidate("floor, hit on the backup", floor(true), backups(), OK),
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
    ])?;
    let ratio = median(&this.over(&bare)) / median(&floor.over(&bare));
    Some((ratio, this.allocations - bare.allocations))
}

/// A bare service that keeps nothing.
fn discard(request: Request<Body>) -> Ready<Result<Response<Body>, Infallible>> {
    drop(request);
    ready(Ok(Response::new(Body::empty())))
}

/// Requests that are refused. They never come back, so that each is a new one:
/// what they are compared to is a bare service that drops its request.
fn refused() {
    let ours = layer(memory_store(USERS, false));
    let table = Arc::new(FloorTable::new(USERS, false));
    let floor = Floor::<_, false>::new(service_fn(discard), table);
    let delete = drawn(Method::DELETE, USERS, token);
    let unknown = drawn(Method::GET, USERS, |number| token(number + USERS));
    let damaged = drawn(Method::GET, USERS, |number| {
        let text = token(number);
        format!("{}{}", &text[..45], if text.ends_with('0') { '1' } else { '0' })
    });
    let around = || ours.layer(service_fn(discard));
    let get = || drawn(Method::GET, USERS, token);
    let bare = service_fn(discard);
    measure([
        candidate("bare service that drops its request", bare, get(), StatusCode::OK),
        candidate("floor in front of it", floor, get(), StatusCode::OK),
        candidate("this layer, 403", around(), delete, StatusCode::FORBIDDEN),
        candidate("this layer, 401, wrong check sum", around(), damaged, StatusCode::UNAUTHORIZED),
        candidate("this layer, 401, right check sum", around(), unknown, StatusCode::UNAUTHORIZED),
    ]);
}

fn large(floor_name: &'static str, layer_name: &'static str, users: u64) {
    let get = || drawn(Method::GET, users, token);
    let table = Arc::new(FloorTable::new(users, false));
    let floor = Floor::<_, false>::new(service_fn(keep), table);
    let around = layer(memory_store(users, false)).layer(service_fn(keep));
    measure([
        candidate("bare service", service_fn(keep), get(), StatusCode::OK),
        candidate(floor_name, floor, get(), StatusCode::OK),
        candidate(layer_name, around, get(), StatusCode::OK),
    ]);
}

/// What a store asks of the allocator for each token, in bytes: beyond the
/// accounts and the map by user that any store of accounts would need; and in
/// all.
fn resident(users: u64) -> (f64, f64) {
    let before = Counts::now().resident;
    let store = memory_store(users, false);
    let whole = Counts::now().resident - before;
    drop(store);
    let before = Counts::now().resident;
    let mut accounts = BTreeMap::new();
    for account in (0..users).map(|number| account(number, false)) {
        accounts.insert(account.user().clone(), Arc::new(account));
    }
    let plain = Counts::now().resident - before;
    drop(accounts);
    let each = |bytes: u64| bytes as f64 / users as f64;
    (each(whole.saturating_sub(plain)), each(whole))
}
