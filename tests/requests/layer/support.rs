//! A small world to send requests into: accounts in every state, a store that
//! tells what it was asked, and a handler that tells what it was given.

mod spy;
mod world;

use std::convert::Infallible;
use std::future::{Ready, ready};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_api_token::denial::Denial;
use tower_api_token::{Identity, TokenAuthLayer};

pub(crate) use self::spy::{Answers, Call, Spy};
pub(crate) use self::world::{World, account, bearer, digest, record, request, timestamp};

/// What came back, and what the handler saw if it was reached.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) denial: Option<Denial>,
    pub(crate) seen: Option<Seen>,
}

/// What the handler was given.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) identity: Option<Identity>,
    pub(crate) headers: HeaderMap,
    /// `Debug` of the whole request.
    pub(crate) shown: String,
}

impl Outcome {
    pub(crate) fn reached(&self) -> bool {
        self.seen.is_some()
    }

    pub(crate) fn identity(&self) -> &Identity {
        self.seen.as_ref().expect("reached").identity.as_ref().expect("an identity")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("ASCII"))
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name).iter();
        values.map(|value| value.to_str().expect("ASCII")).collect()
    }

    pub(crate) fn problem(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a problem document")
    }
}

/// Sends `request` through `layer`, to a handler that answers 200.
pub(crate) fn send(layer: &TokenAuthLayer, request: Request<String>) -> Outcome {
    send_to(layer, request, HeaderMap::new())
}

/// Sends `request` through `layer`, to a handler that answers 200 with
/// `headers` of its own. Nothing here may wait.
pub(crate) fn send_to(
    layer: &TokenAuthLayer,
    request: Request<String>,
    headers: HeaderMap,
) -> Outcome {
    answer(layer.layer(handler(headers)), request)
}

/// Sends `request` through `layer`, which keeps the handler's body type.
pub(crate) fn send_in_same_body(layer: TokenAuthLayer, request: Request<String>) -> Outcome {
    answer(layer.same_body().layer(handler(HeaderMap::new())), request)
}

fn answer<S, B>(service: S, request: Request<String>) -> Outcome
where
    S: Service<Request<String>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes, Error = Infallible>,
{
    let response = service.oneshot(request).now_or_never();
    let response = response.expect("answered without waiting").unwrap_or_else(|no| match no {});
    let (head, body) = response.into_parts();
    let body = body.collect().now_or_never().expect("a ready body");
    Outcome {
        status: head.status,
        headers: head.headers,
        body: body.unwrap_or_else(|no| match no {}).to_bytes(),
        denial: head.extensions.get().cloned(),
        seen: head.extensions.get().cloned(),
    }
}

type Answer = Ready<Result<Response<Full<Bytes>>, Infallible>>;

fn handler(
    headers: HeaderMap,
) -> impl Service<Request<String>, Response = Response<Full<Bytes>>, Error = Infallible> + Clone {
    service_fn(move |request: Request<String>| handle(&request, headers.clone()))
}

fn handle(request: &Request<String>, headers: HeaderMap) -> Answer {
    let identity = request.extensions().get().cloned();
    let shown = format!("{request:?}");
    let mut response = Response::new(Full::from("reached"));
    *response.headers_mut() = headers;
    response.extensions_mut().insert(Seen { identity, headers: request.headers().clone(), shown });
    ready(Ok(response))
}
