//! An application with a sign-in of its own, a REST API whose users have API
//! tokens, and the pages on which they look after them.
//!
//! ```sh
//! cargo run --example portal --features portal,reveal,sqlite,smtp
//! ```
//!
//! It prints where to go, and the passwords of alice (who has API access), bob
//! (who has none) and root (who administers it). Mail is written to files, or
//! sent to the server of `--smtp 127.0.0.1:2525`. `--sealing-key FILE` (32 random
//! bytes) keeps tokens under that key, so that the profile can show them again.
//! `--logo FILE` and `--stylesheet FILE` are how the pages look.

mod mail;
mod session;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_api_token::method::MethodSet;
use tower_api_token::portal::Portal;
use tower_api_token::rotation::{Policy, RotationError};
use tower_api_token::sealing::SealingKey;
use tower_api_token::store::SqliteStore;
use tower_api_token::user::{Actor, UserId};
use tower_api_token::{Identity, TokenManager, Tokens};

use session::Sessions;

/// Where the pages about tokens are.
const TOKENS: &str = "/tokens";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::from_arguments()?;
    std::fs::create_dir_all(&options.directory)?;
    let listener = TcpListener::bind(&options.listen).await?;
    let address = listener.local_addr()?;

    let store = SqliteStore::open(options.directory.join("tokens.sqlite"))?;
    store.migrate().await?;

    // One configuration for both sides; last uses are written every second.
    let policy = Policy::default().usage_interval(Duration::from_secs(1))?;
    let mut builder = Tokens::builder(store).policy(policy);
    if let Some(file) = &options.sealing_key {
        builder = builder.sealer(SealingKey::new(1, &std::fs::read(file)?)?);
    }
    let tokens = mail::notified(builder, &options, address)?.build().await?;

    // The management side, and its pages.
    let manager = tokens.manager();
    first_access(&manager).await?;
    let pages =
        Portal::new(manager).at(TOKENS)?.title("Fruit API").home("/")?.sign_in("/sign-in")?;
    let pages = options.look(pages)?;

    // The request side: every route of the API is behind the layer.
    let api = Router::new()
        .route("/api/items", get(items).post(items).put(items).delete(items))
        .layer(tokens.layer().same_body());

    let sessions = Sessions::with_new_passwords()?;
    print_start(&sessions, address, &options);
    let router = sessions.around(pages.into_router()).merge(api);

    tokens.start();
    axum::serve(listener, router).with_graceful_shutdown(interrupted()).await?;
    // Users hear of what was changed even if the answer was not waited for.
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

/// Lets alice read; the pages do the rest.
async fn first_access(manager: &TokenManager) -> Result<(), Box<dyn Error>> {
    let (root, alice) = (Actor::administrator("root")?, UserId::new("alice")?);
    if manager.summary(&alice).await?.is_some() {
        return Ok(());
    }
    match manager.grant(&root, &alice, MethodSet::new(["GET"])?).await {
        Err(error) if error.refusal() != Some(RotationError::AlreadyDone) => Err(error.into()),
        _ => Ok(()),
    }
}

struct Options {
    directory: PathBuf,
    listen: String,
    smtp: Option<SocketAddr>,
    sealing_key: Option<PathBuf>,
    logo: Option<PathBuf>,
    stylesheet: Option<PathBuf>,
}

impl Options {
    fn from_arguments() -> Result<Self, Box<dyn Error>> {
        let mut options = Self {
            directory: "target/portal".into(),
            listen: "127.0.0.1:8080".to_owned(),
            smtp: None,
            sealing_key: None,
            logo: None,
            stylesheet: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or(format!("{name} needs a value"))?;
            match name.as_str() {
                "--directory" => options.directory = value.into(),
                "--listen" => options.listen = value,
                "--smtp" => options.smtp = Some(value.parse()?),
                "--sealing-key" => options.sealing_key = Some(value.into()),
                "--logo" => options.logo = Some(value.into()),
                "--stylesheet" => options.stylesheet = Some(value.into()),
                _ => {
                    let known =
                        "--directory, --listen, --smtp, --sealing-key, --logo, --stylesheet";
                    return Err(format!("unknown option {name}: {known}").into());
                }
            }
        }
        Ok(options)
    }

    /// The pages with the files of their host.
    fn look(&self, mut pages: Portal) -> Result<Portal, Box<dyn Error>> {
        if let Some(file) = &self.logo {
            pages = pages.logo(std::fs::read(file)?)?;
        }
        if let Some(file) = &self.stylesheet {
            pages = pages.stylesheet(std::fs::read_to_string(file)?);
        }
        Ok(pages)
    }
}

fn print_start(sessions: &Sessions, address: SocketAddr, options: &Options) {
    println!("Pages: http://{address}{TOKENS}");
    println!("API: http://{address}/api/items");
    for (user, password) in sessions.passwords() {
        println!("Sign in as {user}: {password}");
    }
    match options.smtp {
        Some(server) => println!("Mail goes to {server}"),
        None => println!("Mail goes to {}", options.directory.join("mail").display()),
    }
    println!("Stop with Ctrl-C");
}
