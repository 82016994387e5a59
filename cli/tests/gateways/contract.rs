//! What must hold in front of every API, whatever the gateway.

use std::time::{Duration, Instant};

use crate::api::Reached;
use crate::client::{Answer, Connection, request};
use crate::endpoint::{ALICE, ALICE_BACKUP, CAROL, ODD, ODD_NAME_TOLD};
use crate::gateway::Gateway;
use crate::scene::Scene;

const IDENTITY: [&str; 2] = ["x-auth-user", "x-auth-slot"];
const NOTICES: [&str; 2] = ["api-token-slot", "api-token-expires"];
const METHODS: [&str; 3] = ["x-original-method", "x-forwarded-method", "method"];
const OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// The name with every mixture of hyphens, underscores and dots.
fn spellings(name: &str) -> Vec<String> {
    let mut parts = name.split('-');
    let mut spelled = vec![parts.next().unwrap_or_default().to_owned()];
    for part in parts {
        let extend =
            |start: String| ["-", "_", "."].map(|between| format!("{start}{between}{part}"));
        spelled = spelled.into_iter().flat_map(extend).collect();
    }
    spelled
}

/// The API is told this user and no other, by no other name.
#[track_caller]
fn tells(reached: &Reached, user: &str, slot: &str) {
    assert_eq!(reached.read_as("x-auth-user"), [user], "{reached:?}");
    assert_eq!(reached.read_as("x-auth-slot"), [slot], "{reached:?}");
    for name in NOTICES.into_iter().chain(["authorization"]) {
        assert_eq!(reached.read_as(name), [""; 0], "{reached:?}");
    }
}

pub(crate) async fn a_granted_method_passes_with_its_user(gateway: Gateway) {
    let scene = Scene::set(gateway).await;
    for method in ["GET", "HEAD"] {
        let reached = scene.passed(&scene.ask(method, ALICE, &[]).await);
        tells(&reached, "alice", "primary");
        assert_eq!(reached.method, method);
        assert_eq!(reached.uri.to_string(), "/items?a=b&c");
    }
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let answer = scene.ask(method, CAROL, &[]).await;
        assert_eq!(answer.body, "from the api");
        let reached = scene.passed(&answer);
        tells(&reached, "carol", "primary");
        assert_eq!(reached.method, method);
    }
    tells(&scene.passed(&scene.ask("GET", ODD, &[]).await), ODD_NAME_TOLD, "primary");
}

pub(crate) async fn a_body_and_its_type_pass(gateway: Gateway) {
    let scene = Scene::set(gateway).await;
    for content_type in ["application/json", "application/grpc", "text/plain; charset=utf-8"] {
        let credential = format!("Bearer {CAROL}");
        let headers = [("authorization", credential.as_str()), ("content-type", content_type)];
        let mut request = request("POST", &headers);
        *request.body_mut() = "x".repeat(10_000);
        let reached = scene.passed(&scene.send(request).await);
        assert_eq!(reached.body.len(), 10_000);
        assert_eq!(reached.headers["content-type"], content_type);
    }
    let reached = scene.passed(&scene.ask("GET", CAROL, &[]).await);
    assert!(!reached.headers.contains_key("content-type"), "{reached:?}");
}

pub(crate) async fn other_methods_are_refused(gateway: Gateway) {
    let scene = Scene::set(gateway).await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        for token in [ALICE, ALICE_BACKUP] {
            scene.denied(&scene.ask(method, token, &[]).await, &[403]);
        }
    }
    // A gateway may not know these, or never pass them on.
    for method in ["get", "Get", "BREW", "TRACE", "PROPFIND"] {
        for token in [ALICE, CAROL] {
            scene.denied(&scene.ask(method, token, &[]).await, &[400, 403, 405, 501]);
        }
    }
}

pub(crate) async fn a_missing_or_bad_token_is_challenged(gateway: Gateway) {
    let scene = Scene::set(gateway).await;
    let challenged = |answer: Answer| {
        scene.denied(&answer, &[401]);
        let challenges: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
        assert_eq!(challenges.len(), 1, "{answer:?}");
        assert!(challenges[0].to_str().unwrap().starts_with("Bearer realm="), "{answer:?}");
    };
    for method in ["GET", "POST", "DELETE"] {
        challenged(scene.send(request(method, &[])).await);
        challenged(scene.ask(method, "junk", &[]).await);
        challenged(scene.send(request(method, &[("authorization", "Basic YTpi")])).await);
    }
    // What the client lists in Connection some gateways do not hand on.
    let hidden = scene.ask("GET", ALICE, &[("connection", "authorization")]).await;
    match hidden.status.as_u16() {
        200 => tells(&scene.passed(&hidden), "alice", "primary"),
        _ => scene.denied(&hidden, &[400, 401]),
    }
}

