//! `serve`: the endpoint that gateways ask, and what operators see.

use std::os::unix::net::{UnixDatagram, UnixStream};

use rustix::process::Signal;

use crate::program::Place;
use crate::server::wait_until;
use crate::serving::{Serving, exchange, request};

#[test]
fn a_granted_method_passes_with_the_user_and_everything_else_is_denied() {
    let place = Place::new();
    let token = place.user_with_token("alice smith", &["GET"]);
    let server = Serving::start(&place, &[]);
    let passed = server.ask(Some(&token), "GET");
    assert_eq!((passed.status, passed.body.as_str()), (200, ""));
    assert_eq!(passed.header("x-auth-user"), Some("alice%20smith"));
    assert_eq!(passed.header("x-auth-slot"), Some("primary"));
    assert_eq!(passed.header("content-length"), Some("0"));
    assert_eq!(server.ask(Some(&token), "DELETE").status, 403);
    assert_eq!(server.ask(Some(&format!("{token}x")), "GET").status, 401);
    let nobody = server.ask(None, "GET");
    assert_eq!(nobody.status, 401);
    assert_eq!(nobody.header("www-authenticate"), Some("Bearer realm=\"api\""));
    let silent = server.ask_with(&[("authorization", format!("Bearer {token}"))]);
    assert_eq!(silent.status, 403, "the gateway does not say the method");
    let log = server.stop();
    assert!(!log.contains(&token), "{log}");
}

#[test]
fn nothing_else_is_served_where_gateways_ask() {
    let place = Place::new();
    let server = Serving::start(&place, &[]);
    let address = server.address("forward-auth");
    for path in ["/", "/health", "/ready", "/metrics", "/tokens", "/a/../metrics", "/%2e", "*"] {
        for method in ["GET", "HEAD", "OPTIONS", "POST", "PURGE"] {
            let answer = request(&address, method, path, &[], "");
            assert_eq!(answer.status, 401, "{method} {path}");
        }
    }
    assert_eq!(request(&address, "POST", "/x", &[], "a body").status, 401);
}

#[test]
fn a_body_that_nobody_wants_is_answered_all_the_same() {
    let place = Place::new();
    let server = Serving::start(&place, &[]);
    place.write("body", &"x".repeat(40_000));
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let mut curl = std::process::Command::new("curl");
        curl.args([
            "--silent",
            "--max-time",
            "20",
            "--write-out",
            "%{http_code}",
            "--output",
            "out",
        ]);
        curl.args([version, "--data-binary", "@body"]).current_dir(place.directory());
        curl.arg(format!("http://{}/", server.address("forward-auth")));
        let ran = crate::program::finish(&mut curl, "").succeeded();
        assert_eq!(ran.out, "401", "{version}");
    }
}

#[test]
fn operators_see_health_readiness_and_metrics() {
    let place = Place::new();
    let token = place.user_with_token("alice", &["GET"]);
    let server = Serving::start(&place, &[]);
    assert_eq!(server.operations("/health").status, 200);
    assert_eq!(server.operations("/ready").status, 200);
    assert_eq!(server.operations("/nothing").status, 404);
    assert_eq!(request(&server.address("operations"), "POST", "/ready", &[], "").status, 405);
    server.ask(Some(&token), "GET");
    server.ask(None, "GET");
    let metrics = server.operations("/metrics");
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let counted = |outcome: &str, slot: &str| {
        let line =
            |line: &&str| line.contains(&format!("outcome=\"{outcome}\"")) && line.contains(slot);
        let lines =
            metrics.body.lines().filter(|line| line.starts_with("tower_api_token_decisions"));
        lines.clone().find(line).and_then(|line| line.rsplit(' ').next()?.parse().ok())
    };
    assert_eq!(counted("pass", "primary"), Some(1), "{}", metrics.body);
    assert_eq!(counted("missing-credential", "none"), Some(1), "{}", metrics.body);
    // A cache tells of itself a few times per staleness bound.
    for measured in ["store_seconds_bucket{", "cache_trusted", "cache_look_ups_total"] {
        wait_until(measured, || server.operations("/metrics").body.contains(measured));
    }
    assert!(!metrics.body.contains("alice"), "{}", metrics.body);
}

#[test]
fn a_profile_must_be_chosen_and_there_must_be_something_to_serve() {
    let place = Place::new();
    place.run(&["serve", "--listen", "127.0.0.1:0"]).exited(2).says("--profile");
    place.run(&["serve", "--listen", "127.0.0.1:0", "--profile", "nginx"]).exited(2);
    place.run(&["serve"]).exited(2).says("nothing to serve");
    let ran = place.run(&["serve", "--operations", "127.0.0.1:0"]).exited(2);
    assert!(!ran.err.contains("--operations"), "it was said: {ran:?}");
}

