//! Files of secrets and certificates that change while the server runs.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::program::{Place, finish};
use crate::server::wait_until;
use crate::serving::{Serving, request};
use crate::tls::{certificate, serve as serve_tls};

const FIRST: &str = "the first secret of the gateway";
const SECOND: &str = "the second secret of the gateway";

/// The first certificate in a text.
fn certificate_in(text: &str) -> String {
    let (_, rest) = text.split_once("-----BEGIN CERTIFICATE-----").expect("a certificate");
    rest.split_once("-----END").expect("its end").0.trim().to_owned()
}

/// The certificate that is served.
fn served(address: &str) -> String {
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-connect", address]).stdin(Stdio::null());
    certificate_in(&String::from_utf8(openssl.output().unwrap().stdout).unwrap())
}

fn read(place: &Place, name: &str) -> String {
    std::fs::read_to_string(place.path(name)).unwrap()
}

#[test]
fn a_renewed_certificate_is_served_once_its_key_is_there() {
    let place = Place::new();
    for name in ["a", "b", "live"] {
        certificate(&place, name);
    }
    let server = Serving::run(serve_tls(&place, "live.crt", "live.key"));
    let address = server.address("forward-auth");
    assert_eq!(served(&address), certificate_in(&read(&place, "live.crt")));
    let first = served(&address);
    // Half of a pair, half of a file, and a key that others may read.
    place.write("live.crt", &read(&place, "b.crt"));
    server.signal(Signal::HUP);
    server.logged("does not belong to the key in live.key");
    assert_eq!(served(&address), first);
    let key = read(&place, "b.key");
    place.write("live.key", &key[..key.len() / 2]);
    server.signal(Signal::HUP);
    server.logged("forward-auth.tls-key: the file live.key");
    assert_eq!(served(&address), first);
    place.write("live.key", &key);
    let mode = |mode: &str| finish(Command::new("chmod").arg(mode).arg(place.path("live.key")), "");
    mode("644").succeeded();
    server.signal(Signal::HUP);
    server.logged("chmod 600");
    assert_eq!(served(&address), first);
    mode("600").succeeded();
    server.signal(Signal::HUP);
    let second = certificate_in(&read(&place, "b.crt"));
    wait_until("the second certificate", || served(&address) == second);
    // Without a signal.
    place.write("live.key", &read(&place, "a.key"));
    place.write("live.crt", &read(&place, "a.crt"));
    let (changed, third) = (Instant::now(), certificate_in(&read(&place, "a.crt")));
    while served(&address) != third {
        assert!(changed.elapsed() < Duration::from_secs(30), "{}", server.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    let log = server.stop();
    assert!(!key.lines().any(|line| line.len() > 20 && log.contains(line)), "{log}");
}

/// Serves gateways and users, both with the secret in one file, and the one that
/// it replaces in another.
fn serve_with_secrets(place: &Place) -> Serving {
    place.write(
        "config.toml",
        "[forward-auth]\nsecret-file = \"secret\"\nformer-secret-file = \"former\"\n\
         [portal]\nlisten = \"127.0.0.1:0\"\nuser-header = \"x-remote-user\"\nshow-codes = true\n\
         secret-file = \"secret\"\nformer-secret-file = \"former\"\n",
    );
    let server = Serving::start(place, &["--config", "config.toml"]);
    server.address("operations");
    server
}

/// Whether the gateway is let in with that secret, and the reverse proxy.
fn accepted(server: &Serving, secret: &str) -> [bool; 2] {
    let headers = [("x-gateway-secret", secret.to_owned())];
    ["forward-auth", "portal"].map(|name| {
        match request(&server.address(name), "GET", "/", &headers, "").status {
            503 => false,
            401 | 404 => true,
            other => panic!("{name}: {other}"),
        }
    })
}

const BOTH: [bool; 2] = [true; 2];
const NEITHER: [bool; 2] = [false; 2];

#[test]
fn one_secret_of_a_gateway_replaces_another_without_a_gap() {
    let place = Place::new();
    place.write("secret", FIRST);
    let server = serve_with_secrets(&place);
    assert_eq!((accepted(&server, FIRST), accepted(&server, SECOND)), (BOTH, NEITHER));
    place.write("former", FIRST);
    place.write("secret", &format!("{SECOND}\n"));
    server.signal(Signal::HUP);
    wait_until("the second secret", || accepted(&server, SECOND) == BOTH);
    assert_eq!(accepted(&server, FIRST), BOTH, "the gateway does not know the second one yet");
    std::fs::remove_file(place.path("former")).unwrap();
    server.signal(Signal::HUP);
    wait_until("the end of the first secret", || accepted(&server, FIRST) == NEITHER);
    assert_eq!(accepted(&server, SECOND), BOTH);
    let log = server.stop();
    assert!(!log.contains(FIRST) && !log.contains(SECOND), "{log}");
}

#[test]
fn a_change_of_a_secret_is_noticed_without_a_signal() {
    let place = Place::new();
    place.write("secret", FIRST);
    let server = serve_with_secrets(&place);
    place.write("secret.new", SECOND);
    std::fs::rename(place.path("secret.new"), place.path("secret")).unwrap();
    let changed = Instant::now();
    while accepted(&server, SECOND) != BOTH {
        assert!(changed.elapsed() < Duration::from_secs(30), "{}", server.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(accepted(&server, FIRST), NEITHER);
}

#[test]
fn a_file_that_cannot_be_used_changes_nothing_and_is_named() {
    let place = Place::new();
    place.write("secret", FIRST);
    let server = serve_with_secrets(&place);
    let still = |problem: &str| {
        server.signal(Signal::HUP);
        server.logged(problem);
        assert_eq!(accepted(&server, FIRST), BOTH, "{problem}");
    };
    place.write("secret", "");
    still("forward-auth.secret-file: the file secret is empty");
    place.write("secret", "short");
    still("shorter than 16 bytes");
    place.write("secret", "a new secret, but with a blank at its end ");
    still("a blank at an end");
    std::fs::remove_file(place.path("secret")).unwrap();
    still("cannot be read");
    // Whoever opens it waits for somebody who writes.
    finish(Command::new("mkfifo").arg(place.path("secret")), "").succeeded();
    still("not a regular file");
    std::fs::remove_file(place.path("secret")).unwrap();
    place.write("secret", SECOND);
    server.signal(Signal::HUP);
    wait_until("the second secret", || accepted(&server, SECOND) == BOTH);
    let log = server.stop();
    assert!(!log.contains("a new secret"), "{log}");
    for line in log.lines().filter(|line| line.contains("cannot be used")) {
        assert!(line.contains("ERROR") && line.contains("stays in use"), "{line}");
    }
}

#[test]
fn a_huge_file_in_place_of_a_secret_is_not_read_as_a_whole() {
    const HUGE: u64 = 1 << 30;
    let place = Place::new();
    place.write("secret", FIRST);
    let server = serve_with_secrets(&place);
    let file = std::fs::OpenOptions::new().write(true).open(place.path("secret")).unwrap();
    file.set_len(HUGE).unwrap();
    server.signal(Signal::HUP);
    server.logged("files of secrets and certificates were looked at anew");
    assert_eq!(accepted(&server, FIRST), BOTH);
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes * 1024 < HUGE / 2, "{kilobytes} kB");
    assert!(server.stop().contains("is longer than 4096 bytes"));
}

/// A mail server on this machine that takes every message, and the passwords
/// that it was shown.
fn mail_server() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let shown = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&shown);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut answers = stream.try_clone().unwrap();
            let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
            let mut say = |text: &str| answers.write_all(format!("{text}\r\n").as_bytes()).unwrap();
            say("220 localhost");
            while let Some(line) = lines.next() {
                match line.split(' ').next().unwrap() {
                    "EHLO" => say("250-localhost\r\n250 AUTH PLAIN"),
                    "AUTH" => {
                        seen.lock().unwrap().push(line);
                        say("235 welcome");
                    }
                    "DATA" => {
                        say("354 go on");
                        while lines.next().is_some_and(|line| line != ".") {}
                        say("250 taken");
                    }
                    "QUIT" => {
                        say("221 bye");
                        break;
                    }
                    _ => say("250 fine"),
                }
            }
        }
    });
    (port, shown)
}