pub(crate) async fn two_credentials_are_refused(gateway: Gateway) {
    let scene = Scene::set(gateway).await;
    let (alice, carol) = (format!("Bearer {ALICE}"), format!("Bearer {CAROL}"));
    let (joined, spaced) = (format!("{alice},{carol}"), format!("{alice} {CAROL}"));
    for (first, second) in [(&alice, &carol), (&carol, &alice), (&alice, &alice)] {
        let both = [("authorization", first.as_str()), ("authorization", second)];
        scene.denied(&scene.send(request("GET", &both)).await, &[400, 401]);
    }
    for one in [&joined, &spaced, "Bearer", "Bearer t\u{f6}ken"] {
        scene.denied(&scene.send(request("GET", &[("authorization", one)])).await, &[400, 401]);
    }
}

pub(crate) async fn the_backup_passes_until_it_is_deleted(gateway: Gateway) {
    let scene = Scene::set(gateway).await;
    tells(&scene.passed(&scene.ask("GET", ALICE_BACKUP, &[]).await), "alice", "backup");
    scene.endpoint.set_tokens_of_alice(&[ALICE]);
    scene.denied(&scene.ask("GET", ALICE_BACKUP, &[]).await, &[401]);
    tells(&scene.passed(&scene.ask("GET", ALICE, &[]).await), "alice", "primary");
}

/// Sends a header that must not be believed, to be let pass and to be denied.
async fn forge(scene: &Scene, name: &str, value: &str) {
    let forged = [(name, value)];
    let answer = scene.ask("GET", ALICE, &forged).await;
    match answer.status.as_u16() {
        200 => {
            let reached = scene.passed(&answer);
            tells(&reached, "alice", "primary");
            let values = reached.headers.values().filter(|own| *own == value);
            assert_eq!(values.count(), 0, "{name}: {reached:?}");
            let told = answer.headers.values().filter(|own| *own == value);
            assert_eq!(told.count(), 0, "{name}: {answer:?}");
        }
        _ => scene.denied(&answer, &[400, 403]),
    }
    scene.denied(&scene.ask("POST", ALICE, &forged).await, &[400, 403]);
    scene.denied(&scene.send(request("GET", &forged)).await, &[400, 401]);
}

pub(crate) async fn a_forged_identity_never_wins(gateway: Gateway) {
    let scene = Scene::set(gateway).await;
    for name in IDENTITY.into_iter().chain(NOTICES).flat_map(spellings) {
        forge(&scene, &name, "mallory").await;
    }
    let twice = [("x-auth-user", "mallory"), ("x-auth-user", "mallory")];
    tells(&scene.passed(&scene.ask("GET", ALICE, &twice).await), "alice", "primary");
}

pub(crate) async fn a_forged_method_never_wins(gateway: Gateway) {
    let scene = Scene::set(gateway).await;
    for name in METHODS.into_iter().flat_map(spellings) {
        forge(&scene, &name, "OPTIONS").await;
        for forged in ["GET", "get", "GET, POST", ""] {
            let answer = scene.ask("DELETE", ALICE, &[(&name, forged)]).await;
            scene.denied(&answer, &[400, 403]);
        }
        for doubled in [["GET", "GET"], ["GET", "DELETE"], ["DELETE", "GET"]] {
            let lines = doubled.map(|forged| (name.as_str(), forged));
            scene.denied(&scene.ask("DELETE", ALICE, &lines).await, &[400, 403]);
        }
    }
    for name in METHODS {
        // Nor does it stand in the way of whoever may use the method.
        let forged = [(name, "GET")];
        let reached = scene.passed(&scene.ask("DELETE", CAROL, &forged).await);
        assert_eq!((reached.method.as_str(), reached.read_as(name)), ("DELETE", vec![""; 0]));
    }
    for query in ["method=GET", "X-Original-Method=GET&X-Forwarded-Method=GET", "_method=GET"] {
        let mut request = request("DELETE", &[("authorization", &format!("Bearer {ALICE}"))]);
        *request.uri_mut() = format!("/auth/verify?{query}").parse().unwrap();
        scene.denied(&scene.send(request).await, &[403]);
    }
}

pub(crate) async fn a_method_override_does_not_reach_the_api(gateway: Gateway) {
    let scene = Scene::set(gateway).await;
    for name in OVERRIDES.into_iter().flat_map(spellings) {
        for (token, value) in [(ALICE, "DELETE"), (CAROL, "DELETE"), (ALICE, "GET")] {
            let answer = scene.ask("GET", token, &[(&name, value)]).await;
            if answer.status == 200 {
                let reached = scene.passed(&answer);
                let overrides = OVERRIDES.iter().flat_map(|name| reached.read_as(name));
                assert_eq!(overrides.count(), 0, "{name}: {reached:?}");
            } else {
                scene.denied(&answer, &[400, 403]);
            }
        }
    }
}

pub(crate) async fn no_client_can_remove_its_identity(gateway: Gateway) {
    let scene = Scene::set(gateway).await;
    for listed in [
        "X-Auth-User",
        "x-auth-slot",
        "close, X-Auth-User",
        "keep-alive, x-auth-user, X-Auth-Slot",
        "X-Forwarded-Method, X-Original-Method",
    ] {
        let answer = scene.ask("GET", ALICE, &[("connection", listed)]).await;
        match answer.status.as_u16() {
            200 => tells(&scene.passed(&answer), "alice", "primary"),
            _ => scene.denied(&answer, &[400, 403]),
        }
        let denied = scene.ask("POST", ALICE, &[("connection", listed)]).await;
        scene.denied(&denied, &[400, 403]);
    }
    let lines = [("connection", "close"), ("connection", "X-Auth-User")];
    let answer = scene.ask("GET", ALICE, &lines).await;
    match answer.status.as_u16() {
        200 => tells(&scene.passed(&answer), "alice", "primary"),
        _ => scene.denied(&answer, &[400]),
    }
}

