//! What gateways make of the manifests in `examples/kubernetes`: the translations
//! that stand beside them, run by the programs that those gateways run.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use tower_api_token::forward_auth::Profile;

use crate::api::{Api, Reached};
use crate::client::{Connection, request};
use crate::endpoint::{ALICE, ALICE_BACKUP, CAROL};
use crate::gateway::*;
use crate::manifests::built;
use crate::scene::Scene;

/// A translation, and what its gateway answers where the endpoint cannot.
#[derive(Clone, Copy)]
struct Translation {
    gateway: Gateway,
    /// Where the endpoint says 503.
    in_trouble: u16,
    /// What the endpoint is asked about `GET /items?a=b&c`, unless over gRPC.
    asked: Option<Asked>,
}

#[derive(Clone, Copy)]
struct Asked {
    target: &'static str,
    /// The headers, whatever the client sends.
    headers: &'static [&'static str],
}

/// It takes 60 s for an endpoint that hangs to be one that is down.
const FABRIC: Translation = Translation {
    gateway: Gateway {
        folder: "../kubernetes/translations/nginx-gateway-fabric",
        asks: Asks::Http(Profile::MethodHeader),
        outage: 500,
        reuses: false,
        ..NGINX
    },
    in_trouble: 500,
    asked: Some(Asked {
        target: "/auth/verify",
        headers: &["authorization", "connection", "host", "method", "path", "user-agent"],
    }),
};

/// The last two are its own.
const ENVOYS: &[&str] = &[
    "authorization",
    "content-length",
    "host",
    "user-agent",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-internal",
];

const ENVOY_GATEWAY_HTTP: Translation = Translation {
    gateway: Gateway {
        folder: "../kubernetes/translations/envoy-gateway-http",
        outage: 403,
        ..ENVOY_HTTP
    },
    in_trouble: 403,
    asked: Some(Asked { target: "/auth/verify/items?a=b&c", headers: ENVOYS }),
};

const ENVOY_GATEWAY_GRPC: Translation = Translation {
    gateway: Gateway {
        folder: "../kubernetes/translations/envoy-gateway-grpc",
        outage: 403,
        ..ENVOY_GRPC
    },
    in_trouble: 503,
    asked: None,
};

const ISTIO_HTTP: Translation = Translation {
    gateway: Gateway { folder: "../kubernetes/translations/istio-http", ..ENVOY_HTTP },
    in_trouble: 503,
    ..ENVOY_GATEWAY_HTTP
};

const ISTIO_GRPC: Translation = Translation {
    gateway: Gateway { folder: "../kubernetes/translations/istio-grpc", ..ENVOY_GRPC },
    in_trouble: 503,
    asked: None,
};

/// Its middlewares are read from the manifests.
fn traefik() -> Translation {
    let folder = tempfile::tempdir().unwrap().keep();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let name = "traefik.yml";
    std::fs::copy(examples.join("gateways/traefik").join(name), folder.join(name)).unwrap();
    let middlewares = built("traefik").into_iter().filter(|one| one["kind"] == "Middleware");
    let middlewares = middlewares.map(|one| {
        let name = one["metadata"]["name"].as_str().unwrap().to_owned();
        (name, one["spec"].clone())
    });
    let dynamic = json!({"http": {
        "routers": {"api": {
            "rule": "PathPrefix(`/`)", "middlewares": ["strip", "verify", "strip-token"], "service": "api",
        }},
        "services": {"api": {"loadBalancer": {"servers": [{"url": "http://127.0.0.1:3080"}]}}},
        "middlewares": middlewares.collect::<serde_json::Map<_, _>>(),
    }});
    let dynamic = dynamic.to_string();
    let dynamic = dynamic.replace("tower-api-token.tower-api-token.svc:9180", "127.0.0.1:9180");
    std::fs::write(folder.join("dynamic.yml"), dynamic).unwrap();
    let folder = folder.into_os_string().into_string().unwrap().leak();
    Translation {
        gateway: Gateway { folder, ..TRAEFIK },
        in_trouble: 503,
        asked: Some(Asked {
            target: "/auth/verify",
            headers: &[
                "accept-encoding",
                "authorization",
                "host",
                "user-agent",
                "x-forwarded-for",
                "x-forwarded-host",
                "x-forwarded-method",
                "x-forwarded-port",
                "x-forwarded-proto",
                "x-forwarded-uri",
            ],
        }),
    }
}

