//! The contract of `tower_service::Service`, polled by hand: which instance of
//! the inner service is called, and what becomes of the readiness it held.

mod inner;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use http::{Request, Response};
use tokio::sync::Semaphore;
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service};
use tower_api_token::TokenAuthLayer;
use tower_api_token::account::Account;
use tower_api_token::middleware::{ResponseFuture, TokenAuth};
use tower_api_token::store::{MemoryStore, StoreError, TokenStore};
use tower_api_token::token::TokenDigest;

use self::inner::{Failed, Inner, Log};
use crate::generated;
use crate::layer::support::{Answers, World, bearer};

/// Answers when its door is opened, once for each opening.
struct Door {
    accounts: MemoryStore,
    openings: Semaphore,
}

impl Door {
    fn of(world: &World) -> Arc<Self> {
        let accounts = MemoryStore::new();
        for account in world.accounts() {
            accounts.insert(account).unwrap();
        }
        Arc::new(Self { accounts, openings: Semaphore::new(0) })
    }

    fn open(&self) {
        self.openings.add_permits(1);
    }
}

#[async_trait]
impl TokenStore for Door {
    async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        self.openings.acquire().await.expect("never closed").forget();
        self.accounts.find(digest).await
    }
}

/// A limit of one that is shared by all clones.
type Limited = TokenAuth<ConcurrencyLimit<Inner>>;

fn limited(layer: &TokenAuthLayer) -> (Limited, Arc<Log>) {
    let (inner, log) = Inner::new();
    (layer.layer(ConcurrencyLimit::new(inner, 1)), log)
}

fn ready<S: Service<Request<String>>>(service: &mut S) -> Poll<Result<(), S::Error>> {
    service.poll_ready(&mut Context::from_waker(Waker::noop()))
}

fn assert_ready<S: Service<Request<String>>>(service: &mut S) {
    assert!(matches!(ready(service), Poll::Ready(Ok(()))), "not ready");
}

fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn status<B>(answer: Poll<Result<Response<B>, Failed>>) -> u16 {
    match answer {
        Poll::Ready(Ok(response)) => response.status().as_u16(),
        Poll::Ready(Err(error)) => panic!("{error:?}"),
        Poll::Pending => panic!("no answer"),
    }
}

/// A request that is denied whatever the store knows of carol.
fn unknown() -> Request<String> {
    bearer("GET", &generated::token("tat"))
}

#[test]
fn an_answer_from_memory_calls_the_polled_service_without_a_clone() {
    let world = World::new();
    let (inner, log) = Inner::new();
    let mut service = world.layer().layer(inner);
    assert_ready(&mut service);
    let mut future = Box::pin(service.call(world.get()));
    assert_eq!(log.called(), [0]);
    log.finish();
    assert_eq!(status(poll(&mut future)), 200);
    assert_eq!(log.clones(), 0);
}

#[test]
fn the_polled_service_waits_for_the_store_in_the_future() {
    let world = World::new();
    let door = Door::of(&world);
    let (inner, log) = Inner::new();
    let mut service = TokenAuthLayer::new(Arc::clone(&door)).layer(inner);
    assert_ready(&mut service);
    let mut future = Box::pin(service.call(world.get()));
    assert!(poll(&mut future).is_pending());
    assert!(log.called().is_empty());
    door.open();
    assert!(poll(&mut future).is_pending());
    assert_eq!(log.called(), [0], "the instance that was polled ready");
    log.finish();
    assert_eq!(status(poll(&mut future)), 200);
}

#[test]
fn a_request_that_passes_holds_its_permit_until_it_is_answered() {
    let world = World::new();
    let (mut service, log) = limited(&world.layer());
    let mut other = service.clone();
    assert_ready(&mut service);
    let mut future = Box::pin(service.call(world.get()));
    assert!(ready(&mut other).is_pending());
    assert!(poll(&mut future).is_pending());
    log.finish();
    assert_eq!(status(poll(&mut future)), 200);
    drop(future);
    assert_ready(&mut other);
}

#[test]
fn a_request_denied_from_memory_frees_its_permit_at_once() {
    let world = World::new();
    for request in [unknown(), bearer("POST", &world.primary), bearer("GET", "")] {
        let (mut service, log) = limited(&world.layer());
        let mut other = service.clone();
        assert_ready(&mut service);
        let mut future = Box::pin(service.call(request));
        // The answer has not even been polled for.
        assert_ready(&mut other);
        assert!(matches!(status(poll(&mut future)), 400..=403));
        assert!(log.called().is_empty());
    }
}