pub(crate) async fn no_denial_is_an_approval_to_a_grpc_client(gateway: Gateway) {
    let scene = Scene::set(gateway).await;
    let grpc: [&[(&str, &str)]; 4] = [
        &[("content-type", "application/grpc")],
        &[("content-type", "application/grpc+proto"), ("te", "trailers")],
        &[("content-type", "application/grpc-web")],
        &[("accept", "application/grpc")],
    ];
    for headers in grpc {
        for method in ["GET", "POST"] {
            scene.denied(&scene.send(request(method, headers)).await, &[401]);
            scene.denied(&scene.ask(method, "junk", headers).await, &[401]);
            scene.denied(&scene.ask(method, "a,b", headers).await, &[400, 401]);
        }
        scene.denied(&scene.ask("POST", ALICE, headers).await, &[403]);
    }
    scene.endpoint.lose_the_store();
    for headers in grpc {
        scene.denied(&scene.ask("POST", CAROL, headers).await, &[503]);
    }
    scene.endpoint.stop().await;
    for headers in grpc {
        scene.denied(&scene.ask("POST", CAROL, headers).await, &[gateway.outage]);
    }
}

pub(crate) async fn an_endpoint_that_is_down_approves_nothing(gateway: Gateway) {
    let scene = Scene::set(gateway).await;
    scene.passed(&scene.ask("GET", ALICE, &[]).await);
    scene.endpoint.stop().await;
    let forged = ("x-auth-user", "mallory");
    for token in [ALICE, CAROL, "junk"] {
        scene.denied(&scene.ask("GET", token, &[]).await, &[gateway.outage]);
        scene.denied(&scene.ask("GET", token, &[forged]).await, &[gateway.outage]);
    }
}

pub(crate) async fn an_endpoint_that_hangs_approves_nothing(gateway: Gateway) {
    let scene = Scene::set(gateway).await;
    scene.passed(&scene.ask("GET", ALICE, &[]).await);
    scene.endpoint.hang();
    scene.denied(&scene.ask("GET", ALICE, &[]).await, &[gateway.outage]);
}

pub(crate) async fn an_endpoint_in_trouble_approves_nothing(gateway: Gateway) {
    let scene = Scene::set(gateway).await;
    scene.passed(&scene.ask("GET", ALICE, &[]).await);
    scene.endpoint.lose_the_store();
    scene.denied(&scene.ask("GET", ALICE, &[]).await, &[503]);
    scene.denied(&scene.ask("POST", CAROL, &[("x-auth-user", "mallory")]).await, &[503]);
    scene.endpoint.set_tokens_of_alice(&[ALICE]);
    scene.passed(&scene.ask("GET", ALICE, &[]).await);
}

pub(crate) async fn a_revocation_takes_effect(gateway: Gateway) {
    let scene = Scene::set(gateway).await;
    let mut kept = Connection::open(scene.gateway.address).await;
    let live = || request("GET", &[("authorization", &format!("Bearer {ALICE}"))]);
    scene.passed(&kept.send(live()).await);
    scene.endpoint.set_tokens_of_alice(&[]);
    scene.denied(&kept.send(live()).await, &[401]);
    scene.denied(&scene.send(live()).await, &[401]);
    // Another user's answer is not kept for this one either.
    tells(&scene.passed(&scene.ask("GET", CAROL, &[]).await), "carol", "primary");
    scene.denied(&scene.send(live()).await, &[401]);
}

/// How many requests prove that connections are kept.
const MANY: usize = 10_000;

/// How many clients send them at a time. Traefik's client keeps no more than two
/// idle connections to one host.
const CLIENTS: usize = 2;

pub(crate) async fn many_requests_need_few_connections(gateway: Gateway) {
    let scene = Scene::set(gateway).await;
    let started = Instant::now();
    let clients = (0..CLIENTS).map(|_| {
        let address = scene.gateway.address;
        tokio::spawn(async move {
            let mut connection = Connection::open(address).await;
            for _ in 0..MANY / CLIENTS {
                let headers = [("authorization", format!("Bearer {ALICE}"))];
                let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
                assert_eq!(connection.send(request("GET", &headers)).await.status, 200);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    let (seconds, connections) = (started.elapsed().as_secs_f64(), scene.endpoint.connections());
    println!("{gateway:?}: {MANY} requests in {seconds:.1} s, {connections} connections");
    let reached = scene.api.reached();
    assert_eq!(reached.len(), MANY);
    assert!(reached.iter().all(|reached| reached.read_as("x-auth-user") == ["alice"]));
    assert!(started.elapsed() < Duration::from_secs(300));
    if gateway.reuses {
        assert!(connections <= MANY / 100, "{connections} connections");
    }
}