#[test]
fn a_port_that_is_taken_is_said_and_nothing_is_served() {
    let place = Place::new();
    let server = Serving::start(&place, &[]);
    let taken = server.address("forward-auth");
    let again = ["serve", "--listen", &taken, "--profile", "original-method"];
    place.run(&again).exited(1).says(&format!("forward-auth cannot listen on {taken}"));
}

#[test]
fn forward_060_a_listener_that_others_reach_needs_the_gateways_secret() {
    let place = Place::new();
    let (live, bad) = (place.user_with_token("alice", &["GET"]), "tat_nonsense".to_owned());
    let public = ["serve", "--listen", "0.0.0.0:0", "--profile", "original-method"];
    place.run(&public).exited(2).says("secret-file");
    place.run(&["serve", "--ext-authz", "0.0.0.0:0"]).exited(2).says("secret-file");

    place.write("short", "0123456789\n");
    place.write("secret", "a secret that only the gateway knows\n");
    let with = |file: &str| {
        let mut command = place.command(&public);
        command.env("TOWER_API_TOKEN_FORWARD_AUTH_SECRET_FILE", file);
        command
    };
    crate::program::finish(&mut with("short"), "").exited(2).says("shorter than 16 bytes");
    let server = Serving::run(with("secret"));
    let port = server.address("forward-auth").rsplit(':').next().unwrap().to_owned();
    let ask = |secrets: &[&str], token: Option<&str>| {
        let mut headers = vec![("x-original-method", "GET".to_owned())];
        headers.extend(secrets.iter().map(|secret| ("x-gateway-secret", (*secret).to_owned())));
        headers.extend(token.map(|token| ("authorization", format!("Bearer {token}"))));
        request(&format!("127.0.0.1:{port}"), "GET", "/", &headers, "")
    };
    let secret = "a secret that only the gateway knows";
    assert_eq!(ask(&[secret], Some(&live)).status, 200);
    assert_eq!(ask(&[secret], Some(&bad)).status, 401);
    // No oracle: a live token is answered as any other.
    for secrets in [&[][..], &["wrong"], &[secret, secret]] {
        let answers = [None, Some(&*bad), Some(&*live)].map(|token| ask(secrets, token));
        for answer in &answers {
            assert_eq!(answer.status, 503, "{secrets:?}");
            let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
            let kind = "urn:problem-type:tower-api-token:gateway-not-recognised";
            assert_eq!((&problem["type"], &problem["status"]), (&kind.into(), &503.into()));
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
            assert_eq!(answer.header("retry-after"), Some("1"));
            assert_eq!(answer.header("x-auth-user"), None);
            assert_eq!(answer.header("www-authenticate"), None);
        }
    }
    let probes: Vec<_> = (0..40).map(|_| ask(&["wrong"], Some(&live)).status).collect();
    assert_eq!(probes, [503; 40], "guessing at speed is the operator's fault as well");
    assert_eq!(ask(&[secret], Some(&live)).status, 200, "the gateway is not shut out");
    let log = server.logged("X-Gateway-Secret is missing");
    assert!(log.contains("ERROR") && log.contains("forward-auth"), "{log}");
    assert!(!server.log().contains(secret), "{}", server.log());
}

#[test]
fn each_fault_of_the_gateways_secret_is_named_in_the_log() {
    let place = Place::new();
    place.write("secret", "a secret that only the gateway knows\n");
    let secret = "a secret that only the gateway knows";
    let faults = [
        (&[][..], "X-Gateway-Secret is missing"),
        (&["wrong"], "X-Gateway-Secret is not the content of secret-file"),
        (&[secret, secret], "X-Gateway-Secret is sent more than once"),
    ];
    for (secrets, fault) in faults {
        let mut command =
            place.command(&["serve", "--listen", "127.0.0.1:0", "--profile", "original-method"]);
        command.env("TOWER_API_TOKEN_FORWARD_AUTH_SECRET_FILE", "secret");
        let server = Serving::run(command);
        let headers: Vec<_> =
            secrets.iter().map(|secret| ("x-gateway-secret", (*secret).to_owned())).collect();
        for method in ["GET", "HEAD", "POST"] {
            let address = server.address("forward-auth");
            assert_eq!(request(&address, method, "/", &headers, "").status, 503, "{method}");
        }
        assert!(server.logged(fault).contains("requests get 503"));
        assert_eq!(server.log().matches("X-Gateway-Secret").count(), 1, "once a second");
    }
}

#[test]
fn cli_010_there_is_no_way_to_serve_without_authentication() {
    let place = Place::new();
    let usual = ["serve", "--listen", "127.0.0.1:0", "--profile", "original-method"];
    for flag in ["--insecure-no-auth", "--no-auth", "--insecure"] {
        place.run(&[&usual[..], &[flag]].concat()).exited(2).says("unexpected argument");
    }
    place.write("config.toml", "[forward-auth]\ninsecure-no-auth = true\n");
    let refused = place.run(&[&usual[..], &["--config", "config.toml"]].concat()).exited(2);
    refused.says("line 2: unknown field `insecure-no-auth`");
    let mut command = place.command(&usual);
    command.env("TOWER_API_TOKEN_FORWARD_AUTH_INSECURE_NO_AUTH", "true");
    crate::program::finish(&mut command, "").exited(2).says("there is no setting");
}

