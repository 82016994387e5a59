//! What an axum handler is given, and what the layer sees in nested routers.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::routing::get;
use http_body_util::BodyExt;
use tower::ServiceExt;
use tower_api_token::account::{Account, TokenRecord};
use tower_api_token::denial::{Denial, DenialKind};
use tower_api_token::manage::{Confirmation, Problem};
use tower_api_token::method::MethodSet;
use tower_api_token::store::{MemoryStore, StoreError, TokenStore};
use tower_api_token::time::Timestamp;
use tower_api_token::token::{Token, TokenDigest, TokenHint, TokenId, TokenScheme};
use tower_api_token::usage::UsageRecorder;
use tower_api_token::user::{Actor, UserId};
use tower_api_token::{Identity, TokenAuthLayer, TokenManager};

use crate::generated;

async fn must(identity: Identity) -> String {
    identity.user().to_string()
}

async fn may(identity: Option<Identity>) -> String {
    identity.map_or_else(|| "nobody".to_owned(), |identity| identity.user().to_string())
}

fn routes() -> Router {
    Router::new().route("/must", get(must)).route("/may", get(may))
}

fn layer(token: &str) -> TokenAuthLayer {
    let digest = TokenScheme::default().digest(&Token::parse(token).unwrap());
    let (id, hint, made_at) = (TokenId::from_u64(1), TokenHint::unknown(), Timestamp::default());
    let alice = Account::builder(UserId::new("alice").unwrap())
        .methods(MethodSet::new(["GET"]).unwrap())
        .primary(TokenRecord::new(id, digest, hint, made_at));
    let store = MemoryStore::new();
    store.insert(alice.build().unwrap()).unwrap();
    TokenAuthLayer::new(store)
}

/// A host's own key table, which knows scopes.
struct Keys(UserId, TokenRecord);

struct Scopes(&'static [&'static str]);

#[async_trait::async_trait]
impl TokenStore for Keys {
    async fn find(&self, _: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        let account = Account::builder(self.0.clone())
            .methods(MethodSet::new(["GET"]).unwrap())
            .primary(self.1.clone())
            .extension(Arc::new(Scopes(&["orders:read"])));
        Ok(Some(Arc::new(account.build().unwrap())))
    }
}

#[tokio::test]
async fn scopes_of_a_hosts_own_store_reach_the_handler_and_the_hosts_own_check() {
    async fn scopes(identity: Identity) -> String {
        assert!(identity.extension::<String>().is_none(), "of another type");
        assert!(!format!("{identity:?}").contains("orders"), "Debug shows no value");
        identity.extension::<Scopes>().unwrap().0.join(" ")
    }
    let token = generated::token("tat");
    let digest = TokenScheme::default().digest(&Token::parse(&token).unwrap());
    let (id, made_at) = (TokenId::from_u64(1), Timestamp::default());
    let record = TokenRecord::new(id, digest, TokenHint::unknown(), made_at);
    let keys = Arc::new(Keys(UserId::new("alice").unwrap(), record));
    let ask_with = |scope: &'static str| {
        let layer = TokenAuthLayer::new(Arc::clone(&keys)).also_require(move |identity, _| {
            identity.extension::<Scopes>().is_some_and(|scopes| scopes.0.contains(&scope))
        });
        let router = Router::new().route("/scopes", get(scopes)).layer(layer);
        ask(router, "GET", "/scopes", Some(&token))
    };
    let answer = ask_with("orders:read").await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "orders:read"));
    let answer = ask_with("orders:write").await;
    assert_eq!(answer.denial, Some(DenialKind::PrivilegeMissing));
}

/// A change that the rules refuse, as a host's own handler answers it.
async fn change() -> Result<(), Problem> {
    let builder = TokenManager::builder(MemoryStore::new()).confirmation(Confirmation::ByCaller);
    let manager = builder.build().await.unwrap();
    manager.issue(&Actor::User, &UserId::new("nobody").unwrap()).await?;
    Ok(())
}

