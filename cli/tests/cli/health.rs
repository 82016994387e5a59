//! Whether a server is ready: over gRPC, while it stops, and asked by the program.

use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::program::{Place, finish};
use crate::serving::{Serving, exchange};

/// The statuses of `grpc.health.v1`.
pub(crate) const SERVING: u8 = 1;
pub(crate) const NOT_SERVING: u8 = 2;

const CHECK: &str = "grpc.health.v1.Health/Check";

/// Asks that method of `grpc.health.v1` about a service: the status, or that of gRPC.
fn ask(place: &Place, server: &Serving, method: &str, service: &str) -> Result<u8, String> {
    let mut message = vec![0, 0, 0, 0, 0];
    if !service.is_empty() {
        let length = u8::try_from(service.len()).unwrap();
        message[4] = length + 2;
        message.extend([&[0x0a, length], service.as_bytes()].concat());
    }
    let (head, answer) = exchanged(place, server, method, &message);
    let failed = head.lines().find_map(|line| line.strip_prefix("grpc-status: "));
    match failed.filter(|status| status.trim() != "0") {
        Some(status) => Err(status.trim().to_owned()),
        // One message with one field, which is the status.
        None => match &answer[..] {
            [0, 0, 0, 0, 2, 0x08, status] => Ok(*status),
            other => panic!("{other:?} {head}"),
        },
    }
}

/// Sends a message to the listener for Envoy: the head of the answer, and the rest.
fn exchanged(place: &Place, server: &Serving, method: &str, message: &[u8]) -> (String, Vec<u8>) {
    drop(std::fs::remove_file(place.path("answer")));
    std::fs::write(place.path("question"), message).unwrap();
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--max-time", "20", "--http2-prior-knowledge"]);
    curl.args(["--output", "answer", "--dump-header", "head", "--data-binary", "@question"]);
    curl.args(["--header", "content-type: application/grpc", "--header", "te: trailers"]);
    curl.arg(format!("http://{}/{method}", server.address("ext-authz")));
    finish(curl.current_dir(place.directory()), "").succeeded();
    let head = std::fs::read_to_string(place.path("head")).unwrap();
    (head, std::fs::read(place.path("answer")).unwrap_or_default())
}

/// What the server as a whole says of itself.
pub(crate) fn over_grpc(place: &Place, server: &Serving) -> u8 {
    ask(place, server, CHECK, "").expect("an answer")
}

#[test]
fn whoever_asks_for_health_over_grpc_needs_no_secret() {
    let place = Place::new();
    place.write("secret", "a secret that only the gateway knows");
    let mut command = place.command(&["serve", "--ext-authz", "127.0.0.1:0"]);
    command.env("TOWER_API_TOKEN_EXT_AUTHZ_SECRET_FILE", "secret");
    let server = Serving::run(command);
    for service in ["", "envoy.service.auth.v3.Authorization"] {
        assert_eq!(ask(&place, &server, CHECK, service), Ok(SERVING), "{service:?}");
    }
    let (not_found, unimplemented) = (Err("5".to_owned()), Err("12".to_owned()));
    assert_eq!(ask(&place, &server, CHECK, "another.Service"), not_found);
    assert_eq!(ask(&place, &server, "grpc.health.v1.Health/Watch", ""), unimplemented);
    assert!(!server.log().contains("not recognised"), "{}", server.log());
    // What is beside it needs the secret as ever.
    let beside = exchanged(&place, &server, "grpc.health.v1.HealthCheck/Check", &[0; 5]);
    assert!(beside.1.windows(3).any(|part| part == b"503"), "{beside:?}");
    server.logged("X-Gateway-Secret is missing");
}

#[test]
fn a_server_that_is_told_to_stop_is_not_ready_and_still_serves_for_the_delay() {
    const DELAY: Duration = Duration::from_secs(4);
    let place = Place::new();
    let token = place.user_with_token("alice", &["GET"]);
    place.write("config.toml", "shutdown-delay = \"4s\"\n");
    let more = ["--ext-authz", "127.0.0.1:0", "--config", "config.toml"];
    let mut server = Serving::start(&place, &more);
    assert_eq!(server.operations("/ready").status, 200);
    assert_eq!(over_grpc(&place, &server), SERVING);
    let told = Instant::now();
    server.signal(Signal::TERM);
    server.logged("no longer ready");
    let ready = server.operations("/ready");
    assert_eq!((ready.status, ready.body.trim()), (503, "stopping"));
    assert_eq!(over_grpc(&place, &server), NOT_SERVING);
    assert_eq!(server.operations("/health").status, 200, "it lives");
    assert_eq!(server.ask(Some(&token), "GET").status, 200, "a new connection is served");
    assert!(told.elapsed() < DELAY, "{:?}", told.elapsed());
    assert_eq!(server.ended(), Some(0), "{}", server.log());
    assert!(told.elapsed() >= DELAY, "{:?}", told.elapsed());
}

