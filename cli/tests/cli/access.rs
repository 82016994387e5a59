//! Who may ask a listener: whoever reaches it, the file of a socket, certificates.
//! Secrets are in `endpoint.rs` and `reload.rs`.

use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::process::Command;

use rustix::process::{Signal, geteuid};

use crate::program::{Place, Ran, finish};
use crate::server::wait_until;
use crate::serving::{Serving, exchange, request};
use crate::tls::certificate;

/// The sections whose listeners not everybody may ask, each with what else it needs.
const SECTIONS: [(&str, &str); 3] = [
    ("forward-auth", "profile = \"original-method\"\n"),
    ("ext-authz", ""),
    ("portal", "user-header = \"x-user\"\nshow-codes = true\nhosts = [\"localhost\"]\n"),
];

fn serve(place: &Place, configuration: &str) -> Command {
    place.write("config.toml", configuration);
    place.command(&["serve", "--config", "config.toml"])
}

/// The address by which this machine reaches a listener of all addresses.
fn from_here(server: &Serving, listener: &str) -> String {
    server.address(listener).replace("0.0.0.0", "127.0.0.1")
}

#[test]
fn a_listener_that_others_reach_is_refused_with_each_way_to_bound_it() {
    let place = Place::new();
    for (section, more) in SECTIONS {
        let configuration = format!("[{section}]\nlisten = \"0.0.0.0:0\"\n{more}");
        let mut refused = finish(&mut serve(&place, &configuration), "").exited(2);
        for way in
            ["loopback", "unix:PATH", "secret-file", "client-ca-file", "access = \"network\""]
        {
            refused = refused.says(way);
        }
        let tls = "tls-certificate = \"a.crt\"\ntls-key = \"a.key\"\n";
        finish(&mut serve(&place, &format!("{configuration}{tls}")), "").exited(2);
        let checked = place.run(&["check", "--config", "config.toml"]).exited(9);
        assert!(
            checked.out.contains(&format!("{section} would listen on 0.0.0.0:0")),
            "{checked:?}"
        );
    }
}

#[test]
fn whoever_reaches_a_listener_may_ask_where_the_settings_say_so_and_that_is_warned_of() {
    let place = Place::new();
    let token = place.user_with_token("alice", &["GET"]);
    for (section, more) in SECTIONS {
        let listen = "listen = \"0.0.0.0:0\"\naccess = \"network\"\n";
        let server = Serving::run(serve(&place, &format!("[{section}]\n{listen}{more}")));
        let address = from_here(&server, section);
        let may = if section == "portal" { "is whom `user-header` says" } else { "may ask" };
        let warning = server.logged(&format!("whoever reaches 0.0.0.0:0 {may} there"));
        assert!(warning.contains("WARN") && warning.contains(section), "{warning}");
        let headers = [
            ("x-original-method", "GET".to_owned()),
            ("authorization", format!("Bearer {token}")),
            ("x-user", "alice".to_owned()),
        ];
        if section != "ext-authz" {
            assert_eq!(request(&address, "GET", "/tokens", &headers, "").status, 200, "{section}");
        }
        let checked = place.run(&["check", "--config", "config.toml"]).succeeded();
        let line = checked.out.lines().find(|line| line.starts_with("access")).expect("a line");
        assert!(line.contains("WARNING") && line.contains(section), "{line}");
        let json = place.run(&["check", "--config", "config.toml", "--json"]).succeeded().json();
        assert_eq!((&json[0]["ok"], &json[0]["warning"]), (&true.into(), &true.into()));
        server.stop();
    }
    let loopback = "[ext-authz]\nlisten = \"127.0.0.1:0\"\naccess = \"network\"\n";
    let server = Serving::run(serve(&place, loopback));
    server.address("ext-authz");
    assert!(!server.stop().contains("WARN"), "nobody else reaches it");
}

