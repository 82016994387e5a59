//! Envoy's side of the interface, written down a second time.

use std::collections::HashMap;

use bytes::{Buf, Bytes};
use http::Request;
use http_body_util::{BodyExt, Full};
use prost::Message;
use tower::ServiceExt;
use tower_api_token::ext_authz::ExtAuthz;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) attributes: Option<Attributes>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Attributes {
    #[prost(message, optional, tag = "4")]
    pub(crate) request: Option<RequestAttributes>,
    #[prost(map = "string, string", tag = "10")]
    pub(crate) context_extensions: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RequestAttributes {
    #[prost(message, optional, tag = "2")]
    pub(crate) http: Option<HttpRequest>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct HttpRequest {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(string, tag = "2")]
    pub(crate) method: String,
    #[prost(map = "string, bytes", tag = "3")]
    pub(crate) headers: HashMap<String, Vec<u8>>,
    #[prost(string, tag = "4")]
    pub(crate) path: String,
    #[prost(string, tag = "5")]
    pub(crate) host: String,
    #[prost(int64, tag = "9")]
    pub(crate) size: i64,
    #[prost(message, optional, tag = "13")]
    pub(crate) header_map: Option<HeaderMap>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct HeaderMap {
    #[prost(message, repeated, tag = "1")]
    pub(crate) headers: Vec<HeaderValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct HeaderValue {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) raw_value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) status: Option<RpcStatus>,
    #[prost(message, optional, tag = "2")]
    pub(crate) denied_response: Option<DeniedResponse>,
    #[prost(message, optional, tag = "3")]
    pub(crate) ok_response: Option<OkResponse>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DeniedResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) status: Option<HttpStatus>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) headers: Vec<HeaderValueOption>,
    #[prost(string, tag = "3")]
    pub(crate) body: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct OkResponse {
    #[prost(message, repeated, tag = "2")]
    pub(crate) headers: Vec<HeaderValueOption>,
    #[prost(string, repeated, tag = "5")]
    pub(crate) headers_to_remove: Vec<String>,
    #[prost(message, repeated, tag = "6")]
    pub(crate) response_headers_to_add: Vec<HeaderValueOption>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct HttpStatus {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct HeaderValueOption {
    #[prost(message, optional, tag = "1")]
    pub(crate) header: Option<HeaderValue>,
    #[prost(message, optional, tag = "2")]
    pub(crate) append: Option<BoolValue>,
    #[prost(int32, tag = "3")]
    pub(crate) append_action: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct BoolValue {
    #[prost(bool, tag = "1")]
    pub(crate) value: bool,
}

/// Headers that replace what is there, by name; panics on any that does not.
pub(crate) fn replaced(options: &[HeaderValueOption]) -> HashMap<&str, &str> {
    let pair = |option: &'_ HeaderValueOption| {
        assert_eq!(option.append, Some(BoolValue { value: false }), "{option:?}");
        assert_eq!(option.append_action, 0, "{option:?}");
    };
    options.iter().for_each(pair);
    let headers = options.iter().filter_map(|option| option.header.as_ref());
    let pairs = headers.map(|header| (header.key.as_str(), header.value.as_str()));
    let map: HashMap<_, _> = pairs.collect();
    assert_eq!(map.len(), options.len(), "a name stands there twice: {options:?}");
    map
}

/// A check of a request with these headers.
pub(crate) fn check(method: &str, headers: &[(&str, &str)]) -> CheckRequest {
    let headers = headers.iter();
    let headers = headers.map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
    of(HttpRequest { method: method.to_owned(), headers: headers.collect(), ..some_request() })
}

/// The same with Envoy set to `encode_raw_headers`.
pub(crate) fn raw_check(method: &str, headers: &[(&str, &str)]) -> CheckRequest {
    let line = |(name, value): &(&str, &str)| HeaderValue {
        key: (*name).to_owned(),
        value: String::new(),
        raw_value: value.as_bytes().to_vec(),
    };
    let header_map = Some(HeaderMap { headers: headers.iter().map(line).collect() });
    of(HttpRequest { method: method.to_owned(), header_map, ..some_request() })
}

fn some_request() -> HttpRequest {
    HttpRequest {
        id: "1".into(),
        path: "/items?a=b".into(),
        host: "example.com".into(),
        size: -1,
        ..HttpRequest::default()
    }
}

pub(crate) fn of(http: HttpRequest) -> CheckRequest {
    let request = Some(RequestAttributes { http: Some(http) });
    let context_extensions = [("a".to_owned(), "b".to_owned())].into();
    CheckRequest { attributes: Some(Attributes { request, context_extensions }) }
}

/// Calls a method of the service; the message and the gRPC status.
pub(crate) async fn call(
    service: &ExtAuthz,
    path: &str,
    message: &[u8],
) -> (Option<CheckResponse>, String) {
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    let request = Request::post(path).header("content-type", "application/grpc");
    let request = request.header("te", "trailers").body(Full::new(Bytes::from(frame))).unwrap();
    let response = service.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let early = response.headers().get("grpc-status").cloned();
    let body = response.into_body().collect().await.unwrap();
    let trailers = body.trailers().cloned().unwrap_or_default();
    let status = early.or(trailers.get("grpc-status").cloned()).expect("a gRPC status");
    let mut bytes = body.to_bytes();
    let response = (!bytes.is_empty()).then(|| {
        bytes.advance(5);
        CheckResponse::decode(bytes).unwrap()
    });
    (response, status.to_str().unwrap().to_owned())
}

/// The answer to a check.
pub(crate) async fn answer(service: &ExtAuthz, check: &CheckRequest) -> CheckResponse {
    let path = "/envoy.service.auth.v3.Authorization/Check";
    let (response, status) = call(service, path, &check.encode_to_vec()).await;
    assert_eq!(status, "0");
    response.expect("an answer")
}
