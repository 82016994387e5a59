//! The gRPC service, and the request that it is asked about.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use http_body::Body as HttpBody;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Code, Response, Status};
use tower_service::Service;

use super::message::{CheckRequest, HeaderLine, HttpRequest};
use super::verdict::{CheckCodec, Verdict};
use super::{ExtAuthz, Settings};
use crate::authenticate::{EXPIRES, SLOT};
use crate::denial::{Denial, RequestFault};
use crate::forward_auth::profile::is_clear;
use crate::telemetry::denied;

/// How large a check may be: twice what Envoy can be set to let through as
/// headers.
const MOST_BYTES: usize = 16 * 1_024 * 1_024;

/// The one method of the service.
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

impl NamedService for ExtAuthz {
    const NAME: &'static str = "envoy.service.auth.v3.Authorization";
}

impl<B> Service<http::Request<B>> for ExtAuthz
where
    B: HttpBody + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let settings = Arc::clone(&self.settings);
        Box::pin(async move {
            Ok(if request.uri().path() == CHECK {
                answer(settings, request).await
            } else {
                Status::unimplemented("there is no such method").into_http()
            })
        })
    }
}

/// Answers a check, also one that cannot be read: an error of gRPC would be an
/// outage to Envoy, which a client must not be able to feign, and a pass under
/// `failure_mode_allow`.
async fn answer<B>(settings: Arc<Settings>, request: http::Request<B>) -> http::Response<Body>
where
    B: HttpBody + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
{
    let mut grpc = Grpc::new(CheckCodec).max_decoding_message_size(MOST_BYTES);
    let answer = grpc.unary(Check(Arc::clone(&settings)), request).await;
    match Status::from_header_map(answer.headers()).map(|status| status.code()) {
        Some(Code::InvalidArgument | Code::OutOfRange | Code::ResourceExhausted) => {
            let denial = Denial::fault(RequestFault::UnreadableCheck);
            denied(&denial);
            ExtAuthz::denied(settings.gate.render(&denial, &Method::GET))
        }
        _ => answer,
    }
}

/// Answers one check.
struct Check(Arc<Settings>);

impl UnaryService<CheckRequest> for Check {
    type Response = Verdict;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Verdict>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<CheckRequest>) -> Self::Future {
        let settings = Arc::clone(&self.0);
        Box::pin(
            async move { Ok(Response::new(settings.decide(request.into_inner().into()).await)) },
        )
    }
}

impl Settings {
    async fn decide(&self, mut request: Described) -> Verdict {
        let authenticator = &self.gate.authenticator;
        let method = request.is_clear.then_some(&request.head.method);
        let (decision, trace) = authenticator.decide(method, &mut request.head.headers).await;
        let _deciding = trace.enter();
        match self.gate.finish(decision, &mut request.head) {
            Ok(admission) => {
                let mut remove = self.remove();
                // A preflight has no user, and its client must not name one.
                if admission.user.is_none() {
                    remove.push(self.gate.identity_headers.user().as_str().to_owned());
                }
                Verdict::Allowed { admission, remove }
            }
            Err(denial) => {
                // To HEAD, too, Envoy answers without the body by itself.
                let response = self.gate.render(&denial, &Method::GET);
                Verdict::Denied { denial, response }
            }
        }
    }

    fn remove(&self) -> Vec<String> {
        let sources = self.gate.authenticator.enabled_sources();
        let names = self.strip_credentials.then(|| sources.names());
        // What is told of a token comes from here, and from no client.
        let told = [SLOT, EXPIRES];
        let names = names.into_iter().flatten().chain(&told);
        names.map(|name| name.as_str().to_owned()).collect()
    }
}

/// The client's request, as Envoy describes it.
struct Described {
    /// Whether its method and address are beyond doubt.
    is_clear: bool,
    /// Where they are not they stand here as `GET /`.
    head: Parts,
}

impl From<CheckRequest> for Described {
    fn from(check: CheckRequest) -> Self {
        let request = check.attributes.and_then(|attributes| attributes.request);
        let http = request.and_then(|request| request.http).unwrap_or_default();
        let mut head = http::Request::new(()).into_parts().0;
        let method = Method::from_bytes(&http.method).ok();
        let method = method.filter(|method| is_clear(method.as_str()));
        let uri = Uri::try_from(http.path.as_slice()).ok();
        let is_clear = match (method, uri) {
            (Some(method), Some(uri)) => {
                (head.method, head.uri) = (method, uri);
                true
            }
            _ => false,
        };
        head.headers = headers(http);
        Self { is_clear, head }
    }
}

/// Stands for a value that `http` cannot hold. No credential and no method has
/// this byte, so the line is judged as malformed and never as if it were not there.
const UNREADABLE: &[u8] = b"\xff";

/// The headers; `headers` if there are any there, else `header_map`. Pseudo
/// headers are left out.
fn headers(http: HttpRequest) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let joined = http.headers.into_iter().map(|line| (line.key, line.value));
    let lines = http.header_map.into_iter().flat_map(|map| map.headers).map(raw);
    let lines: Vec<_> = if joined.len() > 0 { joined.collect() } else { lines.collect() };
    for (name, value) in lines {
        let Ok(name) = HeaderName::try_from(name) else { continue };
        let value = HeaderValue::try_from(value).or_else(|_| HeaderValue::from_bytes(UNREADABLE));
        headers.extend(value.ok().map(|value| (name, value)));
    }
    if let (false, Ok(host)) = (headers.contains_key(HOST), HeaderValue::try_from(http.host)) {
        headers.insert(HOST, host);
    }
    headers
}

fn raw(line: HeaderLine) -> (Vec<u8>, Vec<u8>) {
    let HeaderLine { key, value, raw_value } = line;
    (key, if raw_value.is_empty() { value } else { raw_value })
}