#[test]
fn the_file_of_a_socket_is_whose_the_settings_say_and_nobody_elses() {
    let place = Place::new();
    let path = place.path("auth.sock");
    let configuration = |more: &str| {
        let profile = "profile = \"original-method\"\n";
        format!("[forward-auth]\nlisten = \"unix:auth.sock\"\n{profile}{more}")
    };
    let permissions = |more: &str| {
        let server = Serving::run(serve(&place, &configuration(more)));
        server.address("forward-auth");
        let stream = UnixStream::connect(&path).expect("a connection");
        assert_eq!(exchange(stream, "GET", "/", &[], "").status, 401);
        let found = std::fs::symlink_metadata(&path).expect("the file");
        server.stop();
        (found.mode() & 0o777, found.uid(), found.gid())
    };
    assert_eq!(permissions("").0, 0o660);
    assert_eq!(permissions("socket-mode = \"0600\"\n").0, 0o600);
    let given = "socket-mode = \"0606\"\nsocket-owner = \"nobody\"\nsocket-group = \"1\"\n";
    if geteuid().is_root() {
        let (mode, user, group) = permissions(given);
        assert_eq!((mode, group), (0o606, 1));
        assert_ne!(user, 0);
    } else {
        let refused = finish(&mut serve(&place, &configuration(given)), "").exited(1);
        refused.says("its owner or group cannot be set").says("Root alone");
    }
    assert!(!path.exists(), "what cannot be given to its owner is not left behind");
    for (key, setting) in [("socket-owner", "forward-auth.socket-owner"), ("socket-group", "group")]
    {
        let unknown = configuration(&format!("{key} = \"nobody-of-that-name\"\n"));
        let refused = finish(&mut serve(&place, &unknown), "").exited(2);
        refused.says(setting).says("config.toml, line 4").says("nobody called");
    }
}

/// An authority that vouches for clients.
fn authority(place: &Place, name: &str) {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    openssl.args(["-nodes", "-days", "2", "-subj", &format!("/CN={name}")]);
    openssl.args(["-addext", "basicConstraints=critical,CA:TRUE"]);
    openssl.arg("-out").arg(place.path(&format!("{name}.crt")));
    openssl.arg("-keyout").arg(place.path(&format!("{name}.key")));
    finish(&mut openssl, "").succeeded();
}

