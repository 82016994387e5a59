//! The trace of a request, which goes on in the endpoint.

use std::sync::{Arc, Mutex};

use crate::endpoint::ALICE;
use crate::gateway::Gateway;
use crate::scene::Scene;

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

pub(crate) async fn the_endpoint_is_told_the_trace_of_the_client(gateway: Gateway) {
    let told = Arc::<Mutex<Vec<String>>>::default();
    let noting = Arc::clone(&told);
    let scene = Scene::deciding(gateway, |authenticator| {
        authenticator.also_require(move |_, request| {
            let lines = request.headers.get_all("traceparent").iter();
            let lines = lines.filter(|line| !line.is_empty());
            let lines = lines.map(|line| line.to_str().unwrap().to_owned());
            noting.lock().unwrap().extend(lines);
            true
        })
    });
    let scene = scene.await;
    scene.passed(&scene.ask("GET", ALICE, &[]).await);
    assert_eq!(*told.lock().unwrap(), [""; 0]);
    scene.passed(&scene.ask("GET", ALICE, &[("traceparent", TRACEPARENT)]).await);
    assert_eq!(*told.lock().unwrap(), [TRACEPARENT]);
}
