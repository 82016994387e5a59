//! The guide's API over a table of keys, and the same keys moved and rotated.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use sha2::{Digest, Sha256};
use tower::ServiceExt;
use tower_api_token::Tokens;
use tower_api_token::manage::{Confirmation, Delivery, Guard};
use tower_api_token::token::TokenId;
use tower_api_token::user::{Actor, UserId};

use crate::postgres::{Database, Server};
use crate::server::free_address;

#[path = "../../../examples/guide/own_tokens.rs"]
mod table;

use table::{ApiKeys, TABLE, app, move_into, moved_app, scheme};

/// Keys of one owner: one that may read invoices, and one that may not.
const KEYS: [(&str, &str, &str); 2] = [
    ("ci", "3f2b8c1e9d7a4650b1c2d3e4f5a69788", "{invoices:read}"),
    ("billing", "70c4a2e1b3d84f5f9e6a1b0c8d7e6f52", "{orders:read}"),
];

async fn keys() -> (Database, ApiKeys) {
    let database = Server::shared().database().await;
    let client = database.client().await;
    let table = format!("DROP TABLE IF EXISTS api_keys; {TABLE}");
    client.batch_execute(&table).await.unwrap();
    for (name, key, scopes) in KEYS {
        let insert = "INSERT INTO api_keys (owner, name, sha256, read_only, scopes)
            VALUES ('acme', $1, $2, true, $3::text::text[])";
        let sha256 = Sha256::digest(key).to_vec();
        client.execute(insert, &[&name, &sha256, &scopes]).await.unwrap();
    }
    let keys = ApiKeys(database.pool(4));
    (database, keys)
}

async fn status(app: &Router, method: &str, key: &str) -> StatusCode {
    let request = Request::builder().method(method).uri("/invoices").header("x-api-key", key);
    app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status()
}

#[tokio::test]
async fn keys_of_a_hosts_own_table_pass_by_their_methods_and_scopes() {
    let (database, keys) = keys().await;
    let app = app(keys);
    let [reader, other] = KEYS.map(|(_, key, _)| key);
    assert_eq!(status(&app, "GET", reader).await, StatusCode::OK);
    assert_eq!(status(&app, "POST", reader).await, StatusCode::FORBIDDEN, "it is read-only");
    assert_eq!(status(&app, "GET", other).await, StatusCode::FORBIDDEN, "it lacks the scope");
    assert_eq!(status(&app, "GET", "nobodys-key").await, StatusCode::UNAUTHORIZED);

    let revoke = "DELETE FROM api_keys WHERE name = 'ci'";
    database.client().await.execute(revoke, &[]).await.unwrap();
    assert_eq!(status(&app, "GET", reader).await, StatusCode::UNAUTHORIZED);
    database.client().await.batch_execute("DROP TABLE api_keys").await.unwrap();
    assert_eq!(status(&app, "GET", other).await, StatusCode::SERVICE_UNAVAILABLE);
    let gone = self::app(ApiKeys(database.through(free_address()).pool(1)));
    assert_eq!(status(&gone, "GET", other).await, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn the_same_keys_go_on_working_where_they_were_moved_and_can_be_rotated() {
    let (database, keys) = keys().await;
    let store = database.store().await;
    let builder = Tokens::builder(store).scheme(scheme()).confirmation(Confirmation::ByCaller);
    let tokens = builder.build().await.unwrap();
    let manager = tokens.manager();
    for _ in 0..2 {
        assert_eq!(move_into(&manager, &keys).await.unwrap(), KEYS.len());
    }
    let has = |user: &UserId, scope: &str| user.as_str() == "acme/ci" && scope == "invoices:read";
    let app = moved_app(tokens.layer(), has);
    let [former, other] = KEYS.map(|(_, key, _)| key);
    assert_eq!(status(&app, "GET", former).await, StatusCode::OK);
    assert_eq!(status(&app, "GET", other).await, StatusCode::FORBIDDEN, "it lacks the scope");

    let user = UserId::new("acme/ci").unwrap();
    let next = manager.generate_primary(&Actor::User, &user).await.unwrap();
    let Delivery::ToCaller(code) = next.delivery else { panic!("the code is the caller's") };
    manager.confirm(&Actor::User, &user, &code).await.unwrap();
    let next = next.token.expose_secret();
    for key in [former, next] {
        assert_eq!(status(&app, "GET", key).await, StatusCode::OK, "both work");
    }
    let first = TokenId::from_u64(1);
    manager.delete_backup(&Actor::User, &user, first, Guard::EvenIfInUse).await.unwrap();
    assert_eq!(status(&app, "GET", former).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&app, "GET", next).await, StatusCode::OK);
    tokens.close().await.unwrap();
}
