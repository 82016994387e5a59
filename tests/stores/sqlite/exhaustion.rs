//! Many more requests than there are connections to read with.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use futures_util::future::join_all;
use http::{Request, StatusCode};
use tower::ServiceExt;
use tower_api_token::TokenAuthLayer;
use tower_api_token::account::Account;
use tower_api_token::store::{AccountStore, SqliteOptions};
use tower_api_token::token::{Token, TokenScheme};

use super::support::{Place, account, step, token};

const REQUESTS: usize = 1_000;

/// Makes every look-up of a token take as long as counting to `count` does.
fn slow_down(connection: &rusqlite::Connection, count: u64) {
    let slow = format!(
        "ALTER TABLE digests RENAME TO fast;
         CREATE VIEW digests AS SELECT * FROM fast WHERE (
             WITH RECURSIVE counted(number) AS (
                 SELECT 1 UNION ALL SELECT number + 1 FROM counted LIMIT {count}
             ) SELECT count(*) FROM counted) > 0"
    );
    connection.execute_batch(&slow).unwrap();
}

async fn status(router: &Router, path: &str, token: &str) -> StatusCode {
    let credential = format!("Bearer {token}");
    let request = Request::get(path).header("authorization", credential);
    let request = request.body(axum::body::Body::empty()).unwrap();
    router.clone().oneshot(request).await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn store_003_a_thousand_slow_requests_are_503_and_the_health_check_answers() {
    let place = Place::new();
    let options = SqliteOptions::new().readers(1).busy_timeout(Duration::from_millis(500));
    let store = Arc::new(options.open(place.path()).unwrap());
    store.migrate().await.unwrap();
    let text = "tat_slowslowslowslowslowslowslowslowslow";
    let scheme = TokenScheme::default().accept_foreign_tokens(true);
    let mut record = token(1, 1);
    record.digest = scheme.digest(&Token::parse(text).unwrap());
    let alice = account("alice", 1, 1);
    let alice = Account::builder(alice.user().clone())
        .revision(alice.revision())
        .methods(alice.methods().clone())
        .primary(record);
    store.replace(step(alice.build().unwrap())).await.unwrap();
    let layer = TokenAuthLayer::new(Arc::clone(&store)).scheme(scheme);
    let router = Router::new()
        .route("/items", get(async || "items"))
        .layer(layer)
        .route("/health", get(async || "well"));
    assert_eq!(status(&router, "/items", text).await, 200);
    slow_down(&place.raw(), 300_000);
    let requests = (0..REQUESTS).map(|_| {
        let router = router.clone();
        tokio::spawn(async move { status(&router, "/items", text).await })
    });
    let requests: Vec<_> = requests.collect();
    let mut answers_meanwhile = 0;
    while !requests.iter().all(tokio::task::JoinHandle::is_finished) {
        assert_eq!(status(&router, "/health", "").await, 200);
        answers_meanwhile += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(answers_meanwhile > 0);
    let answers: Vec<_> = join_all(requests).await.into_iter().map(Result::unwrap).collect();
    let count = |status| answers.iter().filter(|answer| **answer == status).count();
    let (served, refused) = (count(StatusCode::OK), count(StatusCode::SERVICE_UNAVAILABLE));
    println!("{served} served, {refused} answered 503");
    assert_eq!(served + refused, REQUESTS);
    assert!(served > 0 && refused > 0);
    assert_eq!(status(&router, "/items", text).await, 200, "and then it goes on");
}
