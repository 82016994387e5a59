//! What a page of the portal costs beside a static page of the same server.
//!
//! ```text
//! cargo bench --features portal,sqlite --bench portal
//! ```
//!
//! One axum server on loopback over one SQLite file serves the pages and a
//! static page as long as the profile. One client with one kept connection asks
//! for each in turn, one request after the other, in alternating rounds. A
//! page's cost is the median of its rounds, each the median of its requests,
//! over that of the static page in the same round; at most three times is the
//! goal. A round ends early when the time for all is used up.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{Html, Response};
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tower_api_token::TokenManager;
use tower_api_token::account::LastUse;
use tower_api_token::manage::{Confirmation, Delivery};
use tower_api_token::method::MethodSet;
use tower_api_token::portal::{Portal, PortalUser};
use tower_api_token::store::{LastUses, SqliteStore};
use tower_api_token::token::TokenId;
use tower_api_token::user::{Actor, ClientLabel, UserId};

/// The page that all are measured against.
const STATIC: &str = "/static";

/// The pages, the longest way through the store first.
const PAGES: [(&str, &str); 5] = [
    ("Profile", "/tokens"),
    ("Edit", "/tokens/edit"),
    ("Delete Backup", "/tokens/edit/delete-backup"),
    ("Administration, a user", "/tokens/admin/user?user=alice"),
    ("Security advice", "/tokens/advice"),
];

const ROUNDS: usize = 40;
const REQUESTS: usize = 200;
const TIME: Duration = Duration::from_secs(45);
const GOAL: f64 = 3.0;

type Problem = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<ExitCode, Problem> {
    let directory = tempfile::tempdir()?;
    let server =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let store = server.block_on(filled(directory.path().join("tokens.sqlite")))?;
    let address = server.block_on(serve(store))?;
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let costs = client.block_on(measure(address))?;
    println!("| page | median, us | of the static page | rounds |");
    println!("|---|---|---|---|");
    let mut holds = true;
    for (name, median, ratio, rounds) in costs {
        println!("| {name} | {median:.0} | {ratio:.2} | {rounds} |");
        holds &= ratio <= GOAL;
    }
    println!("{}", if holds { "every page keeps the goal" } else { "does not hold" });
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A user with two tokens that are used, one that is pending, and a history
/// longer than a page shows, among a thousand others.
async fn filled(path: std::path::PathBuf) -> Result<Arc<SqliteStore>, Problem> {
    let store = Arc::new(SqliteStore::open(path)?);
    store.migrate().await?;
    let manager = manager(&store).await?;
    let (root, user, alice) = (Actor::administrator("root")?, Actor::User, UserId::new("alice")?);
    for number in 0..1_000 {
        let other = UserId::new(format!("user-{number:04}"))?;
        manager.grant(&root, &other, MethodSet::new(["GET"])?).await?;
    }
    manager.grant(&root, &alice, MethodSet::new(["GET", "POST"])?).await?;
    let mut backup = None;
    for _ in 0..6 {
        let generated = match backup {
            Some(id) => manager.generate_primary_replacing(&user, &alice, id).await?,
            None => manager.generate_primary(&user, &alice).await?,
        };
        let Delivery::ToCaller(code) = generated.delivery else { unreachable!("as configured") };
        manager.confirm(&user, &alice, &code).await?;
        backup = manager.view(&alice).await?.backup.map(|token| token.id);
    }
    manager.generate_primary_replacing(&user, &alice, backup.expect("a backup")).await?;
    let client = Some(ClientLabel::new("fruit-client/1.0")?);
    let now = manager.view(&alice).await?.now;
    let used = [5, 6].map(|id| {
        let usage = LastUse::new(TokenId::from_u64(id), now, client.clone());
        (alice.clone(), usage)
    });
    store.record_usage(&used).await?;
    Ok(store)
}

async fn manager(store: &Arc<SqliteStore>) -> Result<TokenManager, Problem> {
    let builder = TokenManager::builder(Arc::clone(store));
    Ok(builder.confirmation(Confirmation::ByCaller).build().await?)
}

async fn serve(store: Arc<SqliteStore>) -> Result<SocketAddr, Problem> {
    let portal = Portal::new(manager(&store).await?).into_router();
    let length = profile_length(&portal).await?;
    let page: &'static str = format!("<!doctype html>{}", "x".repeat(length - 15)).leak();
    let router = portal.route(STATIC, get(async move || Html(page))).layer(from_fn(signed_in));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

/// The session: everybody is alice, who administers, too.
async fn signed_in(mut request: Request, next: Next) -> Response {
    let alice = UserId::new("alice").expect("a name");
    request.extensions_mut().insert(PortalUser::administrator(alice));
    next.run(request).await
}

async fn profile_length(portal: &Router) -> Result<usize, Problem> {
    use tower::ServiceExt;
    let alice = PortalUser::administrator(UserId::new("alice")?);
    let signed_in = portal.clone().layer(Extension(alice));
    let request = Request::get("/tokens").body(axum::body::Body::empty())?;
    let response = signed_in.oneshot(request).await?;
    Ok(response.into_body().collect().await?.to_bytes().len())
}

/// Each page's name, its median, its cost, and in how many rounds it was asked.
async fn measure(address: SocketAddr) -> Result<Vec<(&'static str, f64, f64, usize)>, Problem> {
    let (mut client, connection) =
        handshake(TokioIo::new(TcpStream::connect(address).await?)).await?;
    tokio::spawn(connection);
    for (_, path) in PAGES {
        ask(&mut client, path, 50).await?;
    }
    let end = Instant::now() + TIME;
    let mut rounds: Vec<Vec<(f64, f64)>> = vec![Vec::new(); PAGES.len()];
    'rounds: for round in 0..ROUNDS {
        for (place, (_, path)) in PAGES.iter().enumerate() {
            if Instant::now() > end {
                break 'rounds;
            }
            // Either goes first in every other round.
            let pair = if round % 2 == 0 {
                let base = ask(&mut client, STATIC, REQUESTS).await?;
                (base, ask(&mut client, path, REQUESTS).await?)
            } else {
                let page = ask(&mut client, path, REQUESTS).await?;
                (ask(&mut client, STATIC, REQUESTS).await?, page)
            };
            rounds[place].push(pair);
        }
    }
    let costs = PAGES.iter().zip(rounds).map(|((name, _), rounds)| {
        let pages = median(rounds.iter().map(|(_, page)| *page).collect());
        let ratio = median(rounds.iter().map(|(base, page)| page / base).collect());
        (*name, pages, ratio, rounds.len())
    });
    Ok(costs.collect())
}

/// The median time of some requests in microseconds.
async fn ask(
    client: &mut SendRequest<Empty<Bytes>>,
    path: &str,
    requests: usize,
) -> Result<f64, Problem> {
    let mut times = Vec::with_capacity(requests);
    for _ in 0..requests {
        let request = Request::get(path).header("host", "portal").body(Empty::new())?;
        let start = Instant::now();
        let response = client.send_request(request).await?;
        assert_eq!(response.status(), 200, "{path}");
        response.into_body().collect().await?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
        client.ready().await?;
    }
    Ok(median(times))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
