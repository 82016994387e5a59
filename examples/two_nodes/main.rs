//! One of several nodes of a small API, all on one database, each behind a
//! cache of its own. The README beside this file has the lines to start two and
//! to see a revocation on one take effect on the other.

mod options;
mod store;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_api_token::manage::{Confirmation, ManageError};
use tower_api_token::method::MethodSet;
use tower_api_token::rotation::{Policy, RotationError};
use tower_api_token::store::{AccountStore, CacheOptions, CachedStore, WithTimeout};
use tower_api_token::user::{Actor, UserId};
use tower_api_token::{Identity, TokenManager, Tokens};

use self::options::Options;

/// The longest that a revoked token may still be accepted by another node, in
/// whatever trouble. While nothing is broken it takes milliseconds.
const STALENESS_BOUND: Duration = Duration::from_secs(5);

/// The database, with a limit on how long it may take, behind a cache.
type Store = CachedStore<WithTimeout<Arc<dyn AccountStore>>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::from_arguments()?;
    let database = WithTimeout::new(store::open(&options).await?);
    let cache = CacheOptions::new().staleness_bound(STALENESS_BOUND);
    let store = Arc::new(CachedStore::start(database, cache)?);
    let policy = Policy::default().usage_interval(Duration::from_secs(1))?;
    let tokens = Tokens::builder(Arc::clone(&store))
        .policy(policy)
        .confirmation(Confirmation::ByCaller)
        .build()
        .await?;

    let api = Router::new().route("/items", get(items)).layer(tokens.layer().same_body());
    let router = api.merge(administration(tokens.manager())).merge(health(store));

    let listener = TcpListener::bind(&options.listen).await?;
    println!("listening on {}", listener.local_addr()?);
    tokens.start();
    axum::serve(listener, router).with_graceful_shutdown(interrupted()).await?;
    Ok(tokio::time::timeout(Duration::from_secs(10), tokens.close()).await??)
}

async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// A handler of the API: the layer has put the identity there.
async fn items(identity: Identity) -> Json<Value> {
    Json(json!({ "items": ["apple", "pear"], "user": identity.user().as_str() }))
}

/// What an administrator's own pages would do. Here everybody who reaches this
/// address is taken for one: never mount such routes without a session of your
/// own around them.
fn administration(manager: TokenManager) -> Router {
    let user = post(issue).delete(revoke);
    Router::new().route("/admin/{user}", user).with_state(manager)
}

/// Ends every token that the user has, and issues a new one.
async fn issue(
    State(manager): State<TokenManager>,
    Path(user): Path<String>,
) -> Result<String, Refused> {
    let (administrator, user) = (Actor::administrator("two_nodes")?, UserId::new(user)?);
    done(manager.grant(&administrator, &user, MethodSet::new(["GET"])?).await)?;
    done(manager.revoke_all(&administrator, &user).await)?;
    let issued = manager.issue(&administrator, &user).await?;
    Ok(issued.token.expose_secret().to_owned())
}

async fn revoke(
    State(manager): State<TokenManager>,
    Path(user): Path<String>,
) -> Result<StatusCode, Refused> {
    let (administrator, user) = (Actor::administrator("two_nodes")?, UserId::new(user)?);
    done(manager.revoke_all(&administrator, &user).await)?;
    Ok(StatusCode::NO_CONTENT)
}

/// What was done before is as good as done now.
fn done<T>(outcome: Result<T, ManageError>) -> Result<(), ManageError> {
    match outcome {
        Err(error) if error.refusal() != Some(RotationError::AlreadyDone) => Err(error),
        _ => Ok(()),
    }
}

/// How the cache of this node stands.
fn health(store: Arc<Store>) -> Router {
    let health = |State(store): State<Arc<Store>>| async move {
        let cache = store.statistics();
        Json(json!({
            "trusted": cache.trusted,
            "hits": cache.hits,
            "misses": cache.misses,
            "invalidations": cache.invalidations,
        }))
    };
    Router::new().route("/health", get(health)).with_state(store)
}

/// A change that was not made.
struct Refused(Box<dyn Error>);

impl<E: Into<Box<dyn Error>>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let refused = self.0.downcast_ref::<ManageError>().is_none_or(|it| it.refusal().is_some());
        let status =
            if refused { StatusCode::BAD_REQUEST } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(json!({ "error": self.0.to_string() }))).into_response()
    }
}
