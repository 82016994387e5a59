//! A store that goes away, and a server that ends meanwhile.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::health::{NOT_SERVING, SERVING, over_grpc};
use crate::postgres::Server;
use crate::program::Place;
use crate::serving::Serving;

/// Asks until it is answered so.
fn until(what: &str, mut status: impl FnMut() -> u16, expected: u16) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let found = status();
        if found == expected {
            return;
        }
        assert!(Instant::now() < end, "{what}: still {found}");
    }
}

#[tokio::test]
async fn readiness_and_requests_say_503_while_the_store_is_down_and_recover() {
    let server = Server::start(&["fsync=off"]);
    let database = server.database().await;
    let place = Place::in_database(&server, &database);
    place.run(&["migrate"]).succeeded();
    let token = place.user_with_token("alice", &["GET"]);
    let serving = Serving::start(&place, &["--ext-authz", "127.0.0.1:0"]);
    assert_eq!(serving.ask(Some(&token), "GET").status, 200);
    assert_eq!(serving.operations("/ready").status, 200);
    assert_eq!(over_grpc(&place, &serving), SERVING);
    server.kill();
    until("ready", || serving.operations("/ready").status, 503);
    until("over gRPC", || over_grpc(&place, &serving).into(), NOT_SERVING.into());
    // What the cache holds is good for the promised time only.
    until("asked", || serving.ask(Some(&token), "GET").status, 503);
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let denied = serving.ask_with(&[
        ("x-original-method", "GET".to_owned()),
        ("authorization", format!("Bearer {token}")),
        ("traceparent", traceparent.to_owned()),
    ]);
    assert_eq!(denied.status, 503);
    // At `info`, too: this is what a trace is looked for by.
    let span = "decision{trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\" \
                parent_id=\"00f067aa0ba902b7\"}";
    let said = serving.logged("trace_id");
    assert!(said.contains(span) && said.contains("store unavailable"), "{said}");
    assert!(denied.header("retry-after").is_some() && denied.header("x-auth-user").is_none());
    assert_eq!(serving.operations("/health").status, 200, "it lives");
    place.run(&["user", "list"]).exited(6);
    server.start_again();
    until("ready", || serving.operations("/ready").status, 200);
    until("asked", || serving.ask(Some(&token), "GET").status, 200);
    let log = serving.stop();
    assert!(!log.contains(&token), "{log}");
}

#[tokio::test]
async fn a_running_request_is_answered_before_the_server_ends() {
    let server = Server::start(&["fsync=off"]);
    let database = server.database().await;
    let place = Place::in_database(&server, &database);
    place.run(&["migrate"]).succeeded();
    let token = place.user_with_token("alice", &["GET"]);
    let mut command =
        place.command(&["serve", "--listen", "127.0.0.1:0", "--profile", "original-method"]);
    command
        .env("TOWER_API_TOKEN_STORE_TIMEOUT", "30s")
        .env("TOWER_API_TOKEN_CACHE_ENABLED", "false");
    let mut serving = Serving::run(command);
    assert_eq!(serving.ask(Some(&token), "GET").status, 200);
    let address = serving.address("forward-auth");
    server.freeze(true);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| serving.ask(Some(&token), "GET").status);
        // It is under way once a connection of the database waits for it.
        std::thread::sleep(Duration::from_millis(500));
        serving.signal(Signal::TERM);
        serving.logged("stopping");
        let end = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(&address).is_ok() {
            assert!(Instant::now() < end, "it still accepts");
        }
        assert!(!running.is_finished(), "it should wait for the database");
        server.freeze(false);
        assert_eq!(running.join().unwrap(), 200);
    });
    assert_eq!(serving.ended(), Some(0), "{}", serving.log());
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_keep_the_server_for_ever() {
    let server = Server::start(&["fsync=off"]);
    let database = server.database().await;
    let place = Place::in_database(&server, &database);
    place.run(&["migrate"]).succeeded();
    let token = place.user_with_token("alice", &["GET"]);
    let mut command =
        place.command(&["serve", "--listen", "127.0.0.1:0", "--profile", "original-method"]);
    command
        .env("TOWER_API_TOKEN_STORE_TIMEOUT", "60s")
        .env("TOWER_API_TOKEN_CACHE_ENABLED", "false");
    command.env("TOWER_API_TOKEN_SHUTDOWN_GRACE", "1s");
    let mut serving = Serving::run(command);
    let address = serving.address("forward-auth");
    server.freeze(true);
    let mut stream = std::net::TcpStream::connect(&address).unwrap();
    let request = format!(
        "GET / HTTP/1.1\r\nhost: a\r\nx-original-method: GET\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    serving.signal(Signal::TERM);
    let code = serving.ended();
    server.freeze(false);
    // Nothing was used, so there was nothing to flush that could have failed.
    assert_eq!(code, Some(0), "{}", serving.log());
    serving.logged("requests were cut off");
}

/// The write is still under way when the command has given up waiting for it.
#[tokio::test]
async fn a_change_that_is_made_long_after_its_timeout_is_in_the_audit_file() {
    let server = Server::start(&["fsync=off"]);
    let database = server.database().await;
    let place = Place::in_database(&server, &database);
    place.run(&["migrate"]).succeeded();
    place.user_with_token("alice", &["GET"]);
    let other = database.client().await;
    let lock = "BEGIN; LOCK TABLE tower_api_token.account IN SHARE MODE";
    other.batch_execute(lock).await.unwrap();
    let mut command = place.command(&["token", "revoke-all", "alice"]);
    command.env("TOWER_API_TOKEN_STORE_TIMEOUT", "1s");
    command.env("TOWER_API_TOKEN_AUDIT_FILE", "audit.jsonl");
    let mut command = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(command.stderr.take().unwrap()).lines().map(Result::unwrap);
    let said = lines.find(|line| line.contains("waiting for the store"));
    assert!(said.is_some(), "it has ended without waiting");
    other.batch_execute("COMMIT").await.unwrap();
    let error = lines.find(|line| line.starts_with("error: "));
    assert!(error.is_some_and(|line| line.contains("store unavailable")));
    assert_eq!(command.wait().unwrap().code(), Some(6));
    let audit = std::fs::read_to_string(place.path("audit.jsonl")).unwrap();
    assert!(audit.contains("\"event\":\"all_revoked\""), "{audit}");
}
