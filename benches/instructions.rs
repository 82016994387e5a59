//! How many instructions the layer needs over the floor.

mod support {
    pub(crate) mod floor;
    pub(crate) mod population;
    pub(crate) mod requests;
}

use std::hint::black_box;
use std::sync::Arc;

use http::{Method, Response, StatusCode};
use tower::{Layer, Service, service_fn};
use tower_api_token::TokenAuthLayer;
use tower_api_token::store::MemoryStore;
use tower_api_token::usage::UsageRecorder;

use self::support::floor::{Floor, FloorTable};
use self::support::population::{Sequence, memory_store, token};
use self::support::requests::{Requests, exchange, keep};

const USERS: u64 = 1_000;

fn requests() -> Requests {
    let mut sequence = Sequence::new(1);
    Requests::new(Method::GET, (0..4_096).map(|_| token(sequence.below(USERS))))
}

fn run<S, B>(mut service: S, count: usize)
where
    S: Service<
            http::Request<axum::body::Body>,
            Response = Response<B>,
            Error = std::convert::Infallible,
        >,
{
    let mut requests = requests();
    for _ in 0..count {
        assert_eq!(black_box(exchange(&mut service, &mut requests)), StatusCode::OK);
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let count: usize = args[2].parse().unwrap();
    match args[1].as_str() {
        "bare" => run(service_fn(keep), count),
        "floor" => {
            let table = Arc::new(FloorTable::new(USERS, false));
            run(Floor { inner: service_fn(keep), table }, count);
        }
        "layer" => {
            let store: Arc<MemoryStore> = Arc::new(memory_store(USERS, false));
            let usage = UsageRecorder::new(Arc::clone(&store));
            run(TokenAuthLayer::new(store).usage(usage).layer(service_fn(keep)), count);
        }
        _ => {}
    }
}
