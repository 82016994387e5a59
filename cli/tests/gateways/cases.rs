//! The adversarial cases about single gateways, by their ids (see
//! `tests/adversarial`).

use std::time::{Duration, Instant};

use crate::client::request;
use crate::endpoint::{ALICE, ALICE_BACKUP, CAROL};
use crate::gateway::*;
use crate::scene::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn forward_041_nginx_is_told_another_method_by_the_client() {
    let scene = Scene::set(NGINX).await;
    for name in ["x-original-method", "x-forwarded-method"] {
        scene.denied(&scene.ask("POST", ALICE, &[(name, "GET")]).await, &[403]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forward_042_nginx_is_sent_underscores() {
    let scene = Scene::set(NGINX).await;
    let forged = [("x_original_method", "GET"), ("x_auth_user", "mallory")];
    scene.denied(&scene.ask("POST", ALICE, &forged).await, &[403]);
    let reached = scene.passed(&scene.ask("GET", ALICE, &forged).await);
    assert_eq!(reached.read_as("x-auth-user"), ["alice"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn forward_043_nginx_is_answered_what_it_does_not_know() {
    let scene = Scene::set(NGINX).await;
    for (status, told) in
        [(400, 400), (429, 429), (503, 503), (500, 503), (404, 503), (302, 503), (407, 503)]
    {
        scene.endpoint.always_answer(status);
        let answer = scene.ask("GET", ALICE, &[]).await;
        scene.denied(&answer, &[told]);
        assert_eq!(answer.headers["retry-after"], "1");
    }
    scene.endpoint.decide();
    scene.passed(&scene.ask("GET", ALICE, &[]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn forward_044_nginx_with_an_endpoint_that_is_slow_or_down() {
    let scene = Scene::set(NGINX).await;
    scene.endpoint.hang();
    scene.denied(&scene.ask("GET", ALICE, &[]).await, &[503]);
    scene.endpoint.stop().await;
    scene.denied(&scene.ask("GET", ALICE, &[]).await, &[503]);
}

#[tokio::test(flavor = "multi_thread")]
async fn forward_045_nginx_with_a_cache_before_the_endpoint() {
    // The worst cache there is: for a day, with nginx's own key, which names
    // neither the token nor the method.
    const CACHE: Edits = &[
        ("proxy_cache off;", "proxy_cache kept; proxy_cache_valid any 1d;"),
        (
            "    upstream auth {",
            "    proxy_cache_path kept keys_zone=kept:1m;\n    upstream auth {",
        ),
    ];
    let scene = Scene::set(Gateway { edits: CACHE, ..NGINX }).await;
    for _ in 0..2 {
        let reached = scene.passed(&scene.ask("GET", ALICE, &[]).await);
        assert_eq!(reached.read_as("x-auth-user"), ["alice"]);
        let reached = scene.passed(&scene.ask("GET", CAROL, &[]).await);
        assert_eq!(reached.read_as("x-auth-user"), ["carol"]);
        scene.denied(&scene.send(request("GET", &[])).await, &[401]);
        scene.denied(&scene.ask("POST", ALICE, &[]).await, &[403]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forward_046_nginx_warns_of_satisfy_any() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/gateways/nginx/nginx.conf");
    let configuration = std::fs::read_to_string(path).unwrap();
    assert!(configuration.contains("has `satisfy any` beside `allow`"));
    assert!(configuration.contains("\n        satisfy all;\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn forward_047_nginx_with_further_locations() {
    const LOCATIONS: Edits = &[(
        "        location / {",
        "        location ~ \\.json$ { proxy_pass http://api; }
        location /files { try_files /nowhere @api; }
        location /moved { error_page 404 = @api; }
        location /rewritten { rewrite ^ /items last; }
        location @api { proxy_pass http://api; }
        location / {",
    )];
    let scene = Scene::set(Gateway { edits: LOCATIONS, ..NGINX }).await;
    for path in ["/a.json", "/files/a", "/moved/a", "/rewritten"] {
        let to = |token: &str| {
            let credential = format!("Bearer {token}");
            let mut request = request("GET", &[("authorization", &credential)]);
            *request.uri_mut() = path.parse().unwrap();
            request
        };
        scene.denied(&scene.send(to("junk")).await, &[401]);
        let reached = scene.passed(&scene.send(to(ALICE)).await);
        assert_eq!(reached.read_as("x-auth-user"), ["alice"], "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forward_049_caddy_is_told_another_method_by_the_client() {
    let scene = Scene::set(CADDY).await;
    let forged = [("x-forwarded-method", "GET")];
    scene.denied(&scene.ask("POST", ALICE, &forged).await, &[403]);
    let reached = scene.passed(&scene.ask("POST", CAROL, &forged).await);
    assert_eq!(reached.read_as("x-forwarded-method"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn forward_050_caddy_is_told_to_hide_the_token() {
    let scene = Scene::set(CADDY).await;
    let listed = [("connection", "Authorization, X-Forwarded-Method")];
    scene.denied(&scene.ask("GET", ALICE, &listed).await, &[401]);
}

#[tokio::test(flavor = "multi_thread")]
async fn forward_051_caddy_hands_the_clients_query_on() {
    let scene = Scene::set(CADDY).await;
    let mut query = request("POST", &[("authorization", &format!("Bearer {ALICE}"))]);
    *query.uri_mut() = "/items?method=GET".parse().unwrap();
    scene.denied(&scene.send(query).await, &[403]);
}

#[tokio::test(flavor = "multi_thread")]
async fn forward_053_traefik_trusts_no_clients_method() {
    let scene = Scene::set(TRAEFIK).await;
    for name in ["x-forwarded-method", "x-original-method", "x_forwarded_method"] {
        scene.denied(&scene.ask("DELETE", ALICE, &[(name, "GET")]).await, &[403]);
    }
    scene.denied(&scene.send(request("GET", &[("x-forwarded-prefix", "/public")])).await, &[401]);
}

#[tokio::test(flavor = "multi_thread")]
async fn forward_054_traefik_is_sent_other_spellings() {
    let scene = Scene::set(TRAEFIK).await;
    let forged = [("x_auth_user", "mallory"), ("x.auth.user", "mallory")];
    let reached = scene.passed(&scene.ask("GET", ALICE_BACKUP, &forged).await);
    assert_eq!(reached.read_as("x-auth-user"), ["alice"]);
}

/// Without what the shipped configuration does for other statuses, nginx makes
/// an error of the server of whatever is not 2xx, 401 or 403.
#[tokio::test(flavor = "multi_thread")]
async fn a_plain_auth_request_makes_no_error_of_a_malformed_credential() {
    let edits = &[("error_page 500 = @check_failed;", "")];
    let scene = Scene::set(Gateway { edits, ..NGINX }).await;
    let live = format!("Bearer {ALICE}");
    for credentials in [&["Bearer"][..], &["Bearer a b"], &[&live, &live], &[&live, "Bearer junk"]]
    {
        let headers: Vec<_> = credentials.iter().map(|it| ("authorization", *it)).collect();
        // nginx itself refuses two of them with 400.
        let statuses = if credentials.len() > 1 { &[400, 401][..] } else { &[401] };
        scene.denied(&scene.send(request("GET", &headers)).await, statuses);
    }
}

/// The endpoint closes an idle connection after 120 s. A gateway that keeps one
/// longer sends a request into a connection that is being closed now and then.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed_by_the_gateway_first() {
    const SHORT: [(Gateway, Edits); 4] = [
        (NGINX, &[("keepalive_timeout 60s", "keepalive_timeout 1s")]),
        (CADDY, &[("keepalive 60s", "keepalive 1s")]),
        (ENVOY_HTTP, &[("idle_timeout: 60s", "idle_timeout: 1s")]),
        (ENVOY_GRPC, &[("idle_timeout: 60s", "idle_timeout: 1s")]),
    ];
    for (gateway, edits) in SHORT {
        let scene = Scene::set(Gateway { edits, ..gateway }).await;
        scene.passed(&scene.ask("GET", ALICE, &[]).await);
        let deadline = Instant::now() + Duration::from_secs(30);
        while scene.endpoint.open_connections() > 0 {
            assert!(Instant::now() < deadline, "{} keeps it open", gateway.folder);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        scene.passed(&scene.ask("GET", ALICE, &[]).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forward_057_envoy_is_sent_two_keys() {
    for gateway in [ENVOY_HTTP, ENVOY_GRPC] {
        let scene = Scene::set(gateway).await;
        let keys = [("x-api-key", "junk"), ("x-api-key", ALICE)];
        scene.denied(&scene.send(request("GET", &keys)).await, &[400, 401]);
    }
}

/// The endpoint tells which tokens are live, so it is the gateway's alone: on a
/// listener that the outside does not reach, and not by way of the gateway.
#[tokio::test(flavor = "multi_thread")]
async fn forward_060_no_client_reaches_the_endpoint_through_a_gateway() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/gateways/README.md");
    let guide = std::fs::read_to_string(examples).unwrap();
    assert!(guide.contains("Make the endpoint reachable by the gateway alone"));
    for gateway in [NGINX, CADDY, TRAEFIK, ENVOY_HTTP, ENVOY_GRPC, HAPROXY, APACHE] {
        let scene = Scene::set(gateway).await;
        assert!(scene.endpoint.address.ip().is_loopback());
        for path in
            ["/auth/verify", "/verify-by-endpoint", "/envoy.service.auth.v3.Authorization/Check"]
        {
            let to = |method: &str, headers: &[(&str, &str)]| {
                let mut request = request(method, headers);
                *request.uri_mut() = path.parse().unwrap();
                scene.send(request)
            };
            let credential = format!("Bearer {ALICE}");
            let live = ("authorization", credential.as_str());
            let named = ("x-original-method", "GET");
            scene.denied(&to("GET", &[]).await, &[401, 404]);
            scene.denied(&to("GET", &[("authorization", "Bearer junk"), named]).await, &[401, 404]);
            scene.denied(&to("POST", &[live, named]).await, &[403, 404]);
            let answer = to("GET", &[live, named]).await;
            if answer.status == 200 {
                assert_eq!(scene.passed(&answer).uri.path(), path, "{}", gateway.folder);
                assert_eq!(answer.body, "from the api");
                assert!(!answer.headers.contains_key("x-auth-user"), "{answer:?}");
            } else {
                scene.denied(&answer, &[404]);
            }
        }
    }
}
