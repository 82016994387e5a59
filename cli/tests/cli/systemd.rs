//! What a service manager is told, and the sockets that it hands over.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use crate::program::{Place, finish};
use crate::server::wait_until;
use crate::serving::{Serving, exchange};
use crate::signals::listening;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tower-api-token");
const PATIENCE: Duration = Duration::from_secs(60);

/// What the service manager is told, without what the watchdog is.
fn told(socket: &UnixDatagram) -> String {
    let mut text = [0; 256];
    loop {
        let length = socket.recv(&mut text).expect("it is told");
        let text = std::str::from_utf8(&text[..length]).expect("UTF-8").trim();
        if text != "WATCHDOG=1" {
            return text.to_owned();
        }
    }
}

fn service_manager(place: &Place) -> UnixDatagram {
    let socket = UnixDatagram::bind(place.path("notify.sock")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

#[test]
fn a_service_manager_is_told_when_the_server_is_ready_reads_anew_and_stops() {
    let place = Place::new();
    let socket = service_manager(&place);
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--profile", "original-method"];
    let mut command = place.command(&arguments);
    command.env("NOTIFY_SOCKET", place.path("notify.sock"));
    let mut server = Serving::run(command);
    assert_eq!(told(&socket), "READY=1");
    server.address("forward-auth");
    server.signal(Signal::HUP);
    let reloading = told(&socket);
    let since = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&reloading);
    assert!(since.parse::<u64>().is_ok_and(|since| since > 0), "{reloading}");
    assert_eq!(told(&socket), "READY=1");
    server.signal(Signal::TERM);
    assert_eq!(told(&socket), "STOPPING=1");
    assert_eq!(server.ended(), Some(0), "{}", server.log());
}

#[test]
fn a_server_that_does_not_start_is_never_ready() {
    let place = Place::without_store();
    let socket = service_manager(&place);
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--profile", "original-method"];
    let mut command = place.command(&arguments);
    finish(command.env("NOTIFY_SOCKET", place.path("notify.sock")), "").exited(7);
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut [0; 256]).is_err(), "nothing was told");
}

#[test]
fn the_watchdog_is_told_more_often_than_it_asks_for() {
    let place = Place::new();
    let socket = service_manager(&place);
    let arguments = "exec \"$0\" serve --listen 127.0.0.1:0 --profile original-method";
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("export WATCHDOG_PID=$$; {arguments}"), PROGRAM]);
    shell.current_dir(place.directory()).env("TOWER_API_TOKEN_STORE", &place.store);
    shell.env("WATCHDOG_USEC", "400000").env("NOTIFY_SOCKET", place.path("notify.sock"));
    let server = Serving::run(shell);
    server.address("forward-auth");
    let mut text = [0; 256];
    let mut times = 0;
    while times < 5 {
        let length = socket.recv(&mut text).expect("it is told");
        times += usize::from(&text[..length] == b"WATCHDOG=1\n");
    }
    server.stop();
}

/// A port that is free.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The program under `systemd-socket-activate`, which waits for the first connection.
fn activated(place: &Place, listen: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("systemd-socket-activate");
    command.arg(format!("--listen={listen}"));
    command.arg(format!("--setenv=TOWER_API_TOKEN_STORE={}", place.store));
    command.arg(PROGRAM).args(arguments).current_dir(place.directory());
    command
}

/// One request to that address, asked as nginx asks: the status, if there is one.
fn asked(address: &str, token: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let head = format!(
        "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx-original-method: GET\r\n\
         authorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

#[test]
fn a_restart_on_a_socket_that_is_handed_over_refuses_no_request() {
    const RESTARTS: usize = 3;
    let place = Place::new();
    let token = place.user_with_token("alice", &["GET"]);
    let address = format!("127.0.0.1:{}", free_port());
    let arguments = ["serve", "--listen", &address, "--profile", "original-method"];
    let mut server = Serving::run(activated(&place, &address, &arguments));
    server.logged("Listening on");
    assert_eq!(asked(&address, &token), Some(200), "{}", server.log());
    // From here on the test holds it, as systemd does.
    let socket: OwnedFd = listening(&server, &address);
    let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let ask_on = || {
        while !is_over.load(Ordering::Relaxed) {
            assert_eq!(asked(&address, &token), Some(200));
            answered.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    let more_are_answered = || {
        let before = answered.load(Ordering::Relaxed);
        wait_until("more answers", || answered.load(Ordering::Relaxed) >= before + 20);
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..2).map(|_| scope.spawn(ask_on)).collect();
        for _ in 0..RESTARTS {
            more_are_answered();
            server.signal(Signal::TERM);
            assert_eq!(server.ended(), Some(0), "{}", server.log());
            server = Serving::run(handed_over(&place, &socket, &arguments));
        }
        more_are_answered();
        is_over.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().expect("every request was answered");
        }
    });
    server.stop();
}

/// The same again, which is handed the socket by whoever holds it.
fn handed_over(place: &Place, socket: &OwnedFd, arguments: &[&str]) -> Command {
    let activate = "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; \
                    exec systemd-socket-activate \"--setenv=$STORE\" \"$0\" \"$@\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", activate, PROGRAM]).args(arguments).current_dir(place.directory());
    shell.env("STORE", format!("TOWER_API_TOKEN_STORE={}", place.store));
    shell.stdin(socket.try_clone().expect("a copy of it"));
    shell
}

fn answers(path: &Path) -> bool {
    let stream = UnixStream::connect(path).expect("a connection");
    exchange(stream, "GET", "/", &[], "").status == 401
}

#[test]
fn a_unix_socket_that_is_handed_over_stays_where_it_is_and_as_it_is() {
    let place = Place::new();
    let path = place.path("auth.sock");
    let listen = path.to_str().expect("UTF-8");
    // By another name of the same file.
    let arguments = ["serve", "--listen", "unix:auth.sock", "--profile", "original-method"];
    let mut server = Serving::run(activated(&place, listen, &arguments));
    server.logged("Listening on");
    assert!(answers(&path), "{}", server.log());
    server.signal(Signal::TERM);
    assert_eq!(server.ended(), Some(0), "{}", server.log());
    assert!(path.exists(), "its file is the service manager's");
}

#[test]
fn a_socket_that_no_listener_is_for_is_refused_and_so_is_what_is_none() {
    let place = Place::new();
    let (socket, other) = (TcpListener::bind("127.0.0.1:0").unwrap(), free_port());
    let address = socket.local_addr().unwrap().to_string();
    let listen = format!("127.0.0.1:{other}");
    let arguments = ["serve", "--listen", &listen, "--profile", "original-method"];
    let hand_over = |what: OwnedFd| {
        let script = "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" \"$@\"";
        let mut shell = Command::new("sh");
        shell.args(["-c", script, PROGRAM]).args(arguments).current_dir(place.directory());
        shell.env("TOWER_API_TOKEN_STORE", &place.store).stdin(what);
        let output = shell.output().expect("it ends");
        (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
    };
    let (code, said) = hand_over(socket.into());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains(&format!("a socket on {address}, which no `listen` names")), "{said}");
    let unix = UnixListener::bind(place.path("other.sock")).unwrap();
    let (code, said) = hand_over(unix.into());
    assert!(code == Some(2) && said.contains("other.sock"), "{said}");
    let file = std::fs::File::open(place.path("tokens.db")).unwrap();
    let (code, said) = hand_over(file.into());
    assert!(code == Some(2) && said.contains("no socket to listen on"), "{said}");
}
