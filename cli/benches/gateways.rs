//! Requests per second of each gateway of `examples/gateways`: alone, and with
//! every request decided by our endpoint. Then of nginx with our endpoint
//! against nginx with one that answers 200 to everybody: the same server, which
//! asks nobody.
//!
//! ```text
//! bash tests/install_gateways.sh
//! cargo bench --workspace --all-features --bench gateways
//! cargo bench --workspace --all-features --bench gateways -- --static    # the second part alone
//! ```
//!
//! Two variants take turns, round by round, and what is told is the median of
//! the rounds' own ratios: what else the machine does slows both. Client,
//! endpoint, API and gateway share its processors, so the figures compare the
//! variants and nothing else. `GATEWAY_ROUNDS=1` makes it short. The second part
//! gives nginx and the endpoint a processor of their own.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use endpoint::{ALICE, Endpoint};
use gateway::{APACHE, CADDY, ENVOY_GRPC, ENVOY_HTTP, Gateway, HAPROXY, NGINX, Running, TRAEFIK};
use static_answer::rounds::measure;
use support::statistics::median;

mod static_answer {
    pub(crate) mod api;
    pub(crate) mod endpoint;
    pub(crate) mod rounds;
}
#[path = "../../benches/support"]
mod support {
    pub(crate) mod bootstrap;
    pub(crate) mod core;
    pub(crate) mod load;
    pub(crate) mod population;
    pub(crate) mod statistics;
}
#[expect(dead_code, reason = "the tests let the endpoint fail")]
#[path = "../tests/gateways/endpoint.rs"]
mod endpoint;
#[expect(dead_code, reason = "the tests know what each gateway answers")]
#[path = "../tests/gateways/gateway.rs"]
mod gateway;

const ROUND: Duration = Duration::from_millis(700);
const WARM_UP: Duration = Duration::from_millis(500);
const CLIENTS: usize = 8;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Each gateway, and what is changed in its configuration so that it asks
/// nobody.
const GATEWAYS: [(Gateway, &[(&str, &str)]); 7] = [
    (NGINX, &[("auth_request /verify-by-endpoint;", "auth_request off;")]),
    (HAPROXY, &[("    http-request lua.verify\n", PASSED_BY_HAPROXY)]),
    (APACHE, &[("LuaHookAccessChecker verify.lua verify", "")]),
    (CADDY, CADDY_ASKS_NOBODY),
    (TRAEFIK, &[("[strip, verify, strip-token]", "[strip, strip-token]")]),
    (ENVOY_HTTP, ENVOY_ASKS_NOBODY),
    (ENVOY_GRPC, ENVOY_ASKS_NOBODY),
];

const PASSED_BY_HAPROXY: &str = "    http-request set-var(txn.auth_status) int(200)
    http-request set-var(txn.auth_user) str(alice)
    http-request set-var(txn.auth_slot) str(primary)\n";
const CADDY_ASKS_NOBODY: &[(&str, &str)] = &[
    ("\t\tvars asking endpoint\n", "\t\tvars asking endpoint\n\t\t@never path /never\n"),
    ("forward_auth {args[0]} 127.0.0.1", "forward_auth @never 127.0.0.1"),
];
const ENVOY_ASKS_NOBODY: &[(&str, &str)] = &[(
    "- name: envoy.filters.http.ext_authz\n",
    "- name: envoy.filters.http.ext_authz\n                    disabled: true\n",
)];

