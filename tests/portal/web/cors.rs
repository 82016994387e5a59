//! CORS beside the layer.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use tower_api_token::TokenAuthLayer;
use tower_http::cors::{AllowHeaders, CorsLayer};

use crate::web::world::{ALICE, World};

#[tokio::test]
async fn web_023_cors_outside_the_layer_reaches_the_401_too() {
    let world = World::new().await;
    let token = world.rotate(ALICE).await;
    let listed = HeaderValue::from_static("https://app.example");
    let cors = CorsLayer::new()
        .allow_origin([listed])
        .allow_headers(AllowHeaders::list([axum::http::header::AUTHORIZATION]));
    let api =
        service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::empty())) });
    let service = cors.layer(TokenAuthLayer::new(Arc::clone(&world.store)).layer(api));
    for (credential, status) in [(format!("Bearer {token}"), 200), ("Bearer nothing".into(), 401)] {
        let request = Request::get("/items").header("origin", "https://app.example");
        let request = request.header("authorization", credential).body(Body::empty()).unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["access-control-allow-origin"], "https://app.example");
    }
}

#[tokio::test]
async fn web_023_even_a_careless_cors_layer_does_not_open_the_portal() {
    let world = World::new().await;
    let open: Router = world.router.clone().layer(CorsLayer::very_permissive());
    let mut request = Request::post("/tokens/api/generate")
        .header("origin", "https://evil.example")
        .header("host", "portal.example")
        .header("content-type", "application/json")
        .body(Body::from("{}"))
        .unwrap();
    let alice = tower_api_token::portal::PortalUser::new(crate::web::world::user("alice"));
    request.extensions_mut().insert(alice);
    assert_eq!(open.oneshot(request).await.unwrap().status(), 403);
    assert_eq!(world.mails(), 0);
}
