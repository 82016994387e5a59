//! How soon a revocation on one node takes effect on another.
//!
//! ```sh
//! cargo bench --bench revocation --all-features
//! ```
//!
//! Two nodes on one server, each with its own connections, cache and manager.
//! On each a reader asks for the token of the round, every half a millisecond
//! (the bar is for this one) or as fast as it can. A round: both answer from
//! memory; one node revokes, the two taking turns; and from the moment at which
//! that returns it is measured when the other node accepts the token last.
//! `--rounds N` sets another number than 1 000.
//!
//! The same for a suspension, for a token that its holder ends, and for one that a secret
//! scanner reports, with paced readers: these must be heard of within the staleness
//! bound.

mod nodes {
    pub(crate) mod holder;
    pub(crate) mod node;
    pub(crate) mod reader;
    pub(crate) mod rounds;
}
mod support {
    pub(crate) mod arguments;
    pub(crate) mod statistics;
}
#[expect(dead_code, reason = "no test runs here")]
#[path = "../tests/support/postgres.rs"]
mod postgres;
#[expect(dead_code, reason = "no test runs here")]
#[path = "../tests/support/redis.rs"]
mod redis_server;
#[path = "../tests/support/server.rs"]
mod server;

use std::sync::Arc;
use std::time::Duration;

use tower_api_token::store::AccountStore;

use self::nodes::node::{Change, Node};
use self::nodes::reader::Pace;
use self::nodes::rounds::{Late, head, measure};
use self::support::arguments::argument;

/// The bar for the 99th percentile of revocations.
const BAR: Duration = Duration::from_millis(10);

/// The staleness bound of these caches, in which every change is heard of.
const BOUND: Duration = Duration::from_secs(5);

/// What a revocation and the latest of the other changes took.
type Took = (Duration, Duration);

fn main() {
    let rounds = argument("--rounds", 1_000);
    head();
    let (on_postgres, others_on_postgres) = postgres(rounds);
    let (on_redis, others_on_redis) = redis(rounds);
    let others = others_on_postgres.max(others_on_redis);
    let kept = on_postgres.max(on_redis) < BAR && others < BOUND;
    println!(
        "\nrevocation p99: {:.2} ms on PostgreSQL, {:.2} ms on Redis; bar {} ms; the latest of \
         the other changes: {:.2} ms, bound {} s: {}",
        on_postgres.as_secs_f64() * 1e3,
        on_redis.as_secs_f64() * 1e3,
        BAR.as_millis(),
        others.as_secs_f64() * 1e3,
        BOUND.as_secs(),
        if kept { "kept" } else { "not kept" }
    );
}

fn postgres(rounds: usize) -> Took {
    let server = postgres::Server::start(&[]);
    let set_up = tokio::runtime::Runtime::new().expect("a runtime");
    let database = set_up.block_on(async {
        let database = server.database().await;
        database.store().await;
        database
    });
    let node = || Node::start(async { Arc::new(database.unmigrated()) as Arc<dyn AccountStore> });
    all("PostgreSQL", &[node(), node()], rounds)
}

fn redis(rounds: usize) -> Took {
    let server = redis_server::Server::start(&redis_server::DURABLE);
    let deployment = server.deployment();
    let set_up = tokio::runtime::Runtime::new().expect("a runtime");
    set_up.block_on(deployment.store());
    let node =
        || Node::start(async { Arc::new(deployment.opened().await) as Arc<dyn AccountStore> });
    all("Redis", &[node(), node()], rounds)
}

/// Revocations with paced readers, whose 99th percentile it gives, and with saturating
/// ones; and the other changes.
fn all(store: &str, nodes: &[Node; 2], rounds: usize) -> Took {
    let paced = Pace::Every(Duration::from_micros(500));
    let Late { p99, .. } = measure(store, Change::RevokeAll, nodes, paced, rounds);
    measure(store, Change::RevokeAll, nodes, Pace::Saturating, rounds);
    let others = [Change::Suspend, Change::Holder, Change::Leak];
    let latest = others.map(|change| measure(store, change, nodes, paced, rounds).most);
    (p99, latest.into_iter().max().unwrap_or_default())
}