#[test]
fn mail_is_sent_with_the_password_that_the_file_holds_now() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    let (port, shown) = mail_server();
    place.write("password", "hunter1\n");
    place.write(
        "config.toml",
        &format!(
            "[portal]\nlisten = \"127.0.0.1:0\"\nuser-header = \"x-remote-user\"\n\
             [notify]\nsmtp = \"loopback:{port}\"\nsmtp-user = \"api\"\n\
             smtp-password-file = \"password\"\nfrom = \"api@example.com\"\n\
             mail-domain = \"example.com\"\n\
             link-base = \"https://api.example.com/tokens/verify\"\n"
        ),
    );
    let server = Serving::run(place.command(&["serve", "--config", "config.toml"]));
    let address = server.address("portal");
    let headers =
        [("x-remote-user", "alice".to_owned()), ("content-type", "application/json".to_owned())];
    let generate = || {
        let path = "/tokens/api/generate";
        let answer = request(&address, "POST", path, &headers, "{\"primary\":1}");
        assert_eq!(answer.status, 201, "{answer:?} {}", server.log());
    };
    generate();
    place.write("password", "hunter2\n");
    server.signal(Signal::HUP);
    server.logged("read anew");
    generate();
    let shown = shown.lock().unwrap().clone();
    // Base64 of a name and a password after a zero byte each.
    let plain = |password| match password {
        "hunter1" => "AUTH PLAIN AGFwaQBodW50ZXIx",
        _ => "AUTH PLAIN AGFwaQBodW50ZXIy",
    };
    assert!(shown.first().is_some_and(|line| line == plain("hunter1")), "{shown:?}");
    assert!(shown.last().is_some_and(|line| line == plain("hunter2")), "{shown:?}");
    assert!(!server.log().contains("hunter"), "{}", server.log());
}

