//! A small REST API whose users have API tokens, with the whole life of a
//! token to try by hand.
//!
//! ```sh
//! cargo run --example quickstart --features axum,sqlite
//! ```
//!
//! It keeps its accounts in a SQLite file and prints the `curl` lines for every
//! step. Stop it and start it again: everything is still there.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_api_token::manage::{Guard, ManageError, TokenView};
use tower_api_token::method::MethodSet;
use tower_api_token::notify::DirectoryNotifier;
use tower_api_token::rotation::{Policy, RotationError};
use tower_api_token::store::SqliteStore;
use tower_api_token::token::{ConfirmationCode, TokenId};
use tower_api_token::user::{Actor, UserId};
use tower_api_token::{Identity, TokenManager, Tokens};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::from_arguments()?;
    std::fs::create_dir_all(options.directory.join("mail"))?;
    // The steps are pasted in some other directory.
    let options = Options { directory: options.directory.canonicalize()?, ..options };
    let mail = options.directory.join("mail");

    let store = SqliteStore::open(options.directory.join("tokens.sqlite"))?;
    store.migrate().await?;

    // One configuration for both sides. Confirmation codes go to files instead of
    // mail, and last uses are written every second.
    let tokens = Tokens::builder(store)
        .policy(Policy::default().usage_interval(Duration::from_secs(1))?)
        .notifier(DirectoryNotifier::new(&mail)?)
        .build()
        .await?;
    let profile = Profile { manager: tokens.manager(), user: UserId::new("alice")? };
    let first_token = profile.first_token().await?;

    // The request side: every route of the API is behind the layer.
    let api =
        Router::new().route("/items", get(items).post(items)).layer(tokens.layer().same_body());
    let router = api.merge(profile_routes(profile));

    let listener = TcpListener::bind(&options.listen).await?;
    print_steps(&options, listener.local_addr()?, first_token.as_deref());

    tokens.start();
    axum::serve(listener, router).with_graceful_shutdown(interrupted()).await?;
    // A store that never answers must not hold up the end.
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

/// The profile of one user.
///
/// It stands for the pages that a host shows to users who have signed in: here
/// everybody who reaches this address is taken for alice. Never mount such
/// routes without a session of your own around them.
#[derive(Clone)]
struct Profile {
    manager: TokenManager,
    user: UserId,
}

fn profile_routes(profile: Profile) -> Router {
    Router::new()
        .route("/profile", get(view))
        .route("/profile/generate", post(generate))
        .route("/profile/confirm", post(confirm))
        .route("/profile/delete-backup", post(delete_backup))
        .route("/profile/roll-back", post(roll_back))
        .route("/profile/revoke-all", post(revoke_all))
        .with_state(profile)
}

