//! A Redis server that is reached over TLS.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::program::{Place, Ran};
use crate::redis::{DURABLE, Server};
use crate::server::{free_address, run};
use crate::serving::Serving;

/// Two authorities, and a certificate of the first for 127.0.0.1.
fn certificates(directory: &Path) {
    let openssl = |arguments: &str| {
        run(Command::new("openssl").args(arguments.split(' ')).current_dir(directory));
    };
    let key = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    for authority in ["authority", "stranger"] {
        let files = format!("-keyout {authority}.key -out {authority}.pem");
        openssl(&format!("{key} -x509 -days 2 -subj /CN={authority} {files}"));
    }
    openssl(&format!("{key} -subj /CN=server -keyout server.key -out server.csr"));
    fs::write(directory.join("names"), "subjectAltName=IP:127.0.0.1").unwrap();
    let sign = "x509 -req -days 2 -in server.csr -out server.crt -extfile names";
    openssl(&format!("{sign} -CA authority.pem -CAkey authority.key -CAcreateserial"));
}

/// A place on a server with a port for TLS, which is told, and one without.
fn start() -> (Place, Server, u16) {
    let port = free_address().port();
    let place = Place::on(&format!("rediss://127.0.0.1:{port}/"));
    certificates(place.directory());
    let file = |name| place.path(name).display().to_string();
    let (certificate, key, authority) =
        (file("server.crt"), file("server.key"), file("authority.pem"));
    let server = Server::start(&[
        DURABLE[0],
        DURABLE[1],
        &format!("--tls-port {port} --tls-cert-file {certificate} --tls-key-file {key}"),
        &format!("--tls-ca-cert-file {authority} --tls-auth-clients no"),
    ]);
    (place, server, port)
}

fn trusting(place: &Place, authority: &str, arguments: &[&str]) -> Ran {
    place.write("config.toml", &format!("store-ca-file = \"{authority}\"\n"));
    place.run(&[arguments, &["--config", "config.toml"]].concat())
}

#[test]
fn a_server_with_a_trusted_certificate_is_used_over_tls() {
    let (place, _server, _) = start();
    trusting(&place, "authority.pem", &["migrate"]).succeeded();
    trusting(&place, "authority.pem", &["check"]).succeeded();
    trusting(&place, "authority.pem", &["user", "grant", "alice", "GET"]).succeeded();
    let issued = trusting(&place, "authority.pem", &["token", "issue", "alice"]).succeeded();
    let serving = Serving::start(&place, &["--config", "config.toml"]);
    assert_eq!(serving.ask(Some(issued.out.trim()), "GET").status, 200);
    trusting(&place, "authority.pem", &["user", "revoke", "alice"]).succeeded();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(6);
    while serving.ask(Some(issued.out.trim()), "GET").status != 401 {
        assert!(std::time::Instant::now() < end, "the change is not heard of");
    }
}

#[test]
fn a_server_that_nobody_vouches_for_is_refused() {
    let (place, server, port) = start();
    for command in [&["user", "list"][..], &["migrate"]] {
        trusting(&place, "stranger.pem", command).exited(10).says("UnknownIssuer");
        place.run(command).exited(10).says("UnknownIssuer");
        // The certificate is for the address, and not for the name.
        let by_name = format!("rediss://localhost:{port}/");
        let by_name = [command, &["--store", &by_name]].concat();
        trusting(&place, "authority.pem", &by_name).exited(10).says("not valid for name");
        // A port without TLS is not spoken to without it.
        let plain = format!("rediss://{}/", server.address());
        let plain = [command, &["--store", &plain]].concat();
        let ran = trusting(&place, "authority.pem", &plain);
        // The server may hang up at once, or answer what is no TLS.
        assert!([Some(6), Some(10)].contains(&ran.code), "{ran:?}");
        let tls = format!("redis://127.0.0.1:{port}/");
        let ran = place.run(&[command, &["--store", &tls]].concat());
        assert!([Some(6), Some(10)].contains(&ran.code), "{ran:?}");
    }
    assert!(server.tell("DBSIZE").starts_with(":0"), "nothing was made");
}

#[test]
fn what_cannot_be_checked_is_no_address() {
    let place = Place::on("rediss://127.0.0.1/#insecure");
    place.run(&["user", "list"]).exited(2).says("store-ca-file");
    let place = Place::on("rediss://127.0.0.1/");
    place.write("empty.pem", "");
    trusting(&place, "empty.pem", &["user", "list"]).exited(2).says("no certificate");
    trusting(&place, "none.pem", &["user", "list"]).exited(2).says("none.pem");
    let plain = ["user", "list", "--store", "redis://127.0.0.1/"];
    trusting(&place, "empty.pem", &plain).exited(2).says("rediss://");
}
