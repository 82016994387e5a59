//! What the layer costs a deployed server: requests per second of an axum
//! server over loopback.
//!
//! ```sh
//! cargo bench --bench http
//! ```
//!
//! The server has one processor to itself and the load another. The load sends
//! the token of one user, as a program that calls an API does, and the token of
//! one of many users at random, as all of them together do. Every round has
//! servers and connections of its own, since it matters by a few per cent where
//! in memory one happens to be. It takes less than three minutes.

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
use std::io;
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
use tokio::task::JoinSet;
use tower::layer::layer_fn;
use tower::{Layer, Service};
use tower_api_token::TokenAuthLayer;
use tower_api_token::middleware::SameBody;
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
const ROUNDS: usize = 200;
/// Rounds that must remain when the busy ones are discarded.
const ENOUGH: usize = 60;
/// The share of its processor that the server must have had: else the load, or
/// another program, was what held it up.
const BUSY_ENOUGH: f64 = 0.8;
const SLICE: Duration = Duration::from_millis(30);
const WARM_UP: Duration = Duration::from_millis(20);
/// The candidate that is judged: mounted as the README says for an API that is
/// behind the layer as a whole.
const LAYER: &str = "this layer";
const LIMIT: Duration = Duration::from_secs(140);
/// How many are compared.
const CANDIDATES: usize = 10;

/// The layer and the floor that do the same, by their places.
const PAIRS: [(usize, usize); 4] = [(1, 2), (3, 4), (5, 6), (7, 8)];

fn main() {
    let processors = processors();
    if processors.len() < 2 {
        println!("http ratio: not measured, there is one processor only");
        return;
    }
    let server = Server::start(processors[0]);
    stay_on(processors[1]);
    let mut sequence = Sequence::new(9);
    let start = Instant::now();
    let (mut servers, busy) = server.renew();
    let mut rounds = Vec::new();
    while start.elapsed() < LIMIT && steady(&rounds).len() < ROUNDS {
        rounds.push(Round::of(&candidates(&servers), &mut sequence));
        servers = server.renew().0;
    }
    let busy = (server.renew().1 - busy).as_secs_f64() / start.elapsed().as_secs_f64();
    report(&candidates(&servers), &rounds, busy);
}

/// One round: A B C D E F G H H G F E D C B A.
struct Round {
    /// Requests per second of each candidate.
    rates: [f64; CANDIDATES],
    /// Whether the bare server was as fast at its end as at its beginning:
    /// else the machine had something else to do.
    steady: bool,
}