/// Whoever reaches the listener may ask, without a secret.
#[test]
fn however_often_health_is_asked_for_over_grpc_the_store_is_asked_once_a_second() {
    const TIMES: usize = 40;
    let place = Place::new();
    let server = Serving::start(&place, &["--ext-authz", "127.0.0.1:0"]);
    let loads = || {
        let metrics = server.operations("/metrics").body;
        let is_count = |line: &&str| {
            line.starts_with("tower_api_token_store_seconds_count") && line.contains("\"load\"")
        };
        let counts = metrics.lines().filter(is_count);
        counts.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum::<usize>()
    };
    let (before, began) = (loads(), Instant::now());
    for _ in 0..TIMES {
        assert_eq!(over_grpc(&place, &server), SERVING);
    }
    let (asked, seconds) = (loads() - before, began.elapsed().as_secs() as usize);
    assert!(0 < asked && asked <= seconds + 2, "{asked} in {seconds} s");
}

#[test]
fn what_has_only_just_connected_when_the_signal_comes_is_answered() {
    let place = Place::new();
    let token = place.user_with_token("alice", &["GET"]);
    let mut server = Serving::start(&place, &[]);
    let stream = TcpStream::connect(server.address("forward-auth")).unwrap();
    // Accepted after the other.
    assert_eq!(server.ask(Some(&token), "GET").status, 200);
    server.signal(Signal::TERM);
    server.logged("stopping");
    let headers =
        [("x-original-method", "GET".to_owned()), ("authorization", format!("Bearer {token}"))];
    assert_eq!(exchange(stream, "GET", "/", &headers, "").status, 200);
    assert_eq!(server.ended(), Some(0), "{}", server.log());
}

#[test]
fn a_second_signal_cuts_the_delay_off() {
    let place = Place::new();
    place.write("config.toml", "shutdown-delay = \"10m\"\n");
    let mut server = Serving::start(&place, &["--config", "config.toml"]);
    server.address("operations");
    server.signal(Signal::TERM);
    server.logged("no longer ready");
    server.signal(Signal::TERM);
    assert_eq!(server.ended(), Some(1), "{}", server.log());
}

#[test]
fn the_program_asks_a_server_whether_it_is_ready_and_exits_with_0_or_1() {
    let place = Place::new();
    let server = Serving::start(&place, &[]);
    let address = server.address("operations");
    for path in ["", "/", "/ready"] {
        let ran = place.run(&["health", &format!("http://{address}{path}")]).succeeded();
        assert_eq!(ran.out, "ready\n", "{path}");
    }
    let ran = place.run(&["health", "--json", &format!("http://{address}/health")]).succeeded();
    assert_eq!((&ran.json()[0]["status"], &ran.json()[0]["said"]), (&200.into(), &"alive".into()));
    let missing = format!("http://{address}/nothing");
    place.run(&["health", &missing]).exited(1).says(&missing).says("404");
    // The answer of a gateway's listener is a denial.
    let denied = format!("http://{}/", server.address("forward-auth"));
    place.run(&["health", &denied]).exited(1).says("401");
    server.stop();
    place.run(&["health", &format!("http://{address}/ready")]).exited(1).says("refused");
    for bad in ["https://127.0.0.1:1/ready", "127.0.0.1:1", "unix:"] {
        place.run(&["health", bad]).exited(2).says("http://127.0.0.1:9181/ready");
    }
}

#[test]
fn without_an_address_the_listener_of_the_settings_is_asked_also_on_a_socket() {
    let place = Place::new();
    place.run(&["health"]).exited(2).says("operations.listen");
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    for (listen, by) in [
        (format!("0.0.0.0:{port}"), format!("http://127.0.0.1:{port}")),
        ("unix:ops.sock".to_owned(), "unix:ops.sock".to_owned()),
    ] {
        place.write("config.toml", &format!("[operations]\nlisten = \"{listen}\"\n"));
        let arguments = ["serve", "--ext-authz", "127.0.0.1:0", "--config", "config.toml"];
        let mut server = Serving::run(place.command(&arguments));
        server.address("operations");
        for asked in [&["health", "--config", "config.toml"][..], &["health", &by]] {
            assert_eq!(place.run(asked).succeeded().out, "ready\n", "{asked:?}");
        }
        server.signal(Signal::KILL);
        server.ended();
        place.run(&["health", "--config", "config.toml"]).exited(1).says(&by);
    }
}

/// A server that never answers must not hold up whoever asks for its health.
#[test]
fn an_answer_that_does_not_come_is_no_health() {
    let place = Place::new();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let asked = Instant::now();
    place.run(&["health", &url]).exited(1).says("no answer came in time");
    assert!(asked.elapsed() < Duration::from_secs(30), "{:?}", asked.elapsed());
}
