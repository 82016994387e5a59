//! The program that README begins with.

use axum::{Router, routing::get};
use tower_api_token::manage::Confirmation;
use tower_api_token::method::MethodSet;
use tower_api_token::store::MemoryStore;
use tower_api_token::user::{Actor, UserId};
use tower_api_token::{Identity, Tokens};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let builder = Tokens::builder(MemoryStore::new()).confirmation(Confirmation::ByCaller);
    let tokens = builder.build().await?;
    let (root, alice) = (Actor::administrator("root")?, UserId::new("alice")?);
    tokens.manager().grant(&root, &alice, MethodSet::new(["GET"])?).await?;
    let issued = tokens.manager().issue(&root, &alice).await?;
    println!("TOKEN={}", issued.token.expose_secret());

    let items = get(async |who: Identity| format!("items of {}\n", who.user()));
    let app = Router::new().route("/items", items).layer(tokens.layer());
    tokens.start();
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:3000".into());
    let listener = tokio::net::TcpListener::bind(address).await?;
    Ok(axum::serve(listener, app).await?)
}
