//! The layer asks nothing of a request's body, and hands a response's body
//! through as it is.

use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use tower::{Layer, ServiceExt, service_fn};
use tower_api_token::middleware::ResponseBody;
use tower_api_token::{Identity, TokenAuthLayer};

use crate::layer::support::{Answers, World, bearer, request};

/// Neither `Send` nor `'static`, and no body by any trait.
struct Bare<'a>(Rc<Cell<&'a str>>);

fn with_body<B>(request: Request<String>, body: B) -> Request<B> {
    request.map(|_| body)
}

#[test]
fn a_request_body_needs_no_trait_at_all() {
    let world = World::new();
    let text = String::from("borrowed");
    for layer in [world.layer(), TokenAuthLayer::new(world.store(Answers::Find))] {
        let service = layer.layer(service_fn(async |request: Request<Bare<'_>>| {
            Ok::<_, Rc<()>>(Response::new(request.into_body().0.get().len()))
        }));
        let request = with_body(world.get(), Bare(Rc::new(Cell::new(&text))));
        let response = service.oneshot(request).now_or_never().unwrap().unwrap();
        assert_eq!(response.status(), 200);
    }
}

/// What a client reads of a passed request's body.
fn passed<B>(body: B) -> ResponseBody<B>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    let world = World::new();
    let mut body = Some(body);
    let handler = move |_: Request<String>| {
        let response = Response::new(body.take().expect("called once"));
        std::future::ready(Ok::<_, Infallible>(response))
    };
    let shared = std::sync::Arc::new(std::sync::Mutex::new(handler));
    let service =
        world.layer().layer(service_fn(move |request| (shared.lock().expect("no panic"))(request)));
    let response = service.oneshot(world.get()).now_or_never().unwrap();
    response.unwrap_or_else(|no| match no {}).into_body()
}

/// What a client reads where the inner service would have answered with `B`.
fn denied<B: Body<Data = Bytes> + Send + 'static>(grpc: bool) -> ResponseBody<B> {
    let service = World::new().layer().grpc(grpc).layer(service_fn(async |_: Request<String>| {
        Err::<Response<B>, &str>("must not be called")
    }));
    let call = request("POST", &[("content-type", "application/grpc")]);
    service.oneshot(call).now_or_never().unwrap().unwrap().into_body()
}

fn bytes<B>(body: B) -> Bytes
where
    B: Body<Data = Bytes, Error: std::fmt::Debug>,
{
    body.collect().now_or_never().expect("ready").expect("no error").to_bytes()
}

fn exact(hint: &SizeHint) -> u64 {
    hint.exact().expect("an exact size")
}

fn assert_own_body<B>()
where
    B: Body<Data = Bytes, Error: std::fmt::Debug> + Send + 'static,
{
    let problem = denied::<B>(false);
    assert!(!problem.is_end_stream());
    let announced = exact(&problem.size_hint());
    let read = bytes(problem);
    assert_eq!(announced, read.len() as u64);
    assert!(read.starts_with(b"{"));
    let nothing = denied::<B>(true);
    assert!(nothing.is_end_stream(), "a gRPC denial is headers alone");
    assert_eq!(exact(&nothing.size_hint()), 0);
    assert!(bytes(nothing).is_empty());
}

#[test]
fn a_denials_body_stands_in_for_every_kind_of_body() {
    assert_own_body::<Full<Bytes>>();
    assert_own_body::<Empty<Bytes>>();
    assert_own_body::<BoxBody<Bytes, std::io::Error>>();
    assert_own_body::<axum::body::Body>();
    assert_own_body::<tonic::body::Body>();
    assert_own_body::<hyper::body::Incoming>();
}

#[test]
fn a_denials_body_is_one_frame_and_then_over() {
    let mut body = denied::<Full<Bytes>>(false);
    let frame = body.frame().now_or_never().unwrap().unwrap().unwrap();
    assert!(frame.is_data());
    assert!(body.is_end_stream());
    assert_eq!(exact(&body.size_hint()), 0);
    for _ in 0..2 {
        assert!(body.frame().now_or_never().unwrap().is_none());
    }
}

fn assert_handed_through<B>(body: B)
where
    B: Body<Data = Bytes, Error: std::fmt::Debug> + Send + 'static,
{
    let body = passed(body);
    assert!(!body.is_end_stream());
    assert_eq!(exact(&body.size_hint()), 5);
    assert_eq!(bytes(body), "hello");
}

#[test]
fn the_inner_services_body_is_handed_through() {
    let full = || Full::new(Bytes::from_static(b"hello"));
    assert_handed_through(full());
    assert_handed_through(BoxBody::new(full()));
    assert_handed_through(axum::body::Body::from("hello"));
    assert_handed_through(tonic::body::Body::new(full()));
    let empty = passed(Empty::<Bytes>::new());
    assert!(empty.is_end_stream());
    assert_eq!(exact(&empty.size_hint()), 0);
}

#[test]
fn trailers_and_errors_are_handed_through() {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", 0.into());
    let frames = [Ok(Frame::data(Bytes::from_static(b"hello"))), Ok(Frame::trailers(trailers))];
    let frames = frames.into_iter().chain([Err("broken")]);
    let mut body = passed(StreamBody::new(futures_util::stream::iter(frames)));
    assert_eq!(body.size_hint().exact(), None);
    let mut next = || body.frame().now_or_never().expect("ready").expect("a frame");
    assert_eq!(next().unwrap().into_data().unwrap(), "hello");
    assert_eq!(next().unwrap().into_trailers().unwrap()["grpc-status"], "0");
    assert_eq!(next().unwrap_err(), "broken");
}

#[test]
fn a_response_body_that_is_no_body_is_left_to_its_host() {
    let world = World::new();
    let handler = async |request: Request<String>| {
        let identity = request.extensions().get::<Identity>().expect("an identity");
        Ok::<_, Infallible>(Response::new(identity.user().as_str().len()))
    };
    let service = world.layer().layer(service_fn(handler));
    let response = service.oneshot(bearer("GET", &world.primary)).now_or_never().unwrap().unwrap();
    assert_eq!(response.status(), 200);
}

#[test]
fn an_empty_body_is_what_default_gives() {
    let body = ResponseBody::<Full<Bytes>>::default();
    assert!(body.is_end_stream());
    assert!(bytes(body).is_empty());
}
