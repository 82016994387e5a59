//! Every measurement is documented where users look, and described to the
//! recorder.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use tower_api_token::Tokens;
use tower_api_token::account::Lifetimes;
use tower_api_token::delivery::{DeliveryError, Receiver};
use tower_api_token::manage::{Confirmation, Delivery};
use tower_api_token::method::MethodSet;
use tower_api_token::store::{
    AccountStore, AuditItem, AuditPosition, MemoryStore, TokenStore, WithMetrics,
};
use tower_api_token::user::{Actor, UserId};

use super::node::{TERM, World as Nodes, pass};
use super::recorded::Recorded;
use super::sample::{digest, holder};
use super::world::{World, bearer, send};

/// The rows of a table of measurements: name, type, labels.
fn rows(file: &str) -> BTreeMap<String, (String, String)> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let lines = text.lines().map(|line| line.trim_start_matches("//!").trim());
    let rows = lines.filter_map(|line| line.strip_prefix("| `tower_api_token_"));
    let cells = |row: &str| {
        let cells: Vec<_> =
            row.split('|').map(|cell| cell.replace('`', "").trim().to_owned()).collect();
        (cells[0].clone(), (cells[1].clone(), cells[2].clone()))
    };
    rows.map(cells).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_emitted_is_what_is_documented() {
    let recorded = Recorded::start();
    everything().await;
    let page = recorded.page();
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE tower_api_token_"));
    // The recorder shows a histogram without set ranges as a summary.
    let typed = types.map(|line| line.split_once(' ').unwrap());
    let typed: BTreeMap<_, _> =
        typed.map(|(name, kind)| (name, kind.replace("summary", "histogram"))).collect();
    for file in ["src/telemetry/metrics.rs", "src/guide/operating.md"] {
        let rows = rows(file);
        let documented: BTreeMap<_, _> =
            rows.iter().map(|(name, (kind, _))| (&**name, kind.clone())).collect();
        assert_eq!(documented, typed, "{file}");
        for (name, (_, labels)) in &rows {
            assert_eq!(&emitted_labels(&page, name), labels, "{name} in {file}");
        }
    }
    let helped = page.lines().filter(|line| line.starts_with("# HELP tower_api_token_")).count();
    assert_eq!(helped, typed.len(), "{page}");
}

/// The names of the labels of a measurement, beside the recorder's own.
fn emitted_labels(page: &str, name: &str) -> String {
    let series = page.lines().find(|line| {
        let rest = line.strip_prefix("tower_api_token_").and_then(|line| line.strip_prefix(name));
        rest.is_some_and(|rest| rest.starts_with([' ', '{']) || rest.starts_with("_sum"))
    });
    let series = series.unwrap_or_else(|| panic!("{name} is not there:\n{page}"));
    let labels = series.split_once('{').map_or("", |(_, labels)| labels);
    let names = labels.split(',').filter_map(|label| label.split_once('='));
    let names = names.map(|(name, _)| name).filter(|name| *name != "quantile");
    names.collect::<Vec<_>>().join(", ")
}

/// Causes each measurement once at least.
pub(crate) async fn everything() {
    let world = World::new().await;
    let token = world.user("alice").await;
    assert_eq!(send(&world.layer(), "GET", &bearer(&token)).await, StatusCode::OK);
    world.usage.flush().await.unwrap();
    let nodes = Nodes::default();
    nodes.insert(holder("alice", 1, 1));
    let node = nodes.node().await;
    node.warm(1).await;
    pass(TERM).await;
    let store = WithMetrics::new(node.link.clone());
    store.find(&digest(1)).await.unwrap();
    node.link.finds_fare(super::link::Fate::Fails);
    store.find(&digest(1)).await.unwrap_err();
    super::flush::fail().await;
    deliver().await;
}

/// Takes everything.
struct Taker;

#[async_trait]
impl Receiver for Taker {
    async fn receive(&self, _: AuditPosition, _: &AuditItem) -> Result<(), DeliveryError> {
        Ok(())
    }
}

