//! Connections whose peers say half of something and fall silent.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::http2::{
    CONTINUATION, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, Silent, answer_begins,
    check_head, frame, request_without_window,
};
use crate::program::Place;
use crate::serving::{Serving, exchange};
use crate::tls::certificate;

/// Every way to begin and not to go on, in HTTP/1.1 and in HTTP/2.
fn beginnings() -> Vec<Vec<u8>> {
    let head = b"GET / HTTP/1.1\r\nhost: localhost\r\nx-original-method: GET\r\n\r";
    let settings = [PREFACE, &frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])].concat();
    let block = check_head();
    let (first, second) = block.split_at(20);
    let headers = [&settings[..], &frame(HEADERS, 0, 1, first)].concat();
    let continued = [&headers[..], &frame(CONTINUATION, 0, 1, second)].concat();
    let prefixes = |whole: &[u8], from: usize| -> Vec<Vec<u8>> {
        (from..=whole.len()).map(|length| whole[..length].to_vec()).collect()
    };
    [
        prefixes(head, 0),
        prefixes(&settings, 1),
        prefixes(&continued, settings.len() + 1).into_iter().step_by(5).collect(),
        vec![continued],
    ]
    .concat()
}

/// Waits until the server has closed the connection.
#[track_caller]
fn closed(stream: &mut dyn Silent, by: Instant, what: &str) {
    let mut buffer = [0; 4_096];
    loop {
        let left = by.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        stream.wait_at_most(left);
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => assert!(Instant::now() < by, "{what}: the server goes on to talk"),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
            // A machine that was stopped and goes on interrupts a read with a
            // time-out, which the system does not begin again by itself.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("{what}: {error}"),
        }
    }
}

/// Looks on until then whether the server closes the connection.
#[track_caller]
fn stays(stream: &mut dyn Silent, until: Instant, what: &str) {
    let mut buffer = [0; 4_096];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        stream.wait_at_most(left.max(Duration::from_millis(1)));
        match stream.read(&mut buffer) {
            Ok(length) => assert!(length > 0, "{what}: the server has closed it"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "{what}");
                if Instant::now() >= until {
                    return;
                }
            }
        }
    }
}

/// How long after the time-out a busy machine may take.
const SLACK: Duration = Duration::from_secs(20);
const HEAD_TIMEOUT: Duration = Duration::from_secs(2);

const PORTAL: &str = "[portal]\nlisten = \"127.0.0.1:0\"\nuser-header = \"x-remote-user\"\n\
    show-codes = true\n";

/// Serves on every listener that there is.
pub(crate) fn serve(place: &Place, head_timeout: &str) -> Command {
    place.write("portal.toml", PORTAL);
    let endpoint = ["serve", "--listen", "127.0.0.1:0", "--profile", "original-method"];
    let others = ["--ext-authz", "unix:grpc.sock", "--operations", "127.0.0.1:0"];
    let config = ["--config", "portal.toml"];
    let mut command = place.command(&[&endpoint[..], &others, &config].concat());
    command.env("TOWER_API_TOKEN_HEAD_TIMEOUT", head_timeout);
    command
}

fn connect_grpc(place: &Place) -> UnixStream {
    UnixStream::connect(place.path("grpc.sock")).unwrap()
}

pub(crate) const TCP: [&str; 3] = ["forward-auth", "portal", "operations"];

#[test]
fn whoever_falls_silent_in_the_middle_of_something_is_let_go_in_time_by_every_listener() {
    let place = Place::new();
    let server = Serving::run(serve(&place, "2s"));
    server.logged("operations listening");
    let beginnings = beginnings();
    let begun = Instant::now();
    let mut silent: Vec<(String, Box<dyn Silent>)> = Vec::new();
    for beginning in &beginnings {
        let shown = String::from_utf8_lossy(beginning);
        for name in TCP {
            let mut stream = TcpStream::connect(server.address(name)).unwrap();
            stream.write_all(beginning).unwrap();
            silent.push((format!("{name}: {shown:?}"), Box::new(stream)));
        }
        let mut stream = connect_grpc(&place);
        stream.write_all(beginning).unwrap();
        silent.push((format!("ext-authz: {shown:?}"), Box::new(stream)));
    }
    for (what, stream) in &mut silent {
        closed(&mut **stream, begun + HEAD_TIMEOUT + SLACK, what);
    }
    assert!(begun.elapsed() >= HEAD_TIMEOUT, "nobody had the time that was promised");
    server.stop();
}

/// A request to the endpoint, but for its last bytes.
fn tls_client(place: &Place) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(place.path("a.crt")).unwrap()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let address = std::net::Ipv4Addr::LOCALHOST.into();
    let name = tokio_rustls::rustls::pki_types::ServerName::IpAddress(address);
    ClientConnection::new(Arc::new(config), name).unwrap()
}