#[tokio::test]
async fn a_refused_change_is_a_problem_document() {
    let router = Router::new().route("/change", get(change));
    let request = Request::builder().uri("/change").body(Body::empty()).unwrap();
    let answer = router.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    assert_eq!(answer.extensions().get::<Problem>().unwrap().code(), "no_access");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["type"], "urn:problem-type:tower-api-token:no_access");
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    denial: Option<DenialKind>,
    body: String,
}

async fn ask(router: Router, method: &str, path: &str, token: Option<&str>) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: head.status,
        headers: head.headers,
        denial: head.extensions.get().map(Denial::kind),
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

#[tokio::test]
async fn an_identified_request_gives_its_identity_to_both() {
    let token = generated::token("tat");
    for layer in [layer(&token), layer(&token).optional(true)] {
        for path in ["/must", "/may"] {
            let answer = ask(routes().layer(layer.clone()), "GET", path, Some(&token)).await;
            assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "alice"), "{path}");
        }
    }
}

#[tokio::test]
async fn an_anonymous_request_gives_none_or_is_answered_as_the_layer_would() {
    let token = generated::token("tat");
    let realm = "billing";
    let open = || routes().layer(layer(&token).realm(realm).unwrap().optional(true));
    let closed = || routes().layer(layer(&token).realm(realm).unwrap());
    let may = ask(open(), "GET", "/may", None).await;
    assert_eq!((may.status.as_u16(), may.body.as_str()), (200, "nobody"));
    for method in ["GET", "HEAD"] {
        let by_extractor = ask(open(), method, "/must", None).await;
        let by_layer = ask(closed(), method, "/must", None).await;
        assert_eq!(by_extractor.status, 401);
        assert_eq!(by_extractor.denial, Some(DenialKind::MissingCredential));
        assert_eq!(by_extractor.denial, by_layer.denial);
        assert_eq!(by_extractor.headers, by_layer.headers);
        assert_eq!(by_extractor.body, by_layer.body);
    }
}

#[tokio::test]
async fn a_bad_credential_reaches_no_handler_in_optional_mode() {
    let token = generated::token("tat");
    let unknown = generated::token("tat");
    let answer = ask(routes().layer(layer(&token).optional(true)), "GET", "/may", Some(&unknown));
    assert_eq!(answer.await.status, 401);
}

#[tokio::test]
async fn a_handler_without_the_layer_answers_500_and_names_it() {
    for path in ["/must", "/may"] {
        let answer = ask(routes(), "GET", path, Some(&generated::token("tat"))).await;
        assert_eq!(answer.status, 500);
        assert!(answer.body.contains("TokenAuthLayer"), "{}", answer.body);
        assert_eq!(answer.denial, None);
    }
}

#[tokio::test]
async fn a_host_renders_an_extractors_refusal_too() {
    let token = generated::token("tat");
    let layer = layer(&token).optional(true).on_denied(|denial, _| {
        let mut response = axum::http::Response::new("own".into());
        *response.status_mut() = denial.status();
        response
    });
    let answer = ask(routes().layer(layer), "GET", "/must", None).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (401, "own"));
}

/// Administrators' routes, and others, in a router that knows nothing of where
/// it is put.
fn nested(layer: &TokenAuthLayer) -> Router {
    let administration = Router::new().route("/users", get(must)).fallback(must);
    let routes = routes().nest("/admin", administration).fallback(must);
    routes.layer(layer.clone())
}

/// That router in each way in which axum may put it below a prefix.
fn ways(layer: &TokenAuthLayer) -> Vec<(&'static str, Router, &'static str)> {
    let service = || Router::new().route("/admin/users", get(must)).layer(layer.clone());
    let merged = Router::new().merge(nested(layer));
    let fallback = Router::new().fallback_service(nested(layer));
    vec![
        ("as it is", nested(layer), ""),
        ("nested", Router::new().nest("/api", nested(layer)), "/api"),
        (
            "nested twice",
            Router::new().nest("/api", Router::new().nest("/v1", nested(layer))),
            "/api/v1",
        ),
        ("nested as a service", Router::new().nest_service("/api", service()), "/api"),
        ("merged and nested", Router::new().nest("/api", merged), "/api"),
        ("fallback, nested", Router::new().nest("/api", fallback), "/api"),
        ("below a parameter", Router::new().nest("/{tenant}", service()), "/acme"),
        (
            "the layer on each route",
            Router::new().nest(
                "/api",
                Router::new().route("/admin/users", get(must)).route_layer(layer.clone()),
            ),
            "/api",
        ),
        (
            "the layer inside of the administrators' router",
            Router::new().nest(
                "/api",
                Router::new()
                    .nest("/admin", Router::new().route("/users", get(must)).layer(layer.clone())),
            ),
            "/api",
        ),
    ]
}

