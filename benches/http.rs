//! What the layer costs a deployed server: requests per second of an axum
//! server over loopback.
//!
//! ```sh
//! cargo bench --bench http
//! ```
//!
//! The server has one processor to itself and the load another. Every round has
//! connections of its own, since it matters by a few per cent where in memory
//! one happens to be. It takes less than three minutes.

mod support {
    pub(crate) mod bootstrap;
    pub(crate) mod clock;
    pub(crate) mod core;
    pub(crate) mod floor;
    pub(crate) mod jwt;
    pub(crate) mod load;
    pub(crate) mod population;
    pub(crate) mod statistics;
}

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt;
use axum::{Json, Router, ServiceExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tower::layer::layer_fn;
use tower::{Layer, Service};
use tower_api_token::TokenAuthLayer;
use tower_api_token::usage::UsageRecorder;

use self::support::bootstrap::bootstrap;
use self::support::clock::thread_time;
use self::support::core::{processors, stay_on};
use self::support::floor::{Floor, FloorTable};
use self::support::jwt::{Jwt, jwt};
use self::support::load::Load;
use self::support::population::{Sequence, memory_store, token};
use self::support::statistics::median;

const USERS: u64 = 1_000;
const ROUNDS: usize = 120;
/// Rounds that must remain when the busy ones are discarded.
const ENOUGH: usize = 60;
/// The share of its processor that the server must have had: else the load, or
/// another program, was what held it up.
const BUSY_ENOUGH: f64 = 0.8;
const SLICE: Duration = Duration::from_millis(80);
const WARM_UP: Duration = Duration::from_millis(30);
/// The candidate that is judged: mounted as in the example.
const LAYER: &str = "this layer";
const LIMIT: Duration = Duration::from_secs(140);

fn main() {
    let processors = processors();
    if processors.len() < 2 {
        println!("http ratio: not measured, there is one processor only");
        return;
    }
    let server = Server::start(processors[0]);
    stay_on(processors[1]);
    let mut sequence = Sequence::new(9);
    let candidates = [
        Candidate { name: "without a layer", address: server.bare, text: token },
        Candidate { name: LAYER, address: server.layer, text: token },
        Candidate { name: "this layer, around the router", address: server.around, text: token },
        Candidate { name: "floor", address: server.floor, text: token },
        Candidate { name: "floor, around the router", address: server.floor_around, text: token },
        Candidate { name: "jsonwebtoken 11 HS256", address: server.jwt, text: jwt },
    ];
    let start = Instant::now();
    let busy = server.processor_time();
    let mut rounds = Vec::new();
    while start.elapsed() < LIMIT && steady(&rounds).len() < ROUNDS {
        rounds.push(Round::of(&candidates, &mut sequence));
    }
    let busy = (server.processor_time() - busy).as_secs_f64() / start.elapsed().as_secs_f64();
    report(&candidates, &rounds, busy);
}

/// One round: A B C D E F F E D C B A.
struct Round {
    /// Requests per second of each candidate.
    rates: [f64; 6],
    /// Whether the bare server was as fast at its end as at its beginning:
    /// else the machine had something else to do.
    steady: bool,
}

impl Round {
    fn of(candidates: &[Candidate; 6], sequence: &mut Sequence) -> Self {
        let mut loads = candidates.each_ref().map(|candidate| candidate.load(sequence));
        let first = loads.each_mut().map(|load| load.run(SLICE));
        let mut second = first;
        for (rate, load) in second.iter_mut().zip(&mut loads).rev() {
            *rate = load.run(SLICE);
        }
        let steady = (second[0] / first[0] - 1.0).abs() <= 0.1;
        let rates = std::array::from_fn(|place| first[place].midpoint(second[place]));
        Self { rates, steady }
    }
}

fn steady(rounds: &[Round]) -> Vec<[f64; 6]> {
    rounds.iter().filter(|round| round.steady).map(|round| round.rates).collect()
}

fn report(candidates: &[Candidate; 6], rounds: &[Round], busy: f64) {
    let kept = steady(rounds);
    println!("| axum server | requests per second | share of the bare server | 95 % interval |");
    println!("|---|--:|--:|--:|");
    let mut closing = String::from("http ratio: not measured, the machine was busy");
    for (place, candidate) in candidates.iter().enumerate() {
        let rate = median(&kept.iter().map(|round| round[place]).collect::<Vec<_>>());
        let ratios: Vec<f64> = kept.iter().map(|round| round[place] / round[0]).collect();
        let (ratio, (low, high)) = (median(&ratios), bootstrap(&ratios));
        println!(
            "| {} | {:.0} | {:.1} % | {:.1} to {:.1} % |",
            candidate.name,
            rate,
            ratio * 100.0,
            low * 100.0,
            high * 100.0
        );
        if candidate.name == LAYER && kept.len() >= ENOUGH && busy >= BUSY_ENOUGH {
            closing = format!("http ratio: {ratio:.3} low: {low:.3}");
        }
    }
    let discarded = rounds.len() - kept.len();
    println!("\n{} rounds, {discarded} more discarded as busy", kept.len());
    println!("the server used {:.0} % of its processor", busy * 100.0);
    println!("\n{closing}");
}

/// One server, and what is sent to it.
struct Candidate {
    name: &'static str,
    address: SocketAddr,
    text: fn(u64) -> String,
}

impl Candidate {
    fn load(&self, sequence: &mut Sequence) -> Load {
        let tokens = (0..4_096).map(|_| (self.text)(sequence.below(USERS)));
        let mut load = Load::new(self.address, tokens, || ());
        load.run(WARM_UP);
        load
    }
}

/// Six servers on one thread, which stays on one processor.
struct Server {
    bare: SocketAddr,
    layer: SocketAddr,
    around: SocketAddr,
    floor: SocketAddr,
    floor_around: SocketAddr,
    jwt: SocketAddr,
    clock: mpsc::UnboundedSender<oneshot::Sender<Duration>>,
}

impl Server {
    fn start(processor: usize) -> Self {
        let (started, server) = std::sync::mpsc::channel();
        thread::spawn(move || {
            stay_on(processor);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let store = Arc::new(memory_store(USERS, false));
                let usage = UsageRecorder::new(Arc::clone(&store));
                let layer = TokenAuthLayer::new(store).usage(usage).same_body();
                let table = Arc::new(FloorTable::new(USERS, false));
                let floor_around = Floor::<_, false>::new(api(), Arc::clone(&table));
                let floor = move |route| Floor::<_, false>::new(route, Arc::clone(&table));
                let (clock, mut asked) = mpsc::unbounded_channel::<oneshot::Sender<Duration>>();
                let server = Self {
                    bare: serve(api()).await,
                    layer: serve(api().layer(layer.clone())).await,
                    around: serve(layer.layer(api())).await,
                    floor: serve(api().layer(layer_fn(floor))).await,
                    floor_around: serve(floor_around).await,
                    jwt: serve(api().layer(layer_fn(Jwt::new))).await,
                    clock,
                };
                started.send(server).expect("somebody waits");
                while let Some(answer) = asked.recv().await {
                    answer.send(thread_time()).expect("somebody waits");
                }
            });
        });
        server.recv().expect("the server starts")
    }

    fn processor_time(&self) -> Duration {
        let (answer, time) = oneshot::channel();
        self.clock.send(answer).expect("the server runs");
        time.blocking_recv().expect("the server runs")
    }
}

async fn serve<S>(service: S) -> SocketAddr
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("a TCP stream"));
    tokio::spawn(async { axum::serve(listener, service.into_make_service()).await });
    address
}

/// The API of the example `quickstart`.
fn api() -> Router {
    async fn items() -> Json<Value> {
        Json(json!({ "items": ["apple", "pear"] }))
    }
    Router::new().route("/items", get(items).post(items))
}