fn main() -> ExitCode {
    let rounds = std::env::var("GATEWAY_ROUNDS").ok().and_then(|count| count.parse().ok());
    let rounds = rounds.unwrap_or(10);
    if !std::env::args().any(|argument| argument == "--static") {
        tokio::runtime::Runtime::new().unwrap().block_on(each_gateway(rounds));
        println!();
    }
    if measure() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn each_gateway(rounds: usize) {
    let api = start_api().await;
    println!("| gateway | alone, 1/s | with our endpoint, 1/s | of it | of it, all rounds |");
    println!("|---|---|---|---|---|");
    for (gateway, alone) in GATEWAYS {
        let endpoint = Endpoint::start(gateway.asks).await;
        let asking = start(gateway, &endpoint, api).await;
        let alone = start(Gateway { edits: alone, ..gateway }, &endpoint, api).await;
        let mut pair = Pair::default();
        for round in 0..rounds {
            pair.alternate(round, &alone, &asking).await;
        }
        pair.print(gateway.folder);
    }
}

async fn start(gateway: Gateway, endpoint: &Endpoint, api: SocketAddr) -> Running {
    let endpoint = endpoint.address;
    let start = move || gateway.start(endpoint, api);
    let running = tokio::task::spawn_blocking(start).await.unwrap();
    // Some gateways listen before they know their routes.
    let deadline = Instant::now() + Duration::from_secs(60);
    while requests(running.address, Duration::ZERO).await.is_err() {
        assert!(Instant::now() < deadline, "the gateway lets nothing pass: {}", running.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    load(running.address, WARM_UP).await;
    running
}

/// What two variants did, round by round.
#[derive(Default)]
struct Pair {
    first: Vec<f64>,
    second: Vec<f64>,
    ratios: Vec<f64>,
}

impl Pair {
    /// A round of each variant; which comes first changes from round to round.
    async fn alternate(&mut self, round: usize, first: &Running, second: &Running) {
        let mut rates = [0.0; 2];
        for turn in [round % 2, 1 - round % 2] {
            let gateway = if turn == 1 { second } else { first };
            rates[turn] = load(gateway.address, ROUND).await;
        }
        self.first.push(rates[0]);
        self.second.push(rates[1]);
        self.ratios.push(rates[1] / rates[0]);
    }

    fn print(&self, name: &str) {
        let (least, most) = self.ratios.iter().fold((f64::MAX, 0.0_f64), |(least, most), ratio| {
            (least.min(*ratio), most.max(*ratio))
        });
        let [first, second] = [&self.first, &self.second].map(|rates| median(rates));
        let ratio = median(&self.ratios) * 100.0;
        let (least, most) = (least * 100.0, most * 100.0);
        println!(
            "| {name} | {first:.0} | {second:.0} | {ratio:.1} % | {least:.1} to {most:.1} % |"
        );
    }
}

/// Requests per second, all of them let pass.
async fn load(gateway: SocketAddr, time: Duration) -> f64 {
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(requests(gateway, time));
    }
    let counts = clients.join_all().await;
    let counts = counts.into_iter().map(|count| count.expect("every request passes"));
    counts.sum::<usize>() as f64 / begun.elapsed().as_secs_f64()
}

/// How many requests one client has let pass in that time, at least one. Some
/// gateways close a connection after so many.
async fn requests(gateway: SocketAddr, time: Duration) -> Result<usize, Failure> {
    let (begun, mut count) = (Instant::now(), 0);
    let mut sender = connect(gateway).await?;
    while count == 0 || begun.elapsed() < time {
        if sender.ready().await.is_err() {
            sender = connect(gateway).await?;
        }
        let request = Request::get("/items").header("host", "api.test");
        let request = request.header("authorization", format!("Bearer {ALICE}"));
        let request = request.header("user-agent", "bench/1.0").header("accept", "*/*");
        let request = request.body(Full::<Bytes>::default())?;
        let response = sender.send_request(request).await?;
        if response.status() != 200 {
            return Err(response.status().to_string().into());
        }
        response.into_body().collect().await?;
        count += 1;
    }
    Ok(count)
}

async fn connect(gateway: SocketAddr) -> Result<SendRequest<Full<Bytes>>, Failure> {
    let stream = TcpStream::connect(gateway).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// The API behind the gateways.
async fn start_api() -> SocketAddr {
    async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        Ok(Response::new(Full::from("from the api")))
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(stream), service_fn(answer)));
        }
    });
    address
}
