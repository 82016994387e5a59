//! Flushes of last uses.

use std::sync::Arc;

use tower_api_token::authenticate::Authenticator;
use tower_api_token::usage::UsageRecorder;

use super::recorded::Recorded;
use super::uses::{Store, Writing};
use super::world::{World, bearer};

const FLUSHES: &str = "tower_api_token_usage_flush_size_count";
const TOKENS: &str = "tower_api_token_usage_flush_size_sum";
const ERRORS: &str = "tower_api_token_usage_flush_errors_total";

/// A recorder that has noted a use of one token, and its store.
async fn used() -> (UsageRecorder, Arc<Store>) {
    let world = World::new().await;
    let token = world.user("alice").await;
    let store = Store::of(world.account("alice").await);
    let usage = UsageRecorder::new(Arc::clone(&store));
    let layer = Authenticator::new(Arc::clone(&store)).usage(usage.clone());
    let request = http::Request::get("/").header("authorization", bearer(&token));
    let mut request = request.body(()).unwrap().into_parts().0;
    layer.authenticate(&mut request).await.unwrap();
    (usage, store)
}

/// A flush that fails.
pub(crate) async fn fail() {
    let (usage, store) = used().await;
    store.set(Writing::Fails);
    usage.flush().await.unwrap_err();
}

#[tokio::test]
async fn a_flush_tells_its_size_and_whether_it_failed() {
    let recorded = Recorded::start();
    let (usage, store) = used().await;
    store.set(Writing::Fails);
    usage.flush().await.unwrap_err();
    assert_eq!((recorded.value(FLUSHES), recorded.value(ERRORS)), (0.0, 1.0));
    store.set(Writing::Works);
    usage.flush().await.unwrap();
    let told = (recorded.value(FLUSHES), recorded.value(TOKENS), recorded.value(ERRORS));
    assert_eq!(told, (1.0, 1.0, 1.0));
    // One with nothing to write is none.
    usage.flush().await.unwrap();
    assert_eq!(recorded.value(FLUSHES), 1.0);
}

#[tokio::test]
async fn a_flush_hands_on_what_requests_have_counted() {
    let recorded = Recorded::start();
    let world = World::new().await;
    let token = world.user("alice").await;
    super::world::send(&world.layer(), "GET", &bearer(&token)).await;
    let passed = "tower_api_token_decisions_total{outcome=\"pass\",slot=\"primary\"}";
    assert!(recorded.handed_on().contains(&format!("{passed} 0\n")));
    world.usage.flush().await.unwrap();
    assert!(recorded.handed_on().contains(&format!("{passed} 1\n")));
}
