//! How long a store takes, and how often it fails.

use std::sync::Arc;
use std::time::Duration;

use tower_api_token::store::{
    AccountStore, ChangeFeed, Erasure, LastUses, MemoryStore, StoreErrorKind, TokenStore,
    WithMetrics, WithTimeout,
};
use tower_api_token::token::{PepperCheck, PepperVersion};
use tower_api_token::user::Actor;

use super::link::{Fate, Link};
use super::recorded::Recorded;
use super::sample::{change, digest, holder, user};

const ERRORS: &str = "tower_api_token_store_errors_total";

const KINDS: [&str; 6] =
    ["conflict", "corrupt", "unavailable", "not_set_up", "newer_schema", "refused"];

fn measured() -> (WithMetrics<Link>, Link) {
    let link = Link::to(Arc::new(MemoryStore::new()));
    (WithMetrics::new(link.clone()), link)
}

fn calls(recorded: &Recorded, operation: &str) -> f64 {
    recorded.value(&format!("tower_api_token_store_seconds_count{{operation=\"{operation}\"}}"))
}

fn seconds(recorded: &Recorded, operation: &str) -> f64 {
    recorded.value(&format!("tower_api_token_store_seconds_sum{{operation=\"{operation}\"}}"))
}

#[tokio::test]
async fn every_call_is_measured_under_its_own_name() {
    let recorded = Recorded::start();
    let (store, _) = measured();
    store.replace(change(holder("alice", 1, 1))).await.unwrap();
    store.find(&digest(1)).await.unwrap();
    store.find(&digest(2)).await.unwrap();
    store.load(&user("alice")).await.unwrap();
    store.replace_many(vec![change(holder("bob", 1, 2))]).await.unwrap();
    store.list(None, Default::default()).await.unwrap();
    store.record_usage(&[]).await.unwrap();
    store.usage(&user("alice")).await.unwrap();
    store.history(&user("alice"), None, Default::default()).await.unwrap();
    store.changes().await.unwrap();
    store.heartbeat(1).await.unwrap();
    store.pepper_versions().await.unwrap();
    store.prefixes().await.unwrap();
    store.pepper_checks().await.unwrap();
    let (version, check) = (PepperVersion::from_u16(1), PepperCheck::from_bytes([1; 32]));
    store.keep_pepper_check(version, check).await.unwrap();
    store.erase(Erasure::new(holder("bob", 1, 2), Default::default(), Actor::User)).await.unwrap();
    assert_eq!(calls(&recorded, "find"), 2.0);
    for operation in [
        "load",
        "replace",
        "replace_many",
        "list",
        "record_usage",
        "usage",
        "history",
        "changes",
        "heartbeat",
        "pepper_versions",
        "prefixes",
        "pepper_checks",
        "keep_pepper_check",
        "erase",
    ] {
        assert_eq!(calls(&recorded, operation), 1.0, "{operation}");
        // There before the first failure, so that it shows as a rise.
        for kind in KINDS {
            let labels = format!("operation=\"{operation}\",kind=\"{kind}\"");
            let errors = format!("{ERRORS}{{{labels}}}");
            assert_eq!(recorded.series().get(&errors), Some(&0.0), "{errors}");
        }
    }
    assert_eq!(recorded.risen(ERRORS), []);
}

#[tokio::test]
async fn a_slow_call_shows_as_slow() {
    const SLOW: Duration = Duration::from_millis(40);
    let recorded = Recorded::start();
    let (store, link) = measured();
    let digest = digest(1);
    store.find(&digest).await.unwrap();
    link.hold(true);
    let begun = std::time::Instant::now();
    let release = async {
        tokio::time::sleep(SLOW).await;
        link.hold(false);
    };
    let (found, ()) = tokio::join!(store.find(&digest), release);
    found.unwrap();
    let (told, most) = (seconds(&recorded, "find"), begun.elapsed().as_secs_f64() * 1.25 + 1.0);
    assert!(told >= SLOW.as_secs_f64() && told < most, "{told}");
    assert_eq!(calls(&recorded, "find"), 2.0);
}

#[tokio::test]
async fn failures_are_counted_by_kind() {
    let recorded = Recorded::start();
    let (store, link) = measured();
    store.replace(change(holder("alice", 1, 1))).await.unwrap();
    let conflict = store.replace(change(holder("alice", 1, 1))).await.unwrap_err();
    assert_eq!(conflict.kind(), StoreErrorKind::Conflict);
    link.finds_fare(Fate::Fails);
    for _ in 0..3 {
        store.find(&digest(1)).await.unwrap_err();
    }
    let expected =
        [("kind=unavailable,operation=find", 3.0), ("kind=conflict,operation=replace", 1.0)];
    let mut counted: Vec<_> = recorded
        .risen(ERRORS)
        .into_iter()
        .map(|(labels, count)| {
            let mut labels: Vec<_> = labels.split(',').collect();
            labels.sort_unstable();
            (labels.join(","), count)
        })
        .collect();
    counted.sort_by(|one, other| other.0.cmp(&one.0));
    assert_eq!(counted, expected.map(|(labels, count)| (labels.to_owned(), count)));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_counts_as_failed() {
    let recorded = Recorded::start();
    let (_, link) = measured();
    let store = WithMetrics::new(WithTimeout::new(link.clone()));
    link.hold(true);
    store.find(&digest(1)).await.unwrap_err();
    let counted: f64 = recorded.risen(ERRORS).iter().map(|(_, count)| count).sum();
    assert_eq!((counted, calls(&recorded, "find")), (1.0, 1.0));
}

#[tokio::test]
async fn a_time_falls_into_the_ranges_of_the_recorder() {
    const RANGES: [f64; 3] = [0.0, 1e-9, 3_600.0];
    let recorded = Recorded::with_ranges(&RANGES);
    let (store, _) = measured();
    for _ in 0..3 {
        store.find(&digest(1)).await.unwrap();
    }
    let within = |range| {
        let labels = format!("operation=\"find\",le=\"{range}\"");
        recorded.value(&format!("tower_api_token_store_seconds_bucket{{{labels}}}"))
    };
    assert_eq!((within("0"), within("3600"), within("+Inf")), (0.0, 3.0, 3.0));
}