/// A client's certificate by that authority, with this name.
fn client(place: &Place, authority: &str, file: &str, name: &str) {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    openssl.args(["-nodes", "-days", "2", "-subj", "/CN=client"]);
    openssl.args(["-CA", &format!("{authority}.crt"), "-CAkey", &format!("{authority}.key")]);
    openssl.args(["-addext", &format!("subjectAltName={name}")]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    openssl.args(["-out", &format!("{file}.crt"), "-keyout", &format!("{file}.key")]);
    finish(openssl.current_dir(place.directory()), "").succeeded();
}

/// Asks over TLS with that certificate, or none, and these further arguments.
fn ask(
    place: &Place,
    server: &Serving,
    listener: &str,
    client: Option<&str>,
    more: &[&str],
) -> Ran {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--max-time", "20", "--cacert", "a.crt", "--output", "answer"]);
    curl.args(["--write-out", "%{http_code}"]).args(more).current_dir(place.directory());
    if let Some(client) = client {
        curl.args(["--cert", &format!("{client}.crt"), "--key", &format!("{client}.key")]);
    }
    curl.arg(format!("https://{}/", from_here(server, listener)));
    finish(&mut curl, "")
}

const TLS: &str = "tls-certificate = \"a.crt\"\ntls-key = \"a.key\"\nclient-ca-file = \"ca.crt\"\n";

fn with_certificates() -> Place {
    let place = Place::new();
    certificate(&place, "a");
    authority(&place, "ca");
    authority(&place, "other-ca");
    client(&place, "ca", "gateway", "DNS:gateway.example.com");
    client(&place, "ca", "mesh", "URI:spiffe://example.com/gateway");
    client(&place, "ca", "neighbour", "DNS:neighbour.example.com,URI:spiffe://example.com/Gateway");
    client(&place, "other-ca", "stranger", "DNS:gateway.example.com");
    place
}

#[test]
fn only_a_certificate_of_the_right_authority_comes_through_on_each_listener() {
    let place = with_certificates();
    for (section, more) in SECTIONS {
        let configuration = format!("[{section}]\nlisten = \"0.0.0.0:0\"\n{more}{TLS}");
        let server = Serving::run(serve(&place, &configuration));
        for client in ["gateway", "mesh", "neighbour"] {
            let ran = ask(&place, &server, section, Some(client), &[]).succeeded();
            assert_ne!(ran.out, "000", "{section} {client}");
        }
        for tls in [&[][..], &["--tls-max", "1.2"]] {
            for client in [None, Some("stranger"), Some("a")] {
                let ran = ask(&place, &server, section, client, tls);
                assert!(ran.code != Some(0) && ran.out == "000", "{section} {client:?} {ran:?}");
            }
        }
        let line = server.logged("the gateway is not recognised by its certificate");
        assert!(line.contains("ERROR") && line.contains(section), "{line}");
        assert!(!server.stop().contains("whoever reaches"), "{section}");
    }
}

#[test]
fn of_an_authoritys_certificates_those_with_a_name_of_the_settings_come_through() {
    let place = with_certificates();
    let token = place.user_with_token("alice", &["GET"]);
    let names = "client-names = [\"Gateway.example.com\", \"spiffe://example.com/gateway\"]\n";
    let (section, profile) = SECTIONS[0];
    let configuration = format!("[{section}]\nlisten = \"127.0.0.1:0\"\n{profile}{TLS}{names}");
    let server = Serving::run(serve(&place, &configuration));
    let bearer = format!("authorization: Bearer {token}");
    let headers = ["--header", "x-original-method: GET", "--header", &bearer];
    for client in ["gateway", "mesh"] {
        assert_eq!(ask(&place, &server, section, Some(client), &headers).out, "200", "{client}");
    }
    for client in [None, Some("neighbour"), Some("stranger")] {
        assert_eq!(ask(&place, &server, section, client, &headers).out, "000", "{client:?}");
    }
    server.logged("not recognised by its certificate");
}

#[test]
fn a_secret_beside_certificates_is_asked_for_too() {
    let place = with_certificates();
    place.write("secret", "a secret that only the gateway knows");
    let (section, profile) = SECTIONS[0];
    let configuration =
        format!("[{section}]\nlisten = \"0.0.0.0:0\"\n{profile}{TLS}secret-file = \"secret\"\n");
    let server = Serving::run(serve(&place, &configuration));
    assert_eq!(ask(&place, &server, section, Some("gateway"), &[]).out, "503");
    let secret = ["--header", "x-gateway-secret: a secret that only the gateway knows"];
    assert_eq!(ask(&place, &server, section, Some("gateway"), &secret).out, "401");
    assert_eq!(ask(&place, &server, section, None, &secret).out, "000");
}

#[test]
fn one_authority_replaces_another_at_a_hang_up_and_a_file_without_any_is_refused() {
    let place = with_certificates();
    let (section, profile) = SECTIONS[0];
    let configuration = format!("[{section}]\nlisten = \"127.0.0.1:0\"\n{profile}{TLS}");
    let server = Serving::run(serve(&place, &configuration));
    let passes = |client: &str| ask(&place, &server, section, Some(client), &[]).out == "401";
    assert!(passes("gateway") && !passes("stranger"));
    let read = |name: &str| std::fs::read_to_string(place.path(name)).unwrap();
    let (first, second) = (read("ca.crt"), read("other-ca.crt"));
    place.write("ca.crt", "no certificate");
    server.signal(Signal::HUP);
    server.logged("forward-auth.client-ca-file: the file ca.crt");
    assert!(passes("gateway") && !passes("stranger"));
    place.write("ca.crt", &format!("{first}{second}"));
    server.signal(Signal::HUP);
    wait_until("both authorities", || passes("stranger"));
    assert!(passes("gateway"));
    place.write("ca.crt", &second);
    server.signal(Signal::HUP);
    wait_until("the second authority alone", || !passes("gateway"));
    assert!(passes("stranger"));
    server.stop();
    place.write("ca.crt", "no certificate");
    let refused = finish(&mut serve(&place, &configuration), "").exited(2);
    refused.says("forward-auth.client-ca-file: the file ca.crt").says("no certificate");
}
