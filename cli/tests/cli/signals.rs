//! Signals, and parts of the server that end when they should not.

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, Signal, pidfd_getfd, pidfd_open};

use crate::connections::{TCP, serve};
use crate::http2::{answer_begins, request_without_window};
use crate::program::Place;
use crate::serving::Serving;

#[test]
fn a_hang_up_ends_nothing() {
    let place = Place::new();
    let token = place.user_with_token("alice", &["GET"]);
    let server = Serving::start(&place, &[]);
    server.address("operations");
    for _ in 0..3 {
        server.signal(Signal::HUP);
        assert_eq!(server.ask(Some(&token), "GET").status, 200);
    }
    server.stop();
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    place.write(
        "portal.toml",
        "shutdown-grace = \"10m\"\nhead-timeout = \"10m\"\n[portal]\nlisten = \"127.0.0.1:0\"\n\
         user-header = \"x-remote-user\"\nshow-codes = true\n",
    );
    for (first, second) in [(Signal::INT, Signal::INT), (Signal::TERM, Signal::INT)] {
        let command = place.command(&["serve", "--config", "portal.toml"]);
        let mut server = Serving::run(command);
        let mut stream = TcpStream::connect(server.address("portal")).unwrap();
        let head = "POST /tokens/api/generate HTTP/1.1\r\nhost: localhost\r\nx-remote-user: alice\r\n\
             content-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 13\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        // The body is asked for: the request is being answered.
        std::io::Read::read_exact(&mut stream, &mut [0; 25]).unwrap();
        server.signal(first);
        server.logged("stopping");
        // Neither ends a server that is ending, nor one that serves.
        server.signal(Signal::HUP);
        let told = Instant::now();
        server.signal(second);
        assert_eq!(server.ended(), Some(1), "{}", server.log());
        assert!(told.elapsed() < Duration::from_secs(30), "{:?}", told.elapsed());
        server.logged("a second signal came");
    }
}

/// The process's descriptor that listens on that address.
pub(crate) fn listening(server: &Serving, address: &str) -> OwnedFd {
    let pid = Pid::from_raw(server.id()).expect("a process");
    let process = pidfd_open(pid, PidfdFlags::empty()).expect("it is there");
    let found = (3..200).find_map(|number| {
        let copy = pidfd_getfd(&process, number, PidfdGetfdFlags::empty()).ok()?;
        let socket = TcpListener::from(copy);
        let own = socket.local_addr().ok()?.to_string();
        let is_connected = TcpStream::from(OwnedFd::from(socket.try_clone().ok()?)).peer_addr();
        (own == address && is_connected.is_err()).then(|| socket.into())
    });
    found.expect("a socket that listens")
}

#[test]
fn a_listener_that_dies_ends_the_server_in_order_and_is_named() {
    let place = Place::new();
    let token = place.user_with_token("alice", &["GET"]);
    for name in ["forward-auth", "operations"] {
        let mut server = Serving::start(&place, &[]);
        server.address("operations");
        assert_eq!(server.ask(Some(&token), "GET").status, 200);
        let socket = listening(&server, &server.address(name));
        TcpStream::from(socket).shutdown(Shutdown::Both).expect("it listens no more");
        assert_eq!(server.ended(), Some(1), "{}", server.log());
        server.logged("stopped");
        server.logged(&format!("{name} listens no more"));
    }
}

#[test]
fn all_listeners_together_end_within_one_grace_period() {
    const GRACE: Duration = Duration::from_secs(6);
    let place = Place::new();
    let mut command = serve(&place, "60s");
    command.env("TOWER_API_TOKEN_SHUTDOWN_GRACE", "6s");
    let mut server = Serving::run(command);
    server.logged("operations listening");
    let _silent = TCP.map(|name| {
        let mut stream = TcpStream::connect(server.address(name)).unwrap();
        stream.write_all(&request_without_window()).unwrap();
        answer_begins(&mut stream);
        stream
    });
    let told = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.ended(), Some(0), "{}", server.log());
    let took = told.elapsed();
    assert!(GRACE <= took && took < 2 * GRACE, "{took:?}");
}
