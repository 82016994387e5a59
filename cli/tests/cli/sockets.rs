//! Sockets in the file system, and several processes that want the same one.

use std::fs::File;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::program::Place;
use crate::serving::{Serving, exchange};

const ARGUMENTS: [&str; 5] =
    ["serve", "--listen", "unix:auth.sock", "--profile", "original-method"];

fn answers(path: &Path) -> bool {
    let Ok(stream) = UnixStream::connect(path) else { return false };
    exchange(stream, "GET", "/", &[], "").status == 401
}

#[test]
fn of_processes_that_start_together_on_a_dead_socket_one_serves_and_keeps_it() {
    const PROCESSES: usize = 4;
    let place = Place::new();
    let path = place.path("auth.sock");
    for round in 0..20 {
        // What a process leaves that was killed.
        drop(UnixListener::bind(&path).unwrap());
        let mut started: Vec<_> =
            (0..PROCESSES).map(|_| Serving::run(place.command(&ARGUMENTS))).collect();
        let mut serving = Vec::new();
        for mut server in started.drain(..) {
            if server.logged_or_ended("forward-auth listening") {
                serving.push(server);
            } else {
                server.logged("forward-auth cannot listen on unix:auth.sock");
            }
        }
        assert_eq!(serving.len(), 1, "round {round}");
        assert!(answers(&path), "round {round}");
        serving.remove(0).stop();
        assert!(!path.exists(), "round {round}");
        assert!(!place.path("auth.sock.lock").exists(), "round {round}");
    }
}

#[test]
fn a_successors_socket_outlives_its_predecessor() {
    let place = Place::new();
    let path = place.path("auth.sock");
    for end in [Signal::TERM, Signal::INT] {
        let mut predecessor = Serving::run(place.command(&ARGUMENTS));
        predecessor.address("forward-auth");
        std::fs::remove_file(&path).unwrap();
        let successor = Serving::run(place.command(&ARGUMENTS));
        successor.address("forward-auth");
        predecessor.signal(end);
        assert_eq!(predecessor.ended(), Some(0));
        assert!(answers(&path));
        successor.stop();
        assert!(!path.exists());
    }
}

#[test]
fn whoever_may_only_read_the_directory_holds_up_no_start() {
    let place = Place::new();
    let directory = File::open(place.directory()).unwrap();
    directory.lock().unwrap();
    let started = Instant::now();
    let server = Serving::run(place.command(&ARGUMENTS));
    server.address("forward-auth");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(answers(&place.path("auth.sock")));
    server.stop();
    assert!(!place.path("auth.sock").exists());
}

#[test]
fn a_start_waits_for_the_lock_and_follows_no_link() {
    let place = Place::new();
    let lock = place.path("auth.sock.lock");
    let held = File::create(&lock).unwrap();
    held.lock().unwrap();
    let mut shut_out = Serving::run(place.command(&ARGUMENTS));
    assert_eq!(shut_out.ended(), Some(1), "{}", shut_out.log());
    shut_out.logged("another process has locked auth.sock.lock");
    assert!(lock.exists() && !place.path("auth.sock").exists());
    let server = Serving::run(place.command(&ARGUMENTS));
    server.logged("cache trusted");
    drop(held);
    server.address("forward-auth");
    server.stop();
    assert!(!lock.exists());
    place.write("other", "precious");
    std::os::unix::fs::symlink(place.path("other"), &lock).unwrap();
    let refused = Serving::run(place.command(&ARGUMENTS));
    refused.logged("auth.sock.lock");
    drop(refused);
    assert_eq!(std::fs::read_to_string(place.path("other")).unwrap(), "precious");
}
