//! What a client is told of its token: that it is the backup, and when it ends.

use http::Request;

use crate::client::{Answer, Connection, request};
use crate::endpoint::{ALICE, ALICE_BACKUP, CAROL, END_TOLD, ERIN, FRANK, FRANK_BACKUP};
use crate::gateway::Gateway;
use crate::scene::Scene;

/// Tokens, and what their holders are told: the slot and the end.
const TOLD: [(&str, &[&str], &[&str]); 6] = [
    (ALICE_BACKUP, &["backup"], &[]),
    (FRANK, &[], &[END_TOLD]),
    (FRANK_BACKUP, &["backup"], &[END_TOLD]),
    (ALICE, &[], &[]),
    (CAROL, &[], &[]),
    (ERIN, &[], &[]),
];

fn with(token: &str, method: &str) -> Request<String> {
    request(method, &[("authorization", &format!("Bearer {token}"))])
}

/// The client is told this, and nothing else.
#[track_caller]
fn tells(answer: &Answer, slot: &[&str], end: &[&str]) {
    let all = |name: &str| answer.headers.get_all(name).iter().collect::<Vec<_>>();
    assert_eq!(all("api-token-slot"), slot, "{answer:?}");
    assert_eq!(all("api-token-expires"), end, "{answer:?}");
}

pub(crate) async fn the_client_is_told_what_becomes_of_its_token(gateway: Gateway) {
    let scene = Scene::set(gateway).await;
    for status in [200, 204, 304, 401, 404, 500] {
        scene.api.answer_with(status, &[]);
        for (token, slot, end) in TOLD {
            let answer = scene.send(with(token, "GET")).await;
            assert_eq!((answer.status.as_u16(), scene.api.reached().len()), (status, 1));
            tells(&answer, slot, end);
        }
    }
    scene.api.answer_with(200, &[]);
    for (token, slot, end) in TOLD {
        let answer = scene.send(with(token, "HEAD")).await;
        scene.passed(&answer);
        tells(&answer, slot, end);
        if token != CAROL {
            scene.denied(&scene.send(with(token, "POST")).await, &[403]);
        }
    }
}

pub(crate) async fn no_client_is_told_of_another_request(gateway: Gateway) {
    let scene = Scene::set(gateway).await;
    let mut kept = Connection::open(scene.gateway.address).await;
    for _ in 0..2 {
        for (token, slot, end) in TOLD {
            let answer = kept.send(with(token, "GET")).await;
            let reached = scene.passed(&answer);
            tells(&answer, slot, end);
            for name in ["api-token-slot", "api-token-expires"] {
                assert_eq!(reached.read_as(name), [""; 0], "the API is told: {reached:?}");
            }
            scene.denied(&kept.send(with("junk", "GET")).await, &[401]);
        }
    }
}

pub(crate) async fn the_api_says_nothing_in_place_of_the_endpoint(gateway: Gateway) {
    let scene = Scene::set(gateway).await;
    let forged = [
        ("api-token-slot", "forged"),
        ("api-token-slot", "forged"),
        ("api-token-expires", "forged"),
    ];
    for status in [200, 404, 503] {
        scene.api.answer_with(status, &forged);
        for (token, slot, end) in TOLD {
            let answer = scene.send(with(token, "GET")).await;
            assert_eq!((answer.status.as_u16(), scene.api.reached().len()), (status, 1));
            tells(&answer, slot, end);
        }
    }
}