impl Profile {
    /// Grants alice GET and issues her first token; nothing if she has one.
    async fn first_token(&self) -> Result<Option<String>, Box<dyn Error>> {
        let administrator = Actor::administrator("quickstart")?;
        let granted = self.manager.grant(&administrator, &self.user, MethodSet::new(["GET"])?);
        match granted.await.map_err(|error| (error.refusal(), error)) {
            Ok(_) | Err((Some(RotationError::AlreadyDone), _)) => {}
            Err((_, error)) => return Err(error.into()),
        }
        match self.manager.issue(&Actor::User, &self.user).await {
            Ok(issued) => Ok(Some(issued.token.expose_secret().to_owned())),
            Err(error) if error.refusal() == Some(RotationError::PrimaryExists) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

async fn view(State(profile): State<Profile>) -> Result<Json<Value>, Refused> {
    let view = profile.manager.view(&profile.user).await?;
    let token = |token: &TokenView| {
        json!({
            "id": token.id.as_u64(),
            "hint": token.hint.as_str(),
            "made_at": token.made_at.to_string(),
            "last_used_at": token.last_used_at.map(|at| at.to_string()),
            "client": token.client.as_ref().map(|client| client.as_str()),
        })
    };
    Ok(Json(json!({
        "methods": view.methods.iter().collect::<Vec<_>>(),
        "primary": view.primary.as_ref().map(token),
        "backup": view.backup.as_ref().map(token),
        "pending": view.pending.map(|pending| pending.id.as_u64()),
    })))
}

/// The answer holds a secret, so nobody may keep it.
async fn generate(State(profile): State<Profile>) -> Result<impl IntoResponse, Refused> {
    let generated = profile.manager.generate_primary(&Actor::User, &profile.user).await?;
    let token = json!({
        "id": generated.id.as_u64(),
        "token": generated.token.expose_secret(),
        "note": "shown once, and refused until it is confirmed",
    });
    Ok(([(CACHE_CONTROL, "no-store")], Json(token)))
}

async fn confirm(
    State(profile): State<Profile>,
    Json(request): Json<Value>,
) -> Result<StatusCode, Refused> {
    let code = request["code"].as_str().and_then(ConfirmationCode::parse);
    let code = code.ok_or(RotationError::UnknownCode)?;
    profile.manager.confirm(&Actor::User, &profile.user, &code).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_backup(
    State(profile): State<Profile>,
    Json(request): Json<Value>,
) -> Result<StatusCode, Refused> {
    let (id, guard) = token_and_guard(&request)?;
    profile.manager.delete_backup(&Actor::User, &profile.user, id, guard).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn roll_back(
    State(profile): State<Profile>,
    Json(request): Json<Value>,
) -> Result<StatusCode, Refused> {
    let (id, guard) = token_and_guard(&request)?;
    profile.manager.roll_back(&Actor::User, &profile.user, id, guard).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn revoke_all(State(profile): State<Profile>) -> Result<StatusCode, Refused> {
    profile.manager.revoke_all(&Actor::User, &profile.user).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn token_and_guard(request: &Value) -> Result<(TokenId, Guard), RotationError> {
    let id = request["id"].as_u64().map(TokenId::from_u64).ok_or(RotationError::Stale)?;
    let insists = request["even_if_in_use"] == true;
    Ok((id, if insists { Guard::EvenIfInUse } else { Guard::UnlessInUse }))
}

/// A change that was not made.
struct Refused(ManageError);

impl<E: Into<ManageError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match self.0.refusal() {
            // Done before: the same answer as the first time.
            Some(RotationError::AlreadyDone) => return StatusCode::NO_CONTENT.into_response(),
            Some(RotationError::NoAccess) => StatusCode::FORBIDDEN,
            Some(RotationError::UnknownCode) => StatusCode::NOT_FOUND,
            Some(RotationError::ExpiredCode | RotationError::AlreadyConfirmed { .. }) => {
                StatusCode::GONE
            }
            Some(RotationError::TooSoon { .. }) => StatusCode::TOO_MANY_REQUESTS,
            Some(_) => StatusCode::CONFLICT,
            None => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, Json(json!({ "error": self.0.to_string() }))).into_response()
    }
}

struct Options {
    directory: PathBuf,
    listen: String,
}

impl Options {
    fn from_arguments() -> Result<Self, String> {
        let mut options =
            Self { directory: "target/quickstart".into(), listen: "127.0.0.1:8080".to_owned() };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or(format!("{name} needs a value"))?;
            match name.as_str() {
                "--directory" => options.directory = value.into(),
                "--listen" => options.listen = value,
                _ => return Err(format!("unknown option {name}: --directory, --listen")),
            }
        }
        Ok(options)
    }
}

/// Prints every step as lines to paste into a shell; each comment says what
/// the next line answers.
fn print_steps(options: &Options, address: std::net::SocketAddr, first_token: Option<&str>) {
    let directory = options.directory.display();
    println!("# Paste these lines into another terminal.");
    println!("# Accounts: {directory}/tokens.sqlite  Mail: {directory}/mail");
    if first_token.is_none() {
        println!("# alice has a token from an earlier start. Take it up first: TOKEN=tat_...");
    }
    let steps = STEPS
        .replace("ADDRESS", &address.to_string())
        .replace("DIRECTORY", &directory.to_string())
        .replace("FIRST_TOKEN", first_token.unwrap_or("$TOKEN"));
    println!("{steps}");
}

const STEPS: &str = r#"
# alice was granted GET, and this is her first token, shown once: 200
curl -siw '\n' -H "Authorization: Bearer FIRST_TOKEN" http://ADDRESS/items
# She was not granted POST: 403
curl -siw '\n' -X POST -H "Authorization: Bearer FIRST_TOKEN" http://ADDRESS/items
# No token: 401
curl -siw '\n' http://ADDRESS/items

# She generates a new primary on her profile; it is shown once.
NEW=$(curl -s -X POST http://ADDRESS/profile/generate | sed -n 's/.*"token":"\([^"]*\)".*/\1/p'); echo "$NEW"
# It is refused before she has confirmed it: 401
curl -siw '\n' -H "Authorization: Bearer $NEW" http://ADDRESS/items
# She confirms it with the code from her mail: 204
CODE=$(sed -n 's/^code=//p' "$(ls "DIRECTORY"/mail/confirmation-*.txt | tail -n 1)")
curl -siw '\n' -X POST -H "Content-Type: application/json" -d "{\"code\":\"$CODE\"}" http://ADDRESS/profile/confirm
# Now the new token works: 200
curl -siw '\n' -H "Authorization: Bearer $NEW" http://ADDRESS/items
# And so does the old one, whose answers say api-token-slot: backup: 200
curl -siw '\n' -H "Authorization: Bearer FIRST_TOKEN" http://ADDRESS/items
# When each token was last used, about a second after its use: 200
sleep 1.5; curl -siw '\n' http://ADDRESS/profile

# All clients have the new token, so she deletes the backup: 204
BACKUP=$(curl -s http://ADDRESS/profile | sed -n 's/.*"backup":{[^}]*"id":\([0-9]*\).*/\1/p')
curl -siw '\n' -X POST -H "Content-Type: application/json" -d "{\"id\":$BACKUP,\"even_if_in_use\":true}" http://ADDRESS/profile/delete-backup
# The old token is refused: 401
curl -siw '\n' -H "Authorization: Bearer FIRST_TOKEN" http://ADDRESS/items

# She rotates again and loses the newest token,
NEWEST=$(curl -s -X POST http://ADDRESS/profile/generate | sed -n 's/.*"token":"\([^"]*\)".*/\1/p')
CODE=$(sed -n 's/^code=//p' "$(ls "DIRECTORY"/mail/confirmation-*.txt | tail -n 1)")
curl -siw '\n' -X POST -H "Content-Type: application/json" -d "{\"code\":\"$CODE\"}" http://ADDRESS/profile/confirm
# so she makes the backup her primary again: 204
PRIMARY=$(curl -s http://ADDRESS/profile | sed -n 's/.*"primary":{[^}]*"id":\([0-9]*\).*/\1/p')
curl -siw '\n' -X POST -H "Content-Type: application/json" -d "{\"id\":$PRIMARY,\"even_if_in_use\":true}" http://ADDRESS/profile/roll-back
# The newest token is refused: 401
curl -siw '\n' -H "Authorization: Bearer $NEWEST" http://ADDRESS/items
# The one before still works: 200
curl -siw '\n' -H "Authorization: Bearer $NEW" http://ADDRESS/items

# It leaks, so she revokes everything at once: 204
curl -siw '\n' -X POST http://ADDRESS/profile/revoke-all
# It is refused: 401
curl -siw '\n' -H "Authorization: Bearer $NEW" http://ADDRESS/items

# Stop with Ctrl-C and start again: everything is kept.
"#;