#[test]
fn a_socket_serves_its_own_machine_and_a_dead_one_is_taken_over() {
    let place = Place::new();
    let token = place.user_with_token("alice", &["GET"]);
    let path = place.path("auth.sock");
    let arguments = ["serve", "--listen", "unix:auth.sock", "--profile", "original-method"];
    let ask = || {
        let bearer = ("authorization", format!("Bearer {token}"));
        let headers = [("x-original-method", "GET".to_owned()), bearer];
        exchange(UnixStream::connect(&path).unwrap(), "GET", "/", &headers, "").status
    };
    let mut killed = Serving::run(place.command(&arguments));
    killed.address("forward-auth");
    assert_eq!(ask(), 200);
    place.run(&arguments).exited(1).says("cannot listen on unix:auth.sock");
    killed.signal(Signal::KILL);
    killed.ended();
    assert!(path.exists());
    let next = Serving::run(place.command(&arguments));
    next.address("forward-auth");
    assert_eq!(ask(), 200);
    next.stop();
    assert!(!path.exists());
    place.write("auth.sock", "somebody's file");
    place.run(&arguments).exited(1);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "somebody's file");
}

#[test]
fn a_socket_that_is_in_use_for_something_else_is_left_alone() {
    let place = Place::new();
    let path = place.path("log.sock");
    let log = UnixDatagram::bind(&path).unwrap();
    let arguments = ["serve", "--listen", "unix:log.sock", "--profile", "original-method"];
    place.run(&arguments).exited(1).says("cannot listen on unix:log.sock");
    UnixDatagram::unbound().unwrap().send_to(b"still there", &path).unwrap();
    let mut received = [0; 11];
    assert_eq!(log.recv(&mut received).unwrap(), 11);
}

#[test]
fn last_uses_are_written_when_the_server_stops() {
    let place = Place::new();
    let token = place.user_with_token("alice", &["GET"]);
    let server = Serving::start(&place, &[]);
    let headers = [
        ("x-original-method", "GET".to_owned()),
        ("authorization", format!("Bearer {token}")),
        ("user-agent", "robot/7.1 (x)".to_owned()),
    ];
    assert_eq!(server.ask_with(&headers).status, 200);
    server.stop();
    let view = place.run(&["user", "show", "alice", "--json"]).succeeded().json();
    assert_eq!(view[0]["primary"]["client"], "robot/7.1");
    assert!(view[0]["primary"]["last_used_at"].is_string(), "{view:?}");
}

#[test]
fn an_interrupt_stops_it_as_a_termination_does() {
    let place = Place::new();
    let mut server = Serving::start(&place, &[]);
    server.address("operations");
    server.signal(Signal::INT);
    assert_eq!(server.ended(), Some(0));
}

#[test]
fn a_preflight_passes_only_where_the_settings_say_so() {
    let place = Place::new();
    let preflight = |method: &str| {
        [
            ("x-original-method", method.to_owned()),
            ("origin", "https://app.example".to_owned()),
            ("access-control-request-method", "PUT".to_owned()),
        ]
    };
    assert_eq!(Serving::start(&place, &[]).ask_with(&preflight("OPTIONS")).status, 401);
    place.write("config.toml", "[requests]\nallow-preflight = true\n");
    let server = Serving::start(&place, &["--config", "config.toml"]);
    let passed = server.ask_with(&preflight("OPTIONS"));
    assert_eq!((passed.status, passed.header("x-auth-slot")), (200, Some("preflight")));
    assert_eq!(passed.header("x-auth-user"), None);
    assert_eq!(server.ask_with(&preflight("PUT")).status, 401);
    assert_eq!(server.ask_with(&preflight("OPTIONS")[..2]).status, 401);
}

#[test]
fn a_request_with_many_headers_is_decided_on_like_any_other() {
    let place = Place::new();
    let token = place.user_with_token("alice", &["GET"]);
    let server = Serving::start(&place, &[]);
    let names: Vec<_> = (0..900).map(|number| format!("x-header-{number}")).collect();
    let mut headers: Vec<_> = names.iter().map(|name| (name.as_str(), "v".repeat(100))).collect();
    headers.push(("x-original-method", "GET".to_owned()));
    assert_eq!(server.ask_with(&headers).status, 401);
    headers.push(("authorization", format!("Bearer {token}")));
    assert_eq!(server.ask_with(&headers).status, 200);
    // Beyond that it is the client's fault, and the gateway's to say.
    headers.extend(names.iter().map(|name| (name.as_str(), String::new())));
    assert_eq!(server.ask_with(&headers).status, 431);
}