#[test]
fn whoever_falls_silent_in_a_tls_handshake_or_after_it_is_let_go_in_time() {
    let place = Place::new();
    certificate(&place, "a");
    let mut command = serve(&place, "2s");
    command.env("TOWER_API_TOKEN_FORWARD_AUTH_TLS_CERTIFICATE", "a.crt");
    command.env("TOWER_API_TOKEN_FORWARD_AUTH_TLS_KEY", "a.key");
    let server = Serving::run(command);
    let address = server.address("forward-auth");
    let mut hello = Vec::new();
    tls_client(&place).write_tls(&mut hello).unwrap();
    let begun = Instant::now();
    let mut silent = Vec::new();
    for length in (0..=hello.len()).step_by(7).chain([1, 5, 6, hello.len()]) {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.write_all(&hello[..length]).unwrap();
        silent.push((format!("{length} bytes of the first message"), stream));
    }
    for beginning in beginnings().into_iter().step_by(9) {
        let mut stream = TcpStream::connect(&address).unwrap();
        let mut client = tls_client(&place);
        client.complete_io(&mut stream).unwrap();
        client.writer().write_all(&beginning).unwrap();
        client.complete_io(&mut stream).unwrap();
        silent.push((format!("in TLS: {:?}", String::from_utf8_lossy(&beginning)), stream));
    }
    for (what, stream) in &mut silent {
        closed(stream, begun + HEAD_TIMEOUT + SLACK, what);
    }
    server.stop();
}

#[test]
fn half_of_a_further_request_is_not_waited_for_either() {
    let place = Place::new();
    let server = Serving::run(serve(&place, "1s"));
    for name in TCP {
        let mut stream = TcpStream::connect(server.address(name)).unwrap();
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut first = [0; 1];
        stream.read_exact(&mut first).unwrap();
        stream.write_all(b"GET /health HT").unwrap();
        closed(&mut stream, Instant::now() + SLACK, name);
    }
}

#[test]
fn half_of_a_further_request_is_not_waited_for_where_it_comes_with_the_one_before() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    let server = Serving::run(serve(&place, "1s"));
    let head = "POST /tokens/api/generate HTTP/1.1\r\nhost: localhost\r\n\
         x-remote-user: alice\r\ncontent-type: application/json\r\n";
    let without_body = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned();
    let of_length = format!("{head}content-length: 13\r\n\r\n{{\"primary\":1}}");
    let of_two_lines = format!("{head}content-length: 17\r\n\r\n{{\"primary\":\r\n\r\n1}}");
    let chunked =
        format!("{head}transfer-encoding: chunked\r\n\r\nd\r\n{{\"primary\":1}}\r\n0\r\n\r\n");
    let begun = Instant::now();
    let (mut halves, mut wholes) = (Vec::new(), Vec::new());
    for whole in [without_body, of_length, of_two_lines, chunked] {
        for name in TCP {
            for half in ["", "G", "GET /health HTTP/1.1\r\nhost"] {
                let mut stream = TcpStream::connect(server.address(name)).unwrap();
                stream.write_all(format!("{whole}{whole}{half}").as_bytes()).unwrap();
                let into = if half.is_empty() { &mut wholes } else { &mut halves };
                into.push((format!("{name}: {whole} {half}"), stream));
            }
        }
    }
    for (what, stream) in &mut halves {
        closed(stream, begun + SLACK, what);
    }
    for (what, stream) in &mut wholes {
        stays(stream, begun + 3 * Duration::from_secs(1), what);
    }
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    let server = Serving::run(serve(&place, "1s"));
    for name in TCP {
        let mut stream = TcpStream::connect(server.address(name)).unwrap();
        let head = "POST /tokens/api/generate HTTP/1.1\r\nhost: localhost\r\nx-remote-user: alice\r\n\
             content-type: application/json\r\ncontent-length: 13\r\n\r\n{\"prim";
        stream.write_all(head.as_bytes()).unwrap();
        closed(&mut stream, Instant::now() + SLACK, name);
    }
    let check = frame(HEADERS, END_HEADERS, 1, &check_head());
    let mut stream = connect_grpc(&place);
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), &check].concat()).unwrap();
    // Half of a message, whose length is said to be 16.
    stream.write_all(&frame(0, 0, 1, &[0, 0, 0, 0, 16, 10, 2])).unwrap();
    answer_begins(&mut stream);
}

#[test]
fn half_a_head_does_not_hold_up_the_end() {
    let place = Place::new();
    certificate(&place, "a");
    let mut command = serve(&place, "60s");
    command.env("TOWER_API_TOKEN_SHUTDOWN_GRACE", "60s");
    command.env("TOWER_API_TOKEN_PORTAL_TLS_CERTIFICATE", "a.crt");
    command.env("TOWER_API_TOKEN_PORTAL_TLS_KEY", "a.key");
    let mut server = Serving::run(command);
    server.logged("operations listening");
    let beginnings: Vec<_> = beginnings().into_iter().step_by(4).collect();
    let mut silent: Vec<Box<dyn Silent>> = Vec::new();
    for beginning in &beginnings {
        // To the portal it is no TLS.
        for name in ["forward-auth", "operations", "portal"] {
            let mut stream = TcpStream::connect(server.address(name)).unwrap();
            stream.write_all(beginning).unwrap();
            silent.push(Box::new(stream));
        }
        let mut stream = connect_grpc(&place);
        stream.write_all(beginning).unwrap();
        silent.push(Box::new(stream));
    }
    // They are accepted in order.
    assert_eq!(server.operations("/health").status, 200);
    assert_eq!(server.ask(None, "GET").status, 401);
    let told = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.ended(), Some(0), "{}", server.log());
    assert!(told.elapsed() < Duration::from_secs(10), "{:?}", told.elapsed());
    assert!(!server.log().contains("cut off"), "{}", server.log());
}

