//! The layer around a tonic service: denials are gRPC statuses.
//!
//! ```sh
//! cargo run --example tonic_service --features tokio
//! ```
//!
//! Every gRPC call is a POST, so the host says which method a call counts as; which
//! calls a user may make beyond that is its own check. The token goes into the call's
//! metadata: `authorization: Bearer <token>`. Health needs none.

mod greeter;

use std::convert::Infallible;
use std::error::Error;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Method;
use http::request::Parts;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::service::LayerExt;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::Service;
use tower_api_token::manage::Confirmation;
use tower_api_token::method::MethodSet;
use tower_api_token::store::MemoryStore;
use tower_api_token::token::Token;
use tower_api_token::user::{Actor, UserId};
use tower_api_token::{Identity, TokenManager, Tokens};

use greeter::{FORGET, GREET, GreetReply, GreetRequest};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let builder = Tokens::builder(MemoryStore::new()).confirmation(Confirmation::ByCaller);
    let tokens = builder.build().await?;
    let token = first_token(&tokens.manager()).await?;
    let layer = tokens.layer().grpc(true).counts_as(method_of).also_require(may_call);
    tokens.start();

    // Around one service: whoever asks for the server's health needs no token.
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<Greeter>().await;

    let listener = TcpListener::bind(address()?).await?;
    println!("listening on {}", listener.local_addr()?);
    println!("authorization: Bearer {}", token.expose_secret());
    let server = Server::builder().add_service(health_service);
    let server = server.add_service(layer.named_layer(Greeter));
    Ok(server.serve_with_incoming(TcpIncoming::from(listener)).await?)
}

fn address() -> Result<String, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => Ok("127.0.0.1:0".to_owned()),
        (Some("--listen"), Some(address)) => Ok(address),
        _ => Err("usage: tonic_service [--listen ADDRESS]".into()),
    }
}

/// What only reads counts as GET; everything else needs POST.
fn method_of(call: &Parts) -> Option<Method> {
    (call.uri.path() == GREET).then_some(Method::GET)
}

/// A list of what is allowed: a call that nobody has thought of is refused.
fn may_call(identity: &Identity, call: &Parts) -> bool {
    match call.uri.path() {
        GREET => true,
        FORGET => identity.user().as_str() == "root",
        _ => false,
    }
}

/// What a host's administration does, here once at the start.
async fn first_token(manager: &TokenManager) -> Result<Token, Box<dyn Error>> {
    let (root, alice) = (Actor::administrator("root")?, UserId::new("alice")?);
    manager.grant(&root, &alice, MethodSet::new(["GET", "POST"])?).await?;
    Ok(manager.issue(&root, &alice).await?.token)
}

/// A method's implementation: the identity is in the call's extensions.
struct Greet;

impl UnaryService<GreetRequest> for Greet {
    type Response = GreetReply;
    type Future = Ready<Result<Response<GreetReply>, Status>>;

    fn call(&mut self, call: Request<GreetRequest>) -> Self::Future {
        let Some(identity) = call.extensions().get::<Identity>() else {
            return ready(Err(Status::internal("the layer is missing")));
        };
        let text = format!("hello {}, says {}", call.get_ref().name, identity.user());
        ready(Ok(Response::new(GreetReply { text })))
    }
}

/// The service that a generator would make: it finds a call's method.
#[derive(Clone)]
struct Greeter;

impl NamedService for Greeter {
    const NAME: &'static str = "example.Greeter";
}

impl Service<http::Request<Body>> for Greeter {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            match call.uri().path() {
                GREET | FORGET => {
                    let mut grpc = Grpc::new(ProstCodec::<GreetReply, GreetRequest>::default());
                    Ok(grpc.unary(Greet, call).await)
                }
                _ => Ok(Status::unimplemented("no such method").into_http()),
            }
        })
    }
}
