//! What two threads cost one another.
//!
//! ```sh
//! cargo bench --bench contention
//! cargo bench --features metrics --bench contention   # with a Prometheus recorder
//! ```

mod support {
    pub(crate) mod clock;
    pub(crate) mod contend;
    pub(crate) mod core;
    pub(crate) mod floor;
    pub(crate) mod population;
    pub(crate) mod requests;
    pub(crate) mod spread;
    pub(crate) mod statistics;
}

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use http::Request;
use tower::{Layer, ServiceExt, service_fn};
use tower_api_token::TokenAuthLayer;
use tower_api_token::usage::UsageRecorder;

use self::support::contend::{Tokens, USERS, close, contend, head};
use self::support::core::processors;
use self::support::floor::{Floor, FloorTable};
use self::support::population::memory_store;
use self::support::requests::keep;

fn main() {
    let processors = processors();
    if processors.len() < 2 {
        println!("contention ratio: not measured, there is one processor only");
        return;
    }
    #[cfg(feature = "metrics")]
    metrics_exporter_prometheus::PrometheusBuilder::new()
        .install_recorder()
        .expect("there is no other recorder");
    head();
    let around = layer().layer(service_fn(keep));
    let hot = contend("this layer, one hot token", &processors, Tokens::OneHot, |_| around.clone());
    contend("this layer, 1 000 tokens", &processors, Tokens::Many, |_| around.clone());
    let table = Arc::new(FloorTable::new(USERS, false));
    let floor = Floor::<_, false>::new(service_fn(keep), table);
    contend("floor, one hot token", &processors, Tokens::OneHot, |_| floor.clone());
    let own = [layer(), layer()].map(|layer| layer.layer(service_fn(keep)));
    contend("this layer, a store for each thread", &processors, Tokens::OneHot, |thread| {
        own[thread].clone()
    });
    let counter = Arc::new(AtomicU64::new(0));
    let counting = service_fn(keep).map_request(move |request: Request<Body>| {
        counter.fetch_add(1, Ordering::Relaxed);
        request
    });
    contend("a shared counter, for comparison", &processors, Tokens::OneHot, |_| counting.clone());
    #[cfg(feature = "metrics")]
    {
        let counter = metrics::counter!("requests");
        let counting = service_fn(keep).map_request(move |request: Request<Body>| {
            counter.increment(1);
            request
        });
        let name = "a counter of the recorder, for comparison";
        contend(name, &processors, Tokens::OneHot, |_| counting.clone());
    }
    close("contention ratio", hot);
}

fn layer() -> TokenAuthLayer {
    let store = Arc::new(memory_store(USERS, false));
    let usage = UsageRecorder::new(Arc::clone(&store));
    TokenAuthLayer::new(store).usage(usage)
}
