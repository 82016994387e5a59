//! What is due about a thousand of a million accounts, and what requests notice of it.
//!
//! ```sh
//! cargo bench --bench due --all-features
//! ```
//!
//! `--rows N`, `--due N` and `--rounds N` set others than 1 000 000 accounts, 1 000 of
//! them due in each of 9 rounds. Of the others every second one has a token whose end is
//! due some time.
//!
//! A round asks for the accounts that are due, and (the first three rounds) for the same
//! without the index, by reading all accounts through. Then a reader looks tokens up at
//! random while nothing else happens, while the pass does what is due, and once more
//! while nothing happens. What counts is the 99th percentile of its look-ups during the
//! pass to the mean of the two without, as the median of the rounds' own ratios. A round
//! whose two turns without the pass differ by more than a fifth is dropped: the machine
//! was busy.

mod due_pass {
    pub(crate) mod accounts;
    pub(crate) mod reader;
    pub(crate) mod rounds;
}
mod support {
    pub(crate) mod arguments;
    pub(crate) mod spread;
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

use std::time::Duration;

use tokio::runtime::Runtime;
use tower_api_token::store::{MemoryStore, PostgresStore, SqliteStore};

use self::due_pass::accounts::Accounts;
use self::due_pass::rounds::{head, measure};
use self::support::arguments::argument;

/// The bar for the 99th percentile during the pass over that without.
const BAR: f64 = 1.2;

/// Connections to PostgreSQL.
const CONNECTIONS: usize = 16;

/// How long the reader of a store that waits sleeps after each look-up.
const PAUSE: Duration = Duration::from_micros(200);

fn main() {
    let rounds = argument("--rounds", 9);
    let accounts = Accounts {
        rows: argument("--rows", 1_000_000),
        due: argument("--due", 1_000),
        batches: rounds + 1,
    };
    let runtime = Runtime::new().expect("a runtime");
    println!("{} accounts, of which {} are due\n", accounts.rows, accounts.due);
    head();
    let ratios = [
        ("in memory", memory(&runtime, &accounts)),
        ("on SQLite", sqlite(&runtime, &accounts)),
        ("on PostgreSQL", postgres(&runtime, &accounts)),
        ("on Redis", redis(&runtime, &accounts)),
    ];
    let told = ratios.map(|(store, ratio)| match ratio {
        Some(ratio) => format!("{ratio:.2} {store}"),
        None => format!("not measured {store} (busy)"),
    });
    let kept = match ratios.map(|(_, ratio)| ratio.map(|ratio| ratio <= BAR)) {
        kept if kept.contains(&Some(false)) => "not kept",
        kept if kept.contains(&None) => "not decided",
        _ => "kept",
    };
    println!("\ndue p99 ratio: {}; bar {BAR}: {kept}", told.join(", "));
}

/// Whose look-ups take so little that a reader that sleeps would see nothing.
fn memory(runtime: &Runtime, accounts: &Accounts) -> Option<f64> {
    measure(runtime, "memory", MemoryStore::new(), accounts, Duration::ZERO)
}

fn sqlite(runtime: &Runtime, accounts: &Accounts) -> Option<f64> {
    let directory = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(directory.path().join("tokens.db")).expect("the file");
    runtime.block_on(store.migrate()).expect("the tables");
    measure(runtime, "SQLite", store, accounts, PAUSE)
}

fn postgres(runtime: &Runtime, accounts: &Accounts) -> Option<f64> {
    let server = postgres::Server::start(&[]);
    let _inside = runtime.enter();
    let database = runtime.block_on(server.database());
    let store = PostgresStore::new(database.pool(CONNECTIONS));
    let store = store.listen_with(database.config.clone(), tokio_postgres::NoTls);
    runtime.block_on(store.migrate()).expect("the tables");
    measure(runtime, "PostgreSQL", store, accounts, PAUSE)
}

fn redis(runtime: &Runtime, accounts: &Accounts) -> Option<f64> {
    let server = redis_server::Server::start(&redis_server::DURABLE);
    let deployment = server.deployment();
    let _inside = runtime.enter();
    let store = runtime.block_on(deployment.store());
    measure(runtime, "Redis", store, accounts, PAUSE)
}
