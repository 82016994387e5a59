//! Every example that serves something is started and used as its
//! documentation says.

use std::path::Path;
use std::process::Command;

use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_prost::ProstCodec;

#[path = "../../examples/tonic_service/greeter.rs"]
mod greeter;

use crate::example::Example;
use greeter::{FORGET, GREET, GreetReply, GreetRequest};

/// Runs a `curl` line as it was printed, and gives the status and the whole
/// answer.
fn curl(rest_of_line: &str) -> (u16, String) {
    let mut shell = Command::new("sh");
    let output = shell.arg("-c").arg(format!("curl -s --max-time 10 {rest_of_line}")).output();
    let output = output.expect("sh runs");
    assert!(output.status.success(), "curl failed: {output:?}");
    let answer = String::from_utf8(output.stdout).expect("text");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), answer)
}

#[test]
fn hyper_service_answers_as_it_prints() {
    let mut example = Example::start("hyper_service", &[]);
    let mut next = || curl(&example.said("curl "));
    let (status, answer) = next();
    assert_eq!(status, 401);
    assert!(answer.contains("Bearer realm=\"hyper example\""), "{answer}");
    for method in ["GET", "PUT"] {
        let (status, answer) = next();
        assert_eq!(status, 200, "{method}");
        assert!(answer.ends_with(&format!("hello alice, by {method}\n")), "{answer}");
    }
    let (status, answer) = next();
    assert_eq!(status, 403);
    assert!(answer.contains("scope=\"DELETE\""), "{answer}");
}

#[test]
fn custom_store_answers_as_it_prints() {
    let mut example = Example::start("custom_store", &[]);
    let mut next = || curl(&example.said("curl "));
    let (status, answer) = next();
    assert_eq!(status, 200);
    assert!(answer.ends_with("key 1 of acme: GET, POST, DELETE\n"), "{answer}");
    assert!(answer.contains("vary: x-api-key"), "{answer}");
    assert_eq!(next().0, 403, "PUT is not granted");
    assert_eq!(next().0, 204, "the key is revoked");
    assert_eq!(next().0, 401, "the key is gone");
}

/// The documentation promises that a store over a host's own map is short.
#[test]
fn custom_store_is_a_store_in_under_40_lines() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/custom_store.rs");
    let source = std::fs::read_to_string(path).expect("the example");
    let start = source.find("struct ApiKeys").expect("the host's map");
    let end = source.find("#[tokio::main]").expect("the end of the store");
    let code = source[start..end].lines().map(str::trim);
    let code = code.filter(|line| !line.is_empty() && !line.starts_with("//"));
    let lines = code.count();
    assert!((10..40).contains(&lines), "{lines} lines");
}

/// One call of the tonic example.
async fn call(
    channel: &Channel,
    path: &'static str,
    authorization: &str,
) -> Result<String, Status> {
    let mut request = Request::new(GreetRequest { name: "world".to_owned() });
    if !authorization.is_empty() {
        let value = MetadataValue::try_from(authorization).expect("ASCII");
        request.metadata_mut().insert("authorization", value);
    }
    let mut client = Grpc::new(channel.clone());
    client.ready().await.expect("a connection");
    let codec = ProstCodec::<GreetRequest, GreetReply>::default();
    let reply = client.unary(request, PathAndQuery::from_static(path), codec).await?;
    Ok(reply.into_inner().text)
}

#[tokio::test]
async fn tonic_service_answers_calls_and_denies_them_as_grpc() {
    let mut example = Example::start("tonic_service", &[]);
    let address = example.said("listening on ");
    let authorization = example.said("authorization: ");
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let channel = endpoint.connect().await.unwrap();
    let code = async |path, authorization: &str| {
        call(&channel, path, authorization).await.expect_err("a denial").code()
    };
    let greeting = call(&channel, GREET, &authorization).await.unwrap();
    assert_eq!(greeting, "hello world, says alice");
    let missing = call(&channel, GREET, "").await.expect_err("a denial");
    assert_eq!(missing.code(), Code::Unauthenticated);
    assert_eq!(missing.message(), "an API token is required");
    assert_eq!(code(GREET, &format!("{authorization}x")).await, Code::Unauthenticated);
    assert_eq!(code(GREET, "Bearer a b").await, Code::InvalidArgument);
    assert_eq!(code(FORGET, &authorization).await, Code::PermissionDenied);
    let nobodys = "/example.Greeter/Nothing";
    assert_eq!(code(nobodys, &authorization).await, Code::PermissionDenied);
    let mut health = HealthClient::new(channel.clone());
    let served = HealthCheckRequest { service: "example.Greeter".to_owned() };
    let served = health.check(served).await.expect("health needs no token").into_inner();
    assert_eq!(served.status(), ServingStatus::Serving);
    // The connection has survived every denial.
    assert!(call(&channel, GREET, &authorization).await.is_ok());
}
