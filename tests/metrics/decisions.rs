//! Decisions are counted by outcome and slot, under bounded labels.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use http::StatusCode;
use tower::ServiceExt;
use tower_api_token::TokenAuthLayer;
use tower_api_token::account::Account;
use tower_api_token::authenticate::Authenticator;
use tower_api_token::forward_auth::{ForwardAuth, Profile};
use tower_api_token::store::{StoreError, StoreErrorKind, TokenStore};
use tower_api_token::token::TokenDigest;

use super::recorded::Recorded;
use super::world::{World, bearer, send, stranger};

const DECISIONS: &str = "tower_api_token_decisions_total";

/// A store that fails in one way.
struct Failing(StoreErrorKind);

#[async_trait]
impl TokenStore for Failing {
    async fn find(&self, _: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        Err(StoreError::new(self.0, "failing as a test wants it"))
    }
}

#[tokio::test]
async fn each_outcome_is_counted_with_its_slot() {
    let recorded = Recorded::start();
    let world = World::new().await;
    let old = bearer(&world.user("alice").await);
    let new = bearer(&world.rotate("alice").await);
    let stranger = bearer(&stranger().await);
    let layer = world.layer();
    let cases = [
        (layer.clone(), "GET", &*new, StatusCode::OK, "outcome=pass,slot=primary"),
        (layer.clone(), "GET", &*old, StatusCode::OK, "outcome=pass,slot=backup"),
        (layer.clone().optional(true), "GET", "", StatusCode::OK, "outcome=pass,slot=none"),
        (
            layer.clone(),
            "GET",
            "",
            StatusCode::UNAUTHORIZED,
            "outcome=missing-credential,slot=none",
        ),
        (
            layer.clone(),
            "GET",
            "Bearer a b",
            StatusCode::BAD_REQUEST,
            "outcome=invalid-request,slot=none",
        ),
        (
            layer.clone(),
            "GET",
            &stranger,
            StatusCode::UNAUTHORIZED,
            "outcome=invalid-token,slot=none",
        ),
        (
            layer.clone(),
            "DELETE",
            &new,
            StatusCode::FORBIDDEN,
            "outcome=method-not-granted,slot=none",
        ),
        (
            layer.clone().also_require(|_, _| false),
            "GET",
            &new,
            StatusCode::FORBIDDEN,
            "outcome=privilege-missing,slot=none",
        ),
        (
            TokenAuthLayer::new(Failing(StoreErrorKind::Unavailable)),
            "GET",
            &new,
            StatusCode::SERVICE_UNAVAILABLE,
            "outcome=store-unavailable,slot=none",
        ),
        (
            TokenAuthLayer::new(Failing(StoreErrorKind::Corrupt)),
            "GET",
            &new,
            StatusCode::INTERNAL_SERVER_ERROR,
            "outcome=internal-error,slot=none",
        ),
    ];
    let mut expected = Vec::new();
    for (number, (layer, method, credential, status, labels)) in cases.into_iter().enumerate() {
        for _ in 0..=number {
            assert_eq!(send(&layer, method, credential).await, status, "{labels}");
        }
        expected.push((labels.to_owned(), (number + 1) as f64));
    }
    expected.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(recorded.risen(DECISIONS), expected);
}

#[tokio::test]
async fn the_services_for_gateways_and_the_bare_decision_count_too() {
    let recorded = Recorded::start();
    let world = World::new().await;
    let token = bearer(&world.user("alice").await);
    let authenticator = Authenticator::new(Arc::clone(&world.store));
    let request = |credential: &str| {
        let request = http::Request::get("/").header("authorization", credential);
        request.header("x-forwarded-method", "GET").body(()).unwrap()
    };
    let gateway = ForwardAuth::with_authenticator(authenticator.clone(), Profile::ForwardedMethod);
    for (credential, times) in [(&*token, 2), ("Bearer none", 3)] {
        for _ in 0..times {
            gateway.clone().oneshot(request(credential)).await.unwrap();
            let mut parts = request(credential).into_parts().0;
            let _ = authenticator.authenticate(&mut parts).await;
        }
    }
    let counted = recorded.risen(DECISIONS);
    let expected = [("outcome=invalid-token,slot=none", 6.0), ("outcome=pass,slot=primary", 4.0)];
    assert_eq!(counted, expected.map(|(labels, count)| (labels.to_owned(), count)));
}

#[tokio::test]
async fn what_many_threads_count_is_told_once() {
    let recorded = Recorded::start();
    let world = World::new().await;
    let token = bearer(&world.user("alice").await);
    let layer = world.layer();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let requests = async {
                    for _ in 0..500 {
                        assert_eq!(send(&layer, "GET", &token).await, StatusCode::OK);
                    }
                };
                tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(requests);
            });
        }
    });
    for _ in 0..2 {
        let counted = recorded.risen(DECISIONS);
        assert_eq!(counted, [("outcome=pass,slot=primary".to_owned(), 2_000.0)]);
    }
}

#[tokio::test]
async fn log_014_no_client_can_make_labels_grow() {
    const CLIENTS: usize = 300;
    let recorded = Recorded::start();
    let world = World::new().await;
    let (layer, stranger) = (world.layer(), bearer(&stranger().await));
    let (mut names, mut first) = (BTreeSet::new(), BTreeSet::new());
    for number in 0..CLIENTS {
        let user = format!("user-{number}-of-log-014");
        let token = world.user(&user).await;
        // A method of its own for each client, the longest of 5 000 bytes.
        let method = format!("M{number}X{}", "A".repeat(number * 5_000 / CLIENTS));
        assert_eq!(send(&layer, "GET", &bearer(&token)).await, StatusCode::OK);
        assert_eq!(send(&layer, &method, &bearer(&token)).await, StatusCode::FORBIDDEN);
        assert_eq!(send(&layer, &method, &stranger).await, StatusCode::UNAUTHORIZED);
        names.extend([user, method, token.expose_secret().to_owned()]);
        if number == 0 {
            world.usage.flush().await.unwrap();
            first = recorded.series().into_keys().collect();
        }
    }
    world.usage.flush().await.unwrap();
    let (page, series) = (recorded.page(), recorded.series());
    assert!(names.iter().all(|name| !page.contains(name)), "{page}");
    let decisions: f64 = recorded.risen(DECISIONS).iter().map(|(_, count)| count).sum();
    assert_eq!(decisions, 3.0 * CLIENTS as f64);
    let granted = recorded.value("tower_api_token_events_total{event=\"access_granted\"}");
    assert_eq!(granted, (CLIENTS + 1) as f64);
    let more: Vec<_> = series.keys().filter(|name| !first.contains(*name)).collect();
    assert!(more.is_empty(), "{more:#?}");
    // Those of stores are there if another test has measured one.
    let of_requests = series.keys().filter(|name| !name.starts_with("tower_api_token_store"));
    assert!(of_requests.count() < 50, "{} series: {series:#?}", series.len());
}