macro_rules! clauses {
    ($translation:expr; $($clause:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $clause() {
            super::$clause($translation).await;
        }
    )*};
}

macro_rules! translations {
    ($($module:ident: $translation:expr;)*) => {$(
        mod $module {
            use super::*;

            clauses! { $translation;
                what_is_granted_passes_with_its_user_and_without_the_token
                what_is_not_granted_is_refused
                a_forged_method_never_widens_a_right
                a_forged_identity_does_not_arrive
                an_endpoint_that_cannot_answer_approves_nothing
            }
        }
    )*};
}

translations! {
    nginx_gateway_fabric: FABRIC;
    envoy_gateway_http: ENVOY_GATEWAY_HTTP;
    envoy_gateway_grpc: ENVOY_GATEWAY_GRPC;
    istio_http: ISTIO_HTTP;
    istio_grpc: ISTIO_GRPC;
    traefik: traefik();
}

#[track_caller]
fn tells(reached: &Reached, method: &str, user: &str, slot: &str) {
    assert_eq!(reached.method, method);
    assert_eq!(reached.uri.to_string(), "/items?a=b&c");
    let all = |name: &str| reached.headers.get_all(name).iter().collect::<Vec<_>>();
    assert_eq!(all("x-auth-user"), [user], "{reached:?}");
    assert_eq!(all("x-auth-slot"), [slot], "{reached:?}");
    for gone in ["authorization", "api-token-slot", "method", "x-http-method-override"] {
        assert_eq!(all(gone), [""; 0], "{reached:?}");
    }
}

async fn what_is_granted_passes_with_its_user_and_without_the_token(on: Translation) {
    let scene = Scene::set(on.gateway).await;
    for method in ["GET", "HEAD"] {
        let reached = scene.passed(&scene.ask(method, ALICE, &[]).await);
        tells(&reached, method, "alice", "primary");
    }
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let reached = scene.passed(&scene.ask(method, CAROL, &[]).await);
        tells(&reached, method, "carol", "primary");
    }
    let reached = scene.passed(&scene.ask("GET", ALICE_BACKUP, &[]).await);
    tells(&reached, "GET", "alice", "backup");
}

async fn what_is_not_granted_is_refused(on: Translation) {
    let scene = Scene::set(on.gateway).await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        scene.denied(&scene.ask(method, ALICE, &[]).await, &[403]);
    }
    for method in ["GET", "POST"] {
        let credentials = [None, Some("Bearer junk"), Some("Basic YTpi")];
        for credential in credentials {
            let headers = credential.map(|credential| ("authorization", credential));
            let answer = scene.send(request(method, headers.as_slice())).await;
            scene.denied(&answer, &[401]);
            let challenge = answer.headers["www-authenticate"].to_str().unwrap();
            assert!(challenge.starts_with("Bearer realm="), "{answer:?}");
        }
    }
    let (alice, carol) = (format!("Bearer {ALICE}"), format!("Bearer {CAROL}"));
    for (first, second) in [(&alice, &carol), (&carol, &alice), (&alice, &alice)] {
        let both = [("authorization", first.as_str()), ("authorization", second)];
        scene.denied(&scene.send(request("GET", &both)).await, &[400, 401]);
    }
    scene.endpoint.set_tokens_of_alice(&[]);
    scene.denied(&scene.ask("GET", ALICE, &[]).await, &[401]);
}

async fn a_forged_method_never_widens_a_right(on: Translation) {
    let scene = Scene::set(on.gateway).await;
    for name in ["method", "x-original-method", "x-forwarded-method", "x_original_method"] {
        for forged in [&["GET"][..], &["GET", "GET"], &["GET", "DELETE"], &["DELETE", "GET"]] {
            let lines: Vec<_> = forged.iter().map(|value| (name, *value)).collect();
            scene.denied(&scene.ask("DELETE", ALICE, &lines).await, &[400, 403]);
            let answer = scene.ask("DELETE", CAROL, &lines).await;
            match answer.status.as_u16() {
                200 => tells(&scene.passed(&answer), "DELETE", "carol", "primary"),
                _ => scene.denied(&answer, &[400, 403]),
            }
        }
    }
    let listed = [("method", "GET"), ("connection", "method")];
    scene.denied(&scene.ask("DELETE", ALICE, &listed).await, &[400, 403]);
    for name in ["x-http-method-override", "x-http-method", "x-method-override"] {
        let answer = scene.ask("GET", ALICE, &[(name, "DELETE")]).await;
        match answer.status.as_u16() {
            200 => assert!(!scene.passed(&answer).headers.contains_key(name), "{answer:?}"),
            _ => scene.denied(&answer, &[403]),
        }
    }
}

