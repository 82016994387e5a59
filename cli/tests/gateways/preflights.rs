//! CORS preflights, which can carry no token.

use http::Request;

use crate::client::request;
use crate::endpoint::{ALICE, CAROL};
use crate::gateway::Gateway;
use crate::scene::Scene;

const ORIGIN: (&str, &str) = ("origin", "https://app.example");
const ASKED: (&str, &str) = ("access-control-request-method", "DELETE");

fn preflight(more: &[(&str, &str)]) -> Request<String> {
    let headers = [&[ORIGIN, ASKED], more].concat();
    request("OPTIONS", &headers)
}

pub(crate) async fn a_preflight_is_denied_unless_the_endpoint_is_set_to_let_it_pass(
    gateway: Gateway,
) {
    let scene = Scene::set(gateway).await;
    let asked = [("access-control-request-headers", "authorization")];
    scene.denied(&scene.send(preflight(&[])).await, &[401]);
    scene.denied(&scene.send(preflight(&asked)).await, &[401]);
}

pub(crate) async fn a_true_preflight_passes_without_a_user_where_the_endpoint_is_set_so(
    gateway: Gateway,
) {
    let scene = Scene::set_for_preflights(gateway).await;
    for more in [
        &[][..],
        &[("access-control-request-headers", "authorization")],
        &[("x-auth-user", "mallory")],
        &[("x-auth-user", "mallory"), ("x-auth-slot", "primary")],
    ] {
        let reached = scene.passed(&scene.send(preflight(more)).await);
        assert_eq!(reached.method, "OPTIONS");
        assert_eq!(reached.read_as("x-auth-user"), [""; 0], "{reached:?}");
        assert!(!reached.headers.values().any(|value| value == "mallory"), "{reached:?}");
        assert_eq!(reached.headers["origin"], ORIGIN.1);
        assert_eq!(reached.headers["access-control-request-method"], ASKED.1);
    }
}

pub(crate) async fn nothing_but_a_true_preflight_passes_without_a_token(gateway: Gateway) {
    let scene = Scene::set_for_preflights(gateway).await;
    for method in ["GET", "POST", "DELETE", "HEAD"] {
        scene.denied(&scene.send(request(method, &[ORIGIN, ASKED])).await, &[401]);
    }
    scene.denied(&scene.send(request("options", &[ORIGIN, ASKED])).await, &[400, 401, 405]);
    for lines in [&[][..], &[ORIGIN], &[ASKED], &[("x-origin", "a"), ASKED]] {
        scene.denied(&scene.send(request("OPTIONS", lines)).await, &[401]);
    }
    for asked in ["", "not a method", "GET, DELETE"] {
        let lines = [ORIGIN, ("access-control-request-method", asked)];
        scene.denied(&scene.send(request("OPTIONS", &lines)).await, &[400, 401]);
    }
    let live = format!("Bearer {ALICE}");
    for (credential, statuses) in [
        ("Bearer junk", &[401][..]),
        ("Bearer", &[400, 401]),
        ("Basic YTpi", &[401]),
        (&live, &[403]),
    ] {
        let denied = scene.send(preflight(&[("authorization", credential)])).await;
        scene.denied(&denied, statuses);
    }
    // With a token it is a request like any other.
    let carol = format!("Bearer {CAROL}");
    let reached = scene.passed(&scene.send(preflight(&[("authorization", &carol)])).await);
    assert_eq!(reached.read_as("x-auth-user"), ["carol"]);
    // A gateway removes these, or the preflight is none.
    for name in ["x-http-method-override", "x-http-method", "x_method_override"] {
        let answer = scene.send(preflight(&[(name, "DELETE")])).await;
        if answer.status == 200 {
            let reached = scene.passed(&answer);
            assert_eq!(reached.read_as(&name.replace('_', "-")), [""; 0], "{reached:?}");
        } else {
            scene.denied(&answer, &[400, 401]);
        }
    }
    // The method is what the gateway says.
    for name in ["x-original-method", "x-forwarded-method", "method"] {
        let lines = [ORIGIN, ASKED, (name, "OPTIONS")];
        scene.denied(&scene.send(request("DELETE", &lines)).await, &[401]);
    }
}