#[tokio::test]
async fn a_check_of_the_path_sees_it_whole_wherever_the_router_is_nested() {
    let token = generated::token("tat");
    for prefix in ["", "/api", "/api/v1", "/acme"] {
        let administration = format!("{prefix}/admin");
        let layer = layer(&token)
            .also_require(move |_, request| !request.uri.path().starts_with(&administration));
        for (way, router, _) in ways(&layer).into_iter().filter(|(.., put)| *put == prefix) {
            let path = format!("{prefix}/admin/users");
            let answer = ask(router.clone(), "GET", &path, Some(&token)).await;
            assert_eq!(answer.status, 403, "{way}");
            assert_eq!(answer.denial, Some(DenialKind::PrivilegeMissing), "{way}");
            let elsewhere = ask(router, "GET", &format!("{prefix}/other"), Some(&token)).await;
            assert!(matches!(elsewhere.status.as_u16(), 200 | 404), "{way}");
        }
    }
}

#[tokio::test]
async fn whoever_looks_at_a_nested_request_sees_its_whole_path_and_the_handler_does_not() {
    let (token, seen) = (generated::token("tat"), Arc::new(Mutex::new(Vec::new())));
    let note = |by: &'static str| {
        let seen = Arc::clone(&seen);
        move |request: &Parts| seen.lock().unwrap().push((by, request.uri.to_string()))
    };
    let (client, check, denied) = (note("client_of"), note("also_require"), note("on_denied"));
    let usage = UsageRecorder::new(MemoryStore::new());
    let layer = layer(&token)
        .optional(true)
        .usage(usage)
        .client_of(move |request| {
            client(request);
            None
        })
        .also_require(move |_, request| {
            check(request);
            true
        })
        .on_denied(move |denial, request| {
            denied(request);
            let mut response = axum::http::Response::new("own".into());
            *response.status_mut() = denial.status();
            response
        });
    let handler = async |request: Request<Body>| request.uri().to_string();
    let inner = Router::new().route("/path", get(handler)).route("/must", get(must));
    let router = Router::new().nest("/api", inner.layer(layer));
    let passed = ask(router.clone(), "GET", "/api/path?a=b", Some(&token)).await;
    assert_eq!(passed.body, "/path?a=b");
    ask(router.clone(), "GET", "/api/path?a=b", Some(&generated::token("tat"))).await;
    // By the extractor, which has the request as the router made it.
    assert_eq!(ask(router, "GET", "/api/must", None).await.body, "own");
    let whole = ["/api/path?a=b", "/api/path?a=b", "/api/path?a=b", "/api/must"];
    let by = ["client_of", "also_require", "on_denied", "on_denied"];
    let expected: Vec<_> = by.into_iter().zip(whole.map(str::to_owned)).collect();
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_method_is_named_by_the_whole_path_wherever_the_router_is_nested() {
    let token = generated::token("tat");
    for prefix in ["", "/api", "/api/v1", "/acme"] {
        let search = format!("{prefix}/admin/users");
        let layer = layer(&token).counts_as(move |request| {
            (request.uri.path() == search).then_some(axum::http::Method::GET)
        });
        for (way, router, _) in ways(&layer).into_iter().filter(|(.., put)| *put == prefix) {
            // The routes take GET alone: 405 is the handler's side.
            let path = format!("{prefix}/admin/users");
            let answer = ask(router.clone(), "POST", &path, Some(&token)).await;
            assert_eq!((answer.status.as_u16(), answer.denial), (405, None), "{way}");
            let elsewhere = ask(router, "POST", &format!("{prefix}/other"), Some(&token)).await;
            assert!(matches!(elsewhere.status.as_u16(), 403 | 404), "{way}");
        }
    }
}
