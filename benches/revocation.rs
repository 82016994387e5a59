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

mod nodes {
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

use self::nodes::node::Node;
use self::nodes::reader::Pace;
use self::nodes::rounds::{head, measure};
use self::support::arguments::argument;

/// The bar for the 99th percentile.
const BAR: Duration = Duration::from_millis(10);

fn main() {
    let rounds = argument("--rounds", 1_000);
    head();
    let on_postgres = postgres(rounds);
    let on_redis = redis(rounds);
    let kept = on_postgres.max(on_redis) < BAR;
    println!(
        "\nrevocation p99: {:.2} ms on PostgreSQL, {:.2} ms on Redis; bar {} ms: {}",
        on_postgres.as_secs_f64() * 1e3,
        on_redis.as_secs_f64() * 1e3,
        BAR.as_millis(),
        if kept { "kept" } else { "not kept" }
    );
}

fn postgres(rounds: usize) -> Duration {
    let server = postgres::Server::start(&[]);
    let set_up = tokio::runtime::Runtime::new().expect("a runtime");
    let database = set_up.block_on(async {
        let database = server.database().await;
        database.store().await;
        database
    });
    let node = || Node::start(async { Arc::new(database.unmigrated()) as Arc<dyn AccountStore> });
    both("PostgreSQL", &[node(), node()], rounds)
}

fn redis(rounds: usize) -> Duration {
    let server = redis_server::Server::start(&redis_server::DURABLE);
    let deployment = server.deployment();
    let set_up = tokio::runtime::Runtime::new().expect("a runtime");
    set_up.block_on(deployment.store());
    let node =
        || Node::start(async { Arc::new(deployment.opened().await) as Arc<dyn AccountStore> });
    both("Redis", &[node(), node()], rounds)
}

/// With paced readers, whose 99th percentile it gives, and with saturating
/// ones.
fn both(store: &str, nodes: &[Node; 2], rounds: usize) -> Duration {
    let paced = measure(store, nodes, Pace::Every(Duration::from_micros(500)), rounds);
    measure(store, nodes, Pace::Saturating, rounds);
    paced
}