#[test]
fn a_request_denied_by_the_store_frees_its_permit_with_the_answer() {
    let world = World::new();
    for request in [unknown(), bearer("POST", &world.primary)] {
        let door = Door::of(&world);
        let (mut service, log) = limited(&TokenAuthLayer::new(Arc::clone(&door)));
        let mut other = service.clone();
        assert_ready(&mut service);
        let mut future = Box::pin(service.call(request));
        assert!(poll(&mut future).is_pending());
        assert!(ready(&mut other).is_pending(), "the permit waits with the request");
        door.open();
        let answer = poll(&mut future);
        // The answer and its future are still there.
        assert_ready(&mut other);
        assert!(matches!(status(answer), 401 | 403));
        assert!(log.called().is_empty());
    }
}

#[test]
fn a_host_that_renders_slowly_holds_no_permit() {
    let world = World::new();
    for in_memory in [true, false] {
        let door = Door::of(&world);
        door.open();
        let layer = if in_memory { world.layer() } else { TokenAuthLayer::new(door) };
        let (inner, _) = Inner::new();
        let limit = ConcurrencyLimit::new(inner, 1);
        let other = std::sync::Mutex::new(limit.clone());
        let layer = layer.on_denied(move |denial, _| {
            assert_ready(&mut *other.lock().unwrap());
            let mut response = Response::default();
            *response.status_mut() = denial.status();
            response
        });
        let mut service = layer.layer(limit);
        assert_ready(&mut service);
        let mut future = Box::pin(service.call(unknown()));
        assert_eq!(status(poll(&mut future)), 401);
    }
}

#[test]
fn readiness_is_the_inner_services() {
    let world = World::new();
    let (inner, log) = Inner::new();
    let mut service = world.layer().layer(inner);
    log.set_readiness(Poll::Pending);
    assert!(ready(&mut service).is_pending());
    log.set_readiness(Poll::Ready(Err(Failed)));
    assert!(matches!(ready(&mut service), Poll::Ready(Err(Failed))));
    log.set_readiness(Poll::Ready(Ok(())));
    assert_ready(&mut service);
}

#[test]
fn an_error_of_the_inner_service_stays_its_error() {
    let world = World::new();
    let (inner, log) = Inner::new();
    let mut service = world.layer().layer(inner);
    assert_ready(&mut service);
    let mut future = Box::pin(service.call(world.get()));
    log.fail();
    assert!(matches!(poll(&mut future), Poll::Ready(Err(Failed))));
}

#[test]
fn a_request_may_be_dropped_before_it_is_polled() {
    let world = World::new();
    for layer in [world.layer(), TokenAuthLayer::new(Door::of(&world))] {
        let (mut service, log) = limited(&layer);
        for request in [world.get(), unknown()] {
            assert_ready(&mut service);
            drop(service.call(request));
            assert_ready(&mut service);
        }
        assert_eq!(log.running(), 0);
    }
}

#[test]
fn a_request_may_be_dropped_while_the_store_is_asked() {
    let world = World::new();
    let layer = TokenAuthLayer::new(world.store(Answers::Hang));
    let (mut service, log) = limited(&layer);
    for _ in 0..3 {
        assert_ready(&mut service);
        let mut future = Box::pin(service.call(world.get()));
        assert!(poll(&mut future).is_pending());
        drop(future);
    }
    assert_ready(&mut service);
    assert!(log.called().is_empty(), "no approval without the store's word");
}

#[test]
fn a_request_may_be_dropped_while_it_is_served() {
    let world = World::new();
    let door = Door::of(&world);
    for layer in [world.layer(), TokenAuthLayer::new(Arc::clone(&door))] {
        let (mut service, log) = limited(&layer);
        for _ in 0..3 {
            door.open();
            assert_ready(&mut service);
            let mut future = Box::pin(service.call(world.get()));
            assert!(poll(&mut future).is_pending());
            assert_eq!(log.running(), 1);
            drop(future);
            assert_eq!(log.running(), 0);
        }
        assert_ready(&mut service);
    }
}

#[test]
fn a_future_says_how_far_it_has_come_and_nothing_of_the_request() {
    let world = World::new();
    let shown = |layer: TokenAuthLayer, request| {
        let (mut service, _) = limited(&layer);
        assert_ready(&mut service);
        let future: ResponseFuture<_, _> = service.call(request);
        format!("{future:?}")
    };
    let asking = TokenAuthLayer::new(world.store(Answers::Hang));
    assert_eq!(shown(asking, world.get()), "ResponseFuture(\"asking the store\")");
    assert_eq!(shown(world.layer(), world.get()), "ResponseFuture(\"running\")");
    assert_eq!(shown(world.layer(), unknown()), "ResponseFuture(\"denied\")");
}
