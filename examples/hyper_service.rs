//! The layer around a plain hyper service, without a web framework.
//!
//! ```sh
//! cargo run --example hyper_service --features tokio
//! ```
//!
//! It grants the user `alice` GET and PUT, issues a token, and prints the `curl`
//! lines to try it. Accounts are in memory: they are gone when it stops.

use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::{Layer, service_fn};
use tower_api_token::manage::Confirmation;
use tower_api_token::method::MethodSet;
use tower_api_token::store::MemoryStore;
use tower_api_token::token::Token;
use tower_api_token::user::{Actor, UserId};
use tower_api_token::{Identity, TokenManager, Tokens};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let builder = Tokens::builder(MemoryStore::new()).confirmation(Confirmation::ByCaller);
    let tokens = builder.build().await?;
    let token = first_token(&tokens.manager()).await?;
    let service = tokens.layer().realm("hyper example")?.layer(service_fn(greet));
    tokens.start();

    let listener = TcpListener::bind(address()?).await?;
    let address = listener.local_addr()?;
    println!("listening on {address}");
    println!("curl -i http://{address}/");
    for method in ["GET", "PUT", "DELETE"] {
        let token = token.expose_secret();
        println!("curl -i -X {method} -H 'Authorization: Bearer {token}' http://{address}/");
    }

    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let mut server = http1::Builder::new();
            let server = server.timer(TokioTimer::new());
            if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
                eprintln!("a connection broke: {error}");
            }
        });
    }
}

fn address() -> Result<String, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => Ok("127.0.0.1:0".to_owned()),
        (Some("--listen"), Some(address)) => Ok(address),
        _ => Err("usage: hyper_service [--listen ADDRESS]".into()),
    }
}

/// The service behind the layer. Its requests come from an identified user who
/// may perform their method.
async fn greet(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let text = match request.extensions().get::<Identity>() {
        Some(identity) => format!("hello {}, by {}\n", identity.user(), request.method()),
        None => unreachable!("the layer is not in optional mode"),
    };
    Ok(Response::new(text.into()))
}

/// What a host's administration does, here once at the start.
async fn first_token(manager: &TokenManager) -> Result<Token, Box<dyn Error>> {
    let (root, alice) = (Actor::administrator("root")?, UserId::new("alice")?);
    manager.grant(&root, &alice, MethodSet::new(["GET", "PUT"])?).await?;
    Ok(manager.issue(&root, &alice).await?.token)
}