impl Round {
    fn of(candidates: &[Candidate; CANDIDATES], sequence: &mut Sequence) -> Self {
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

fn steady(rounds: &[Round]) -> Vec<[f64; CANDIDATES]> {
    rounds.iter().filter(|round| round.steady).map(|round| round.rates).collect()
}

fn report(candidates: &[Candidate; CANDIDATES], rounds: &[Round], busy: f64) {
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
    println!("\n| | share of the same server with the floor | 95 % interval |");
    println!("|---|--:|--:|");
    for (layer, floor) in PAIRS {
        let ratios: Vec<f64> = kept.iter().map(|round| round[layer] / round[floor]).collect();
        let (ratio, (low, high)) = (median(&ratios), bootstrap(&ratios));
        let [ratio, low, high] = [ratio, low, high].map(|share| share * 100.0);
        println!("| {} | {ratio:.1} % | {low:.1} to {high:.1} % |", candidates[layer].name);
    }
    let discarded = rounds.len() - kept.len();
    println!("\n{} rounds, {discarded} more discarded as busy", kept.len());
    println!("the server used {:.0} % of its processor", busy * 100.0);
    println!("\n{closing}");
}

fn candidates(servers: &Servers) -> [Candidate; CANDIDATES] {
    let one = |name, address| Candidate { name, address, text: token, users: 1 };
    let many = |name, address| Candidate { users: USERS, ..one(name, address) };
    [
        one("without a layer", servers.bare),
        one(LAYER, servers.layer),
        one("floor", servers.floor),
        many("this layer, many users", servers.layer),
        many("floor, many users", servers.floor),
        one("this layer, on the route", servers.on_route),
        one("floor, on the route", servers.floor_on_route),
        many("this layer, many users, on the route", servers.on_route),
        many("floor, many users, on the route", servers.floor_on_route),
        Candidate { text: jwt, ..one("jsonwebtoken 11 HS256", servers.jwt) },
    ]
}

/// One server, and what is sent to it.
struct Candidate {
    name: &'static str,
    address: SocketAddr,
    text: fn(u64) -> String,
    users: u64,
}

impl Candidate {
    fn load(&self, sequence: &mut Sequence) -> Load {
        let draws = if self.users == 1 { 1 } else { 4_096 };
        let tokens = (0..draws).map(|_| (self.text)(sequence.below(self.users)));
        let mut load = Load::new(self.address, tokens, || ());
        load.run(WARM_UP);
        load
    }
}

/// Where the servers of one round listen.
struct Servers {
    bare: SocketAddr,
    layer: SocketAddr,
    floor: SocketAddr,
    on_route: SocketAddr,
    floor_on_route: SocketAddr,
    jwt: SocketAddr,
}

/// One thread, which stays on one processor, and all servers on it.
struct Server(mpsc::UnboundedSender<oneshot::Sender<(Servers, Duration)>>);

impl Server {
    fn start(processor: usize) -> Self {
        let (renew, mut asked) = mpsc::unbounded_channel::<oneshot::Sender<_>>();
        thread::spawn(move || {
            stay_on(processor);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let store = Arc::new(memory_store(USERS, false));
                let usage = UsageRecorder::new(Arc::clone(&store));
                let layer = TokenAuthLayer::new(store).usage(usage).same_body();
                let table = Arc::new(FloorTable::new(USERS, false));
                let mut tasks = JoinSet::new();
                while let Some(answer) = asked.recv().await {
                    tasks.shutdown().await;
                    let servers = Servers::start(&mut tasks, &layer, &table).await;
                    answer.send((servers, thread_time())).ok().expect("somebody waits");
                }
            });
        });
        Self(renew)
    }

    /// New servers in place of the former ones, and how much of its processor
    /// the thread has had until now.
    fn renew(&self) -> (Servers, Duration) {
        let (answer, servers) = oneshot::channel();
        self.0.send(answer).expect("the server runs");
        servers.blocking_recv().expect("the server runs")
    }
}

impl Servers {
    async fn start(
        tasks: &mut JoinSet<io::Result<()>>,
        layer: &SameBody<TokenAuthLayer>,
        table: &Arc<FloorTable>,
    ) -> Self {
        let floor = |inner| Floor::<_, false>::new(inner, Arc::clone(table));
        let shared = Arc::clone(table);
        let on_route = move |route| Floor::<_, false>::new(route, Arc::clone(&shared));
        Self {
            bare: serve(tasks, api()).await,
            layer: serve(tasks, layer.layer(api())).await,
            floor: serve(tasks, floor(api())).await,
            on_route: serve(tasks, api().layer(layer.clone())).await,
            floor_on_route: serve(tasks, api().layer(layer_fn(on_route))).await,
            jwt: serve(tasks, api().layer(layer_fn(Jwt::new))).await,
        }
    }
}

async fn serve<S>(tasks: &mut JoinSet<io::Result<()>>, service: S) -> SocketAddr
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("a TCP stream"));
    tasks.spawn(async { axum::serve(listener, service.into_make_service()).await });
    address
}

/// The API of the example `quickstart`.
fn api() -> Router {
    async fn items() -> Json<Value> {
        Json(json!({ "items": ["apple", "pear"] }))
    }
    Router::new().route("/items", get(items).post(items))
}