async fn a_forged_identity_does_not_arrive(on: Translation) {
    let scene = Scene::set(on.gateway).await;
    let forged = [("x-auth-user", "mallory"), ("x-auth-slot", "root"), ("api-token-slot", "x")];
    let reached = scene.passed(&scene.ask("GET", ALICE, &forged).await);
    tells(&reached, "GET", "alice", "primary");
    scene.denied(&scene.ask("POST", ALICE, &forged).await, &[403]);
    scene.denied(&scene.send(request("GET", &forged)).await, &[401]);
}

async fn an_endpoint_that_cannot_answer_approves_nothing(on: Translation) {
    let scene = Scene::set(on.gateway).await;
    let forged = [("x-auth-user", "mallory")];
    scene.passed(&scene.ask("GET", ALICE, &[]).await);
    scene.endpoint.lose_the_store();
    scene.denied(&scene.ask("GET", ALICE, &forged).await, &[on.in_trouble]);
    if matches!(on.gateway.program, Program::Installed("envoy")) {
        scene.endpoint.hang();
        scene.denied(&scene.ask("GET", ALICE, &forged).await, &[on.gateway.outage]);
    }
    scene.endpoint.stop().await;
    for token in [ALICE, CAROL, "junk"] {
        scene.denied(&scene.ask("GET", token, &forged).await, &[on.gateway.outage]);
    }
}

/// NGINX Gateway Fabric's question is a GET, whatever its client's method is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_profile_of_another_gateway_widens_a_right() {
    let profiles = [
        Profile::OriginalMethod,
        Profile::ForwardedMethod,
        Profile::MethodHeader,
        Profile::OwnRequestLine,
    ];
    for on in [FABRIC, ENVOY_GATEWAY_HTTP, ISTIO_HTTP, traefik()] {
        for profile in profiles.map(Asks::Http) {
            let scene = Scene::set(Gateway { asks: profile, ..on.gateway }).await;
            for more in [&[][..], &[("method", "GET")], &[("x-original-method", "GET")]] {
                scene.denied(&scene.ask("DELETE", ALICE, more).await, &[403]);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_endpoint_is_asked_with_these_headers_and_no_body() {
    for on in [FABRIC, ENVOY_GATEWAY_HTTP, ISTIO_HTTP, traefik()] {
        is_asked(on, on.asked.unwrap()).await;
    }
}

/// The second API stands in for the endpoint, and lets everything pass.
async fn is_asked(on: Translation, asked: Asked) {
    let (endpoint, api) = (Api::start().await, Api::start().await);
    endpoint.answer_with(200, &[("x-auth-user", "alice")]);
    let (at, behind) = (endpoint.address, api.address);
    let running = tokio::task::spawn_blocking(move || on.gateway.start(at, behind)).await.unwrap();
    let mut headers = vec![("authorization", "Bearer x"), ("user-agent", "client")];
    headers.extend([("cookie", "a=b"), ("method", "GET"), ("x-original-method", "GET")]);
    headers.extend([("x-auth-user", "mallory"), ("content-type", "text/plain")]);
    let mut post = request("POST", &headers);
    *post.body_mut() = "a body".to_owned();
    let mut connection = Connection::open(running.address).await;
    let deadline = Instant::now() + Duration::from_secs(60);
    while connection.send(post.clone()).await.status != 200 {
        assert!(Instant::now() < deadline, "the gateway does not ask");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let question = endpoint.reached().pop().unwrap();
    let mut names: Vec<_> = question.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!((question.uri.to_string().as_str(), &names[..]), (asked.target, asked.headers));
    assert_eq!(question.body, "");
    let profile = on.gateway.asks;
    let told = match profile {
        Asks::Http(Profile::MethodHeader) => question.headers["method"].to_str().unwrap(),
        Asks::Http(Profile::ForwardedMethod) => {
            question.headers["x-forwarded-method"].to_str().unwrap()
        }
        _ => question.method.as_str(),
    };
    assert_eq!(told, "POST", "{question:?}");
    assert_eq!(api.reached().pop().unwrap().body, "a body");
}
