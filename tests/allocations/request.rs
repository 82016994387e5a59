//! What a request allocates on its way through the layer.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Extensions, Method, Request, Response, StatusCode};
use tower::{Layer, Service, service_fn};
use tower_api_token::TokenAuthLayer;
use tower_api_token::account::{Account, TokenRecord};
use tower_api_token::method::MethodSet;
use tower_api_token::store::MemoryStore;
use tower_api_token::time::Timestamp;
use tower_api_token::token::{Token, TokenHint, TokenId, TokenScheme};
use tower_api_token::usage::UsageRecorder;
use tower_api_token::user::UserId;

use crate::allocator::Counts;

/// A token of the generated form, though nobody generated it.
const TOKEN: &str = "tat_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ3zbX8Q";

fn layer() -> TokenAuthLayer {
    let token = Token::parse(TOKEN).unwrap();
    let digest = TokenScheme::default().digest(&token);
    let (id, made_at) = (TokenId::from_u64(1), Timestamp::default());
    let account = Account::builder(UserId::new("a name of 24 bytes, full").unwrap())
        .methods(MethodSet::new(["GET", "POST", "DELETE"]).unwrap())
        .primary(TokenRecord::new(id, digest, TokenHint::unknown(), made_at))
        .build()
        .unwrap();
    let store = Arc::new(MemoryStore::new());
    store.insert(account).unwrap();
    let usage = UsageRecorder::new(Arc::clone(&store));
    TokenAuthLayer::new(store).usage(usage)
}

fn answer(request: Request<()>) -> Ready<Result<Response<Request<()>>, Infallible>> {
    ready(Ok(Response::new(request)))
}

/// The blocks allocated between handing a request over and its response.
fn allocations<S, Q: Default, B>(service: &mut S, method: Method) -> (StatusCode, u64)
where
    S: Service<Request<Q>, Response = Response<B>, Error = Infallible>,
{
    let bearer = format!("Bearer {TOKEN}");
    let request = Request::builder().method(method).header("authorization", bearer);
    let request = request.header("user-agent", "curl/8.5.0").body(Q::default()).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    let before = Counts::now().allocations;
    assert!(service.poll_ready(&mut cx).is_ready());
    let future = pin!(service.call(request));
    let Poll::Ready(Ok(response)) = future.poll(&mut cx) else { panic!("the service waits") };
    (response.status(), Counts::now().allocations - before)
}

#[test]
fn a_request_allocates_what_its_extensions_take_and_nothing_else() {
    let mut bare = service_fn(answer);
    let mut layered = layer().layer(service_fn(answer));
    let (_, none) = allocations(&mut bare, Method::GET);
    assert_eq!(none, 0);

    // The first use in an interval is noted.
    let (status, _) = allocations(&mut layered, Method::GET);
    assert_eq!(status, StatusCode::OK);

    let before = Counts::now().allocations;
    let mut extensions = Extensions::new();
    extensions.insert([0_u64; 8]);
    let extensions_alone = Counts::now().allocations - before;
    assert_eq!(extensions_alone, 3);

    for method in [Method::GET, Method::HEAD, Method::POST, Method::DELETE] {
        let expected = (StatusCode::OK, extensions_alone);
        assert_eq!(allocations(&mut layered, method.clone()), expected, "{method}");
    }
    let (status, _) = allocations(&mut layered, Method::PUT);
    assert_eq!(status, StatusCode::FORBIDDEN);
}

/// The router puts three extensions in; a map of four is made once as well.
#[test]
fn around_an_axum_router_it_allocates_nothing_but_the_identity() {
    let mut router = Router::new().route("/", get(async || ()));
    let mut layered = layer().same_body().layer(router.clone());
    // The first use in an interval is noted.
    allocations::<_, Body, _>(&mut layered, Method::GET);
    let (_, bare) = allocations::<_, Body, _>(&mut router, Method::GET);
    let expected = (StatusCode::OK, bare + 1);
    assert_eq!(allocations::<_, Body, _>(&mut layered, Method::GET), expected);
}

/// An axum router that is no server's outermost service lays its layers around
/// a handler for each request.
#[test]
fn laying_the_layer_around_a_service_copies_none_of_its_settings() {
    let layer = layer();
    let before = Counts::now().allocations;
    let service = layer.layer(service_fn(answer));
    assert_eq!(Counts::now().allocations - before, 0);
    drop(service);
}
