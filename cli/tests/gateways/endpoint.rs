//! The endpoint that the gateway asks, with a store that can be changed.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};

use async_trait::async_trait;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tower::ServiceExt;
use tower_api_token::account::{Account, Expiry, TokenRecord};
use tower_api_token::authenticate::Authenticator;
use tower_api_token::ext_authz::ExtAuthz;
use tower_api_token::forward_auth::ForwardAuth;
use tower_api_token::method::MethodSet;
use tower_api_token::store::{MemoryStore, StoreError, StoreErrorKind, TokenStore};
use tower_api_token::time::Timestamp;
use tower_api_token::token::{Token, TokenDigest, TokenHint, TokenId, TokenScheme};
use tower_api_token::user::UserId;

use crate::gateway::Asks;

pub(crate) const ALICE: &str = "rest_P0000000000000000000000000000000000000000";
pub(crate) const ALICE_BACKUP: &str = "rest_B0000000000000000000000000000000000000000";
pub(crate) const CAROL: &str = "rest_C0000000000000000000000000000000000000000";
/// The tokens of erin, whom nobody has told yet when they end, and of frank, who was
/// told.
pub(crate) const ERIN: &str = "rest_E0000000000000000000000000000000000000000";
pub(crate) const FRANK: &str = "rest_F0000000000000000000000000000000000000000";
pub(crate) const FRANK_BACKUP: &str = "rest_G0000000000000000000000000000000000000000";
pub(crate) const ODD: &str = "rest_U0000000000000000000000000000000000000000";

/// A user whose name no header can hold as it is.
pub(crate) const ODD_NAME: &str = "\u{fc}ser, 100% {env.HOME}";
pub(crate) const ODD_NAME_TOLD: &str = "%C3%BCser%2C%20100%25%20%7Benv.HOME%7D";

/// When those end.
const END: Timestamp = Timestamp::from_unix_millis(4_102_444_800_000);
pub(crate) const END_TOLD: &str = "2100-01-01T00:00:00.000Z";

fn scheme() -> TokenScheme {
    TokenScheme::default().accept_foreign_tokens(true)
}

/// The record of a token, whose end was announced to its user or not.
fn record(id: u64, token: &str, announced: Option<bool>) -> TokenRecord {
    let digest = scheme().digest(&Token::parse(token).unwrap());
    let (hint, made_at) = (TokenHint::unknown(), Timestamp::default());
    let mut record = TokenRecord::new(TokenId::from_u64(id), digest, hint, made_at);
    if let Some(announced) = announced {
        let mut expiry = Expiry::default();
        (expiry.of_lifetime, expiry.announced) = (Some(END), announced);
        (record.expires_at, record.expiry) = (Some(END), Some(Box::new(expiry)));
    }
    record
}

/// alice may GET, with these tokens, and so may whose tokens end; carol may do
/// everything.
fn accounts(alice: &[&str]) -> MemoryStore {
    let store = MemoryStore::new();
    let all = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
    for (user, methods, tokens, announced) in [
        ("alice", &["GET"][..], alice, None),
        ("carol", &all, &[CAROL], None),
        ("erin", &["GET"], &[ERIN], Some(false)),
        ("frank", &["GET"], &[FRANK, FRANK_BACKUP], Some(true)),
        (ODD_NAME, &["GET"], &[ODD], None),
    ] {
        let account = Account::builder(UserId::new(user).unwrap());
        let mut account = account.methods(MethodSet::new(methods).unwrap());
        for (token, id) in tokens.iter().zip(1..) {
            let record = record(id, token, announced);
            account = if id == 1 { account.primary(record) } else { account.backup(record) };
        }
        store.insert(account.build().unwrap()).unwrap();
    }
    store
}

/// A store whose content can be exchanged, and which can fail.
#[derive(Clone)]
struct Exchangeable(Arc<RwLock<Option<Arc<MemoryStore>>>>);

#[async_trait]
impl TokenStore for Exchangeable {
    fn peek(&self, digest: &TokenDigest, visit: &mut dyn FnMut(Option<&Account>)) -> bool {
        let store = self.0.read().unwrap().clone();
        store.is_some_and(|store| store.peek(digest, visit))
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        let store = self.0.read().unwrap().clone();
        let down = || StoreError::new(StoreErrorKind::Unavailable, "reading an account");
        store.ok_or_else(down)?.find(digest).await
    }
}

/// How many connections were made, and how many of them are open.
#[derive(Default)]
struct Connections {
    made: AtomicUsize,
    open: AtomicUsize,
}

