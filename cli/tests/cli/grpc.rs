//! `serve --ext-authz`: what Envoy asks over gRPC.

use std::collections::HashMap;
use std::process::Command;

use prost::Message;

use crate::program::Place;
use crate::serving::Serving;

// The parts of Envoy's messages that matter here.
#[derive(Clone, PartialEq, Message)]
struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    attributes: Option<Attributes>,
}

#[derive(Clone, PartialEq, Message)]
struct Attributes {
    #[prost(message, optional, tag = "4")]
    request: Option<Request>,
}

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, optional, tag = "2")]
    http: Option<HttpRequest>,
}

#[derive(Clone, PartialEq, Message)]
struct HttpRequest {
    #[prost(string, tag = "2")]
    method: String,
    #[prost(map = "string, string", tag = "3")]
    headers: HashMap<String, String>,
    #[prost(string, tag = "4")]
    path: String,
}

#[derive(Clone, PartialEq, Message)]
struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<Number>,
    #[prost(message, optional, tag = "2")]
    denied: Option<Denied>,
    #[prost(message, optional, tag = "3")]
    allowed: Option<Allowed>,
}

#[derive(Clone, PartialEq, Message)]
struct Denied {
    #[prost(message, optional, tag = "1")]
    status: Option<Number>,
    #[prost(string, tag = "3")]
    body: String,
}

#[derive(Clone, PartialEq, Message)]
struct Allowed {}

#[derive(Clone, PartialEq, Message)]
struct Number {
    #[prost(int32, tag = "1")]
    code: i32,
}

/// Asks by curl, with these headers beside: the HTTP status and the answer.
fn ask(
    place: &Place,
    server: &Serving,
    token: &str,
    method: &str,
    more: &[&str],
) -> (String, Vec<u8>) {
    let headers = HashMap::from([("authorization".to_owned(), format!("Bearer {token}"))]);
    let http = HttpRequest { method: method.to_owned(), headers, path: "/".to_owned() };
    let request = Some(Request { http: Some(http) });
    let message = CheckRequest { attributes: Some(Attributes { request }) }.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    std::fs::write(place.path("message"), [&[0], &length[..], &message].concat()).unwrap();
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--max-time", "20", "--http2-prior-knowledge"]);
    curl.args(["--output", "answer", "--write-out", "%{http_code}"]);
    curl.args(["--header", "content-type: application/grpc", "--header", "te: trailers"]);
    curl.args(more.iter().flat_map(|header| ["--header", header]));
    curl.args(["--data-binary", "@message"]).current_dir(place.directory());
    let url = "/envoy.service.auth.v3.Authorization/Check";
    curl.arg(format!("http://{}{url}", server.address("ext-authz")));
    let status = curl.output().expect("curl").stdout;
    let answer = std::fs::read(place.path("answer")).unwrap_or_default();
    (String::from_utf8(status).unwrap(), answer)
}

fn decided(place: &Place, server: &Serving, token: &str, method: &str) -> CheckResponse {
    let (status, answer) = ask(place, server, token, method, &[]);
    assert_eq!(status, "200");
    CheckResponse::decode(&answer[5..]).expect("a message")
}

#[test]
fn envoy_is_answered_over_grpc() {
    let place = Place::new();
    let token = place.user_with_token("alice", &["GET"]);
    let server = Serving::run(place.command(&["serve", "--ext-authz", "127.0.0.1:0"]));
    let passed = decided(&place, &server, &token, "GET");
    assert!(passed.allowed.is_some() && passed.denied.is_none(), "{passed:?}");
    for (token, method, code) in [(&*token, "PUT", 403), ("tat_none", "GET", 401)] {
        let denied = decided(&place, &server, token, method);
        assert_eq!(denied.denied.unwrap().status.unwrap().code, code);
        assert!(denied.allowed.is_none() && denied.status.unwrap().code != 0);
    }
    server.stop();
}

#[test]
fn forward_060_envoy_needs_the_secret_where_others_reach_the_listener() {
    let place = Place::new();
    let token = place.user_with_token("alice", &["GET"]);
    place.write("secret", "a secret that only the gateway knows");
    let mut command = place.command(&["serve", "--ext-authz", "127.0.0.1:0"]);
    let server = Serving::run({
        command.env("TOWER_API_TOKEN_EXT_AUTHZ_SECRET_FILE", "secret");
        command
    });
    // Not an error of gRPC: under `failure_mode_allow` that would be a pass.
    for wrong in [&[][..], &["x-gateway-secret: a guess"], &["x-gateway-secret: again"]] {
        for token in [&*token, "tat_none"] {
            let (status, answer) = ask(&place, &server, token, "GET", wrong);
            assert_eq!(status, "200");
            let denied = CheckResponse::decode(&answer[5..]).expect("a message");
            assert_eq!(denied.status.unwrap().code, 14);
            assert!(denied.allowed.is_none());
            let denied = denied.denied.expect("a denied_response");
            assert_eq!(denied.status.unwrap().code, 503);
            assert!(denied.body.contains("tower-api-token:gateway-not-recognised"));
        }
    }
    server.logged("X-Gateway-Secret is missing");
    let secret = "x-gateway-secret: a secret that only the gateway knows";
    let (status, answer) = ask(&place, &server, &token, "GET", &[secret]);
    assert_eq!(status, "200");
    assert!(CheckResponse::decode(&answer[5..]).unwrap().allowed.is_some());
}

#[test]
fn two_secrets_overlap_over_grpc_while_one_replaces_the_other() {
    let place = Place::new();
    let token = place.user_with_token("alice", &["GET"]);
    place.write("secret", "the second secret of the gateway");
    place.write("former", "the first secret of the gateway");
    let mut command = place.command(&["serve", "--ext-authz", "127.0.0.1:0"]);
    command.env("TOWER_API_TOKEN_EXT_AUTHZ_SECRET_FILE", "secret");
    command.env("TOWER_API_TOKEN_EXT_AUTHZ_FORMER_SECRET_FILE", "former");
    let server = Serving::run(command);
    let passes = |secret: &str| {
        let metadata = format!("x-gateway-secret: {secret}");
        let (status, answer) = ask(&place, &server, &token, "GET", &[&metadata]);
        assert_eq!(status, "200");
        CheckResponse::decode(&answer[5..]).expect("a message").allowed.is_some()
    };
    assert!(passes("the first secret of the gateway"));
    assert!(passes("the second secret of the gateway"));
    assert!(!passes("a third secret of the gateway"));
}