#[tokio::test]
async fn new_connections_to_the_database_use_the_password_that_the_file_holds_now() {
    let postgres = crate::postgres::Server::start_prepared(&["fsync=off"], |data, _| {
        let rules = data.join("pg_hba.conf");
        let all = std::fs::read_to_string(&rules).unwrap();
        let by_password = "host all api 127.0.0.1/32 scram-sha-256\n";
        std::fs::write(&rules, format!("{by_password}{all}")).unwrap();
    });
    let database = postgres.database().await;
    let mut place = Place::in_database(&postgres, &database);
    place.run(&["migrate"]).succeeded();
    let token = place.user_with_token("alice", &["GET"]);
    let (client, connection) =
        tokio_postgres::connect(&place.store, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("CREATE ROLE api SUPERUSER LOGIN PASSWORD 'hunter1'").await.unwrap();
    place.store = place.store.replace("postgres@", "api@");
    place.write("password", "hunter1\n");
    let mut command =
        place.command(&["serve", "--listen", "127.0.0.1:0", "--profile", "original-method"]);
    command.env("TOWER_API_TOKEN_STORE_PASSWORD_FILE", "password");
    let server = Serving::run(command);
    assert_eq!(server.ask(Some(&token), "GET").status, 200);
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'api'";
    // A file that cannot be used leaves the former password in use.
    place.write("password", "");
    client.batch_execute(end).await.unwrap();
    wait_until("the first password", || server.ask(Some(&token), "GET").status == 200);
    server.logged("store-password-file: the file password is empty");
    client.batch_execute("ALTER ROLE api PASSWORD 'hunter2'").await.unwrap();
    client.batch_execute(end).await.unwrap();
    wait_until("the end of the first password", || server.ask(Some(&token), "GET").status == 503);
    place.write("password", "hunter2\n");
    wait_until("the second password", || server.ask(Some(&token), "GET").status == 200);
    // The feed, too: a change in another process is heard of.
    let changed = std::time::Instant::now();
    place.store = place.store.replace("api@", "postgres@");
    place.run(&["user", "revoke", "alice"]).succeeded();
    wait_until("the revocation", || server.ask(Some(&token), "GET").status == 401);
    assert!(changed.elapsed() < Duration::from_secs(20), "{:?}", changed.elapsed());
    assert!(!server.log().contains("hunter"), "{}", server.log());
}