/// One of them, as long as it is open.
struct Open(Arc<Connections>);

impl Open {
    fn new(connections: &Arc<Connections>) -> Self {
        connections.made.fetch_add(1, Ordering::Relaxed);
        connections.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(connections))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The running endpoint.
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    store: Exchangeable,
    connections: Arc<Connections>,
    mood: watch::Sender<Mood>,
    serving: AbortHandle,
}

impl Endpoint {
    pub(crate) async fn start(asks: Asks) -> Self {
        Self::deciding(asks, |authenticator| authenticator).await
    }

    /// With an authenticator that is set so.
    pub(crate) async fn deciding(
        asks: Asks,
        set: impl FnOnce(Authenticator) -> Authenticator,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let content = Some(Arc::new(accounts(&[ALICE, ALICE_BACKUP])));
        let store = Exchangeable(Arc::new(RwLock::new(content)));
        let connections = Arc::<Connections>::default();
        let (mood, seen) = watch::channel(Mood::Serves);
        let authenticator = Authenticator::new(store.clone()).scheme(scheme());
        let authenticator = set(authenticator);
        let accepting = accept(listener, asks, authenticator, Arc::clone(&connections), seen);
        let serving = tokio::spawn(accepting).abort_handle();
        Self { address, store, connections, mood, serving }
    }

    /// Alice has these tokens from now on.
    pub(crate) fn set_tokens_of_alice(&self, tokens: &[&str]) {
        *self.store.0.write().unwrap() = Some(Arc::new(accounts(tokens)));
    }

    /// The endpoint's store fails from now on.
    pub(crate) fn lose_the_store(&self) {
        *self.store.0.write().unwrap() = None;
    }

    /// The endpoint answers nothing any more.
    pub(crate) fn hang(&self) {
        self.mood.send_replace(Mood::Hangs);
    }

    /// The endpoint gives everybody this status from now on.
    pub(crate) fn always_answer(&self, status: u16) {
        self.mood.send_replace(Mood::Answers(status));
    }

    /// The endpoint decides again.
    pub(crate) fn decide(&self) {
        self.mood.send_replace(Mood::Serves);
    }

    /// The endpoint is gone, and with it its connections.
    pub(crate) async fn stop(&self) {
        self.serving.abort();
        while tokio::net::TcpStream::connect(self.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }

    /// How many connections were made to the endpoint.
    pub(crate) fn connections(&self) -> usize {
        self.connections.made.load(Ordering::Relaxed)
    }

    /// How many of them are open.
    pub(crate) fn open_connections(&self) -> usize {
        self.connections.open.load(Ordering::Relaxed)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Serves every connection until it is aborted, and they with it.
async fn accept(
    listener: TcpListener,
    asks: Asks,
    authenticator: Authenticator,
    connections: Arc<Connections>,
    mood: watch::Receiver<Mood>,
) {
    let mut tasks = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let open = Open::new(&connections);
        let (mood, io) = (mood.clone(), TokioIo::new(stream));
        match asks {
            Asks::Http(profile) => {
                let verify = ForwardAuth::with_authenticator(authenticator.clone(), profile);
                let service = TowerToHyperService::new(moody(verify, mood));
                let http = hyper::server::conn::http1::Builder::new();
                tasks.spawn(async move {
                    drop(http.serve_connection(io, service).await);
                    drop(open);
                });
            }
            Asks::Grpc => {
                let service = ExtAuthz::with_authenticator(authenticator.clone());
                let service = TowerToHyperService::new(moody(service, mood));
                let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tasks.spawn(async move {
                    drop(http.serve_connection(io, service).await);
                    drop(open);
                });
            }
        }
    }
}

/// What the endpoint does.
#[derive(Clone, Copy)]
enum Mood {
    Serves,
    Hangs,
    Answers(u16),
}

/// `service` in that mood.
fn moody<S, B>(
    service: S,
    mood: watch::Receiver<Mood>,
) -> impl tower::Service<
    Request<Incoming>,
    Response = Response<B>,
    Error = Infallible,
    Future: Send + 'static,
> + Clone
where
    S: tower::Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Default,
{
    tower::service_fn(move |request| {
        let (service, mood) = (service.clone(), *mood.borrow());
        async move {
            match mood {
                Mood::Serves => service.oneshot(request).await,
                Mood::Hangs => std::future::pending().await,
                Mood::Answers(status) => {
                    Ok(Response::builder().status(status).body(B::default()).unwrap())
                }
            }
        }
    })
}