/// Delivers one entry of the log, and goes on until its lease was renewed.
async fn deliver() {
    let times = [Duration::from_millis(60), Duration::from_millis(5)];
    let store = Arc::new(MemoryStore::new());
    let tokens = Tokens::builder(Arc::clone(&store)).confirmation(Confirmation::ByCaller);
    let tokens = tokens.delivery_times(times[0], times[1]).deliver_to("taker", Taker);
    let tokens = tokens.build().await.unwrap();
    tokens.start();
    let root = Actor::administrator("root").unwrap();
    let log = store.audit_log().unwrap();
    while log.audit_cursors().await.unwrap().is_empty() {
        tokio::time::sleep(times[1]).await;
    }
    let (alice, methods) = (UserId::new("alice").unwrap(), MethodSet::new(["GET"]).unwrap());
    tokens.manager().grant(&root, &alice, methods).await.unwrap();
    while log.audit_cursors().await.unwrap()[0].position < log.audit_end().await.unwrap() {
        tokio::time::sleep(times[1]).await;
    }
    tokio::time::sleep(times[0]).await;
    tokens.close().await.unwrap();
}

#[tokio::test]
async fn users_are_counted_of_whom_a_token_ends_soon_or_who_have_a_backup() {
    const DAY: Duration = Duration::from_secs(86_400);

    let recorded = Recorded::start();
    let tokens = Tokens::builder(MemoryStore::new()).confirmation(Confirmation::ByCaller);
    let tokens = tokens.build().await.unwrap();
    let (manager, root) = (tokens.manager(), Actor::administrator("root").unwrap());
    let methods = MethodSet::new(["GET"]).unwrap();
    for (name, days) in [("alice", 1), ("bob", 6), ("carol", 29), ("dora", 31)] {
        let user = UserId::new(name).unwrap();
        let lifetimes = Lifetimes { token: Some(DAY * days), backup: None };
        manager.grant_with_lifetimes(&root, &user, methods.clone(), lifetimes).await.unwrap();
        manager.issue(&Actor::User, &user).await.unwrap();
    }
    let alice = UserId::new("alice").unwrap();
    let generated = manager.generate_primary(&Actor::User, &alice).await.unwrap();
    let Delivery::ToCaller(code) = generated.delivery else { panic!("nobody sends it") };
    manager.confirm(&Actor::User, &alice, &code).await.unwrap();
    tokens.start();
    let named = |within| format!("tower_api_token_users_ending{{within=\"{within}\"}}");
    while !recorded.series().contains_key(&named("1d")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokens.close().await.unwrap();
    let ending = ["1d", "7d", "30d"].map(|within| recorded.value(&named(within)));
    assert_eq!(ending, [1.0, 2.0, 3.0]);
    assert_eq!(recorded.value("tower_api_token_users_on_backup"), 1.0);
}

/// A counter that is born with its first rise shows none to whoever looks at how
/// counters rise.
#[tokio::test]
async fn counters_are_there_before_anything_has_happened() {
    let recorded = Recorded::start();
    let named = |name: &str, label: &str| {
        let start = format!("{name}{{{label}=\"");
        let series = recorded.handed_on();
        let rows = series.lines().filter_map(|line| line.strip_prefix(&start)?.split_once('"'));
        let rows = rows.inspect(|(value, rest)| assert!(rest.ends_with(" 0"), "{value}{rest}"));
        rows.map(|(value, _)| value.to_owned()).collect::<std::collections::BTreeSet<_>>()
    };
    let outcomes = [
        "access-suspended",
        "internal-error",
        "invalid-request",
        "invalid-token",
        "method-not-granted",
        "missing-credential",
        "pass",
        "privilege-missing",
        "store-unavailable",
    ];
    let shown = named("tower_api_token_decisions_total", "outcome");
    assert!(shown.iter().eq(&outcomes), "{shown:?}");
    let events = named("tower_api_token_events_total", "event");
    assert_eq!(events.len(), 22, "{events:?}");
    let errors = "tower_api_token_usage_flush_errors_total";
    assert_eq!(recorded.series().get(errors), Some(&0.0));
}

/// The layer and the store are there before the recorder is.
#[tokio::test]
async fn a_recorder_that_is_installed_late_gets_everything() {
    let world = World::new().await;
    let (layer, token) = (world.layer(), bearer(&world.user("alice").await));
    let store = WithMetrics::new(std::sync::Arc::clone(&world.store));
    let recorded = Recorded::start();
    assert_eq!(send(&layer, "GET", &token).await, StatusCode::OK);
    store.find(&digest(1)).await.unwrap();
    let passed = recorded.risen("tower_api_token_decisions_total");
    assert_eq!(passed, [("outcome=pass,slot=primary".to_owned(), 1.0)]);
    let found = "tower_api_token_store_seconds_count{operation=\"find\"}";
    assert_eq!(recorded.value(found), 1.0);
    let failures = "tower_api_token_store_errors_total{operation=\"find\",kind=\"corrupt\"}";
    assert_eq!(recorded.series().get(failures), Some(&0.0));
}
