use std::error::Error;

use axum::extract::{Path, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderName};
use axum::response::IntoResponse;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_api_token::manage::{Confirmation, Delivery, ManageError, Problem};
use tower_api_token::method::MethodSet;
use tower_api_token::rotation::RotationError;
use tower_api_token::store::SqliteStore;
use tower_api_token::token::{ConfirmationCode, Token};
use tower_api_token::user::{Actor, UserId};
use tower_api_token::{Identity, TokenManager, Tokens};
use tower_http::cors::{Any, CorsLayer};
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;
use tower_http::trace::TraceLayer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let tokens = open("tokens.db").await?;
    if let Some(token) = first_administrator(&tokens.manager()).await? {
        println!("the administrator's token, shown once: {}", token.expose_secret());
    }
    tokens.start();
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    let stop = async { tokio::signal::ctrl_c().await.expect("a signal handler") };
    axum::serve(listener, app(&tokens)).with_graceful_shutdown(stop).await?;
    Ok(tokens.close().await?)
}

pub(crate) async fn open(file: &str) -> Result<Tokens, Box<dyn Error>> {
    let store = SqliteStore::open(file)?;
    store.migrate().await?;
    // Codes go back to the caller; people would get them by a notifier.
    Ok(Tokens::builder(store).confirmation(Confirmation::ByCaller).build().await?)
}

/// The last layer is the outermost.
pub(crate) fn app(tokens: &Tokens) -> Router {
    let auth = tokens.layer();
    let administrators = auth.clone().also_require(|who, _| who.user().as_str() == "admin");

    let api = Router::new().route("/items", get(items).post(items)).layer(auth);
    let admin = Router::new()
        .route("/users/{name}/methods", put(grant))
        .route("/users/{name}/generate", post(generate))
        .route("/users/{name}/confirm", post(confirm))
        .layer(administrators)
        .with_state(tokens.manager());

    let cors = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods(Any)
        .allow_headers([AUTHORIZATION])
        .expose_headers([HeaderName::from_static("api-token-slot")]);
    Router::new()
        .route("/health", get(|| async { "ok" }))
        .nest("/api", api)
        .nest("/api/admin", admin)
        .layer(cors)
        .layer(TraceLayer::new_for_http())
        .layer(SetSensitiveRequestHeadersLayer::new([AUTHORIZATION]))
}

async fn items(who: Identity) -> Json<Value> {
    Json(json!({ "items": [], "user": who.user().as_str() }))
}

/// Makes the administrator's token at the very first start: `None` at later ones.
pub(crate) async fn first_administrator(
    manager: &TokenManager,
) -> Result<Option<Token>, Box<dyn Error>> {
    let (admin, by) = (UserId::new("admin")?, Actor::program("bootstrap")?);
    // An account stays when its access is revoked: nobody is granted it again.
    if manager.summary(&admin).await?.is_some() {
        return Ok(None);
    }
    let methods = MethodSet::new(["GET", "POST", "PUT", "DELETE"])?;
    unless_done(manager.grant(&by, &admin, methods).await)?;
    match manager.issue(&by, &admin).await {
        Ok(issued) => Ok(Some(issued.token)),
        // Another node has started at the same time.
        Err(error) if error.refusal() == Some(RotationError::PrimaryExists) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Takes a change for made that was made before.
fn unless_done<T>(changed: Result<T, ManageError>) -> Result<(), ManageError> {
    match changed {
        Err(error) if error.refusal() != Some(RotationError::AlreadyDone) => Err(error),
        _ => Ok(()),
    }
}

/// The administrator who asks: the layer has let nobody else through.
fn actor(who: &Identity) -> Actor {
    Actor::Administrator(who.user().clone())
}

/// PUT is idempotent, so methods that are granted already are no error.
async fn grant(
    who: Identity,
    State(manager): State<TokenManager>,
    Path(user): Path<UserId>,
    Json(methods): Json<MethodSet>,
) -> Result<(), Problem> {
    Ok(unless_done(manager.grant(&actor(&who), &user, methods).await)?)
}

/// A new token for a machine, and the code that activates it once it is stored.
async fn generate(
    who: Identity,
    State(manager): State<TokenManager>,
    Path(user): Path<UserId>,
) -> Result<impl IntoResponse, Problem> {
    let generated = manager.generate_primary(&actor(&who), &user).await?;
    let code = match &generated.delivery {
        Delivery::ToCaller(code) => Some(code.expose_secret()),
        _ => None,
    };
    let token = generated.token.expose_secret();
    let answer = json!({ "id": generated.id.as_u64(), "token": token, "code": code });
    Ok(([(CACHE_CONTROL, "no-store")], Json(answer)))
}

async fn confirm(
    who: Identity,
    State(manager): State<TokenManager>,
    Path(user): Path<UserId>,
    code: String,
) -> Result<(), Problem> {
    let code = ConfirmationCode::parse(&code).ok_or(RotationError::UnknownCode)?;
    manager.confirm(&actor(&who), &user, &code).await?;
    Ok(())
}
