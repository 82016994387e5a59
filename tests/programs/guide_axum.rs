//! The program of the guide's page on axum, request by request.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;
use tower_api_token::Tokens;
use tower_api_token::token::Token;

#[expect(dead_code, reason = "nothing is served here")]
#[path = "../../examples/guide/axum_api.rs"]
mod axum_api;

/// What the program makes of its store at a start, and the administrator's token if
/// this start has made it.
async fn start(directory: &tempfile::TempDir) -> (Tokens, Router, Option<Token>) {
    let file = directory.path().join("tokens.db");
    let tokens = axum_api::open(file.to_str().unwrap()).await.unwrap();
    let token = axum_api::first_administrator(&tokens.manager()).await.unwrap();
    let app = axum_api::app(&tokens);
    (tokens, app, token)
}

async fn ask(app: &Router, method: &str, path: &str, token: &str, body: &str) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.header("content-type", "application/json").header("origin", "https://x");
    let request = request.body(Body::from(body.to_owned())).unwrap();
    app.clone().oneshot(request).await.unwrap()
}

async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_second_start_finds_what_the_first_has_made_and_makes_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let (first, _, token) = start(&directory).await;
    let token = token.expect("the first start makes it");
    first.close().await.unwrap();
    let (second, app, none) = start(&directory).await;
    assert!(none.is_none(), "a later start makes none");
    let items = ask(&app, "GET", "/api/items", token.expose_secret(), "").await;
    assert_eq!(items.status(), StatusCode::OK);
    second.close().await.unwrap();
}

#[tokio::test]
async fn an_administrator_grants_and_rotates_and_nobody_else_does() {
    let directory = tempfile::tempdir().unwrap();
    let (_tokens, app, token) = start(&directory).await;
    let token = token.unwrap();
    let admin = token.expose_secret();
    for _ in 0..2 {
        let path = "/api/admin/users/robot/methods";
        let granted = ask(&app, "PUT", path, admin, r#"["GET", "PUT", "POST"]"#).await;
        assert_eq!(granted.status(), StatusCode::OK, "PUT is idempotent");
    }
    let wrong = ask(&app, "PUT", "/api/admin/users/robot/methods", admin, r#"["get"]"#).await;
    assert_eq!(wrong.status(), StatusCode::UNPROCESSABLE_ENTITY);

    let made = ask(&app, "POST", "/api/admin/users/robot/generate", admin, "").await;
    assert_eq!(
        (made.status(), &made.headers()["cache-control"]),
        (StatusCode::OK, &"no-store".parse().unwrap())
    );
    let made: Value = serde_json::from_str(&text(made).await).unwrap();
    let [robot, code] = ["token", "code"].map(|key| made[key].as_str().unwrap());
    let early = ask(&app, "GET", "/api/items", robot, "").await;
    assert_eq!(early.status(), StatusCode::UNAUTHORIZED, "it is pending");
    let confirmed = ask(&app, "POST", "/api/admin/users/robot/confirm", admin, code).await;
    assert_eq!(confirmed.status(), StatusCode::OK);
    let items = ask(&app, "GET", "/api/items", robot, "").await;
    assert_eq!(text(items).await, r#"{"items":[],"user":"robot"}"#);

    let refused = ask(&app, "PUT", "/api/admin/users/robot/methods", robot, "[]").await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN, "it may PUT, and is no administrator");
    let unknown = ask(&app, "POST", "/api/admin/users/robot/confirm", admin, "tac_x").await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert_eq!(unknown.headers()["content-type"], "application/problem+json");
}

#[tokio::test]
async fn denials_are_seen_by_browsers_and_health_needs_no_token() {
    let directory = tempfile::tempdir().unwrap();
    let (_tokens, app, _) = start(&directory).await;
    let denied = ask(&app, "GET", "/api/items", "", "").await;
    assert_eq!(denied.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(denied.headers()["access-control-allow-origin"], "*");
    assert_eq!(ask(&app, "GET", "/health", "", "").await.status(), StatusCode::OK);
    assert_eq!(ask(&app, "GET", "/api/nothing", "", "").await.status(), StatusCode::NOT_FOUND);
    let preflight = Request::builder().method("OPTIONS").uri("/api/items");
    let preflight = preflight.header("origin", "https://x");
    let preflight = preflight.header("access-control-request-method", "GET");
    let answer = app.clone().oneshot(preflight.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "the CORS layer answers it");
}