/// The command, with so few descriptors that each listener has twelve connections.
fn with_few_descriptors(place: &Place, usual: &Command) -> Command {
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 96 && exec \"$0\" \"$@\""]);
    limited.arg(usual.get_program()).args(usual.get_args());
    limited.current_dir(place.directory()).env_clear();
    limited.envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited
}

#[test]
fn more_connections_than_there_are_descriptors_shut_nobody_out() {
    let place = Place::new();
    let token = place.user_with_token("alice", &["GET"]);
    let limited = with_few_descriptors(&place, &serve(&place, "60s"));
    let server = Serving::run(limited);
    server.logged("operations listening");
    let listeners = ["forward-auth", "portal"].map(|name| server.address(name));
    let grpc = place.path("grpc.sock");
    let (flooded, flood) = std::sync::mpsc::channel();
    // Where nobody accepts, whoever connects waits.
    std::thread::spawn(move || {
        let mut silent: Vec<Box<dyn Silent + Send>> = Vec::new();
        for beginning in [&b""[..], b"P", b"GET / HT"].into_iter().cycle().take(240) {
            // Any of them may have been closed already to make room.
            for address in &listeners {
                let mut stream = TcpStream::connect(address).unwrap();
                drop(stream.write_all(beginning));
                silent.push(Box::new(stream));
            }
            let mut stream = UnixStream::connect(&grpc).unwrap();
            drop(stream.write_all(beginning));
            silent.push(Box::new(stream));
        }
        flooded.send(silent)
    });
    let _silent = flood.recv_timeout(Duration::from_secs(60)).expect("all were accepted");
    let asked = Instant::now();
    assert_eq!(server.ask(Some(&token), "GET").status, 200);
    assert_eq!(server.operations("/ready").status, 200);
    let portal = TcpStream::connect(server.address("portal")).unwrap();
    let alice = [("x-remote-user", "alice".to_owned())];
    assert_eq!(exchange(portal, "GET", "/tokens", &alice, "").status, 200);
    assert!(asked.elapsed() < Duration::from_secs(30), "{:?}", asked.elapsed());
    let log = server.stop();
    assert!(log.contains("connections are in use"), "{log}");
    assert!(!log.contains("cannot accept"), "{log}");
}

#[test]
fn peers_that_take_no_response_shut_nobody_out() {
    let place = Place::new();
    let server = Serving::run(with_few_descriptors(&place, &serve(&place, "60s")));
    server.logged("operations listening");
    let mut silent: Vec<Box<dyn Silent>> = Vec::new();
    for _ in 0..12 {
        for name in TCP {
            let mut stream = TcpStream::connect(server.address(name)).unwrap();
            stream.write_all(&request_without_window()).unwrap();
            answer_begins(&mut stream);
            silent.push(Box::new(stream));
        }
        let mut stream = connect_grpc(&place);
        // A head whose body does not come: Envoy's own requests end otherwise.
        let head = frame(HEADERS, END_HEADERS, 1, &check_head());
        stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), &head].concat()).unwrap();
        silent.push(Box::new(stream));
    }
    for name in TCP {
        let asked = Instant::now();
        let stream = TcpStream::connect(server.address(name)).unwrap();
        stream.set_read_timeout(Some(SLACK)).unwrap();
        exchange(stream, "GET", "/health", &[], "");
        assert!(asked.elapsed() < SLACK, "{name}: {:?}", asked.elapsed());
    }
    let mut stream = connect_grpc(&place);
    let head = frame(HEADERS, END_HEADERS | END_STREAM, 1, &check_head());
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), &head].concat()).unwrap();
    answer_begins(&mut stream);
}

#[test]
fn a_head_that_is_too_long_is_answered_however_long_it_is() {
    let place = Place::new();
    let server = Serving::run(serve(&place, "60s"));
    for name in TCP {
        for length in [60_000, 120_000, 140_000, 400_000, 1_000_000] {
            let stream = TcpStream::connect(server.address(name)).unwrap();
            stream.set_read_timeout(Some(SLACK)).unwrap();
            let long = [("x-long", "a".repeat(length))];
            let status = exchange(stream, "GET", "/health", &long, "").status;
            assert_eq!(status == 431, length > 128 * 1_024, "{name}: {length}: {status}");
        }
        // What a peer over HTTP/2 is told that it may send.
        let mut stream = TcpStream::connect(server.address(name)).unwrap();
        stream.set_read_timeout(Some(SLACK)).unwrap();
        stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).unwrap();
        let mut settings = [0; 64];
        let read = stream.read(&mut settings).unwrap();
        let most = [&[0, 6][..], &(128_u32 << 10).to_be_bytes()].concat();
        assert!(settings[..read].windows(6).any(|setting| setting == most), "{name}");
    }
}
