//! The example in front of an API, its accounts in a file.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tempfile::TempDir;
use tower_api_token::TokenManager;
use tower_api_token::manage::Confirmation;
use tower_api_token::method::MethodSet;
use tower_api_token::store::SqliteStore;
use tower_api_token::user::{Actor, UserId};

use crate::example::Example;
use crate::reverse_proxy::upstream::Upstream;

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) upstream: Upstream,
    pub(crate) manager: TokenManager,
    /// alice's, who may GET; her name needs encoding.
    pub(crate) token: String,
    /// Where the proxy listens.
    pub(crate) address: String,
    _proxy: Example,
    _directory: TempDir,
}

pub(crate) fn alice() -> UserId {
    UserId::new("al\u{ed}ce@example.com").unwrap()
}

pub(crate) fn root() -> Actor {
    Actor::administrator("root").unwrap()
}

impl World {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens.sqlite");
        let store = Arc::new(SqliteStore::open(&path).unwrap());
        store.migrate().await.unwrap();
        let manager = TokenManager::builder(store).confirmation(Confirmation::ByCaller);
        let manager = manager.build().await.unwrap();
        manager.grant(&root(), &alice(), MethodSet::new(["GET", "PUT"]).unwrap()).await.unwrap();
        let issued = manager.issue(&root(), &alice()).await.unwrap();
        let upstream = Upstream::start().await;
        let address = upstream.address.to_string();
        let start = move || {
            let tokens = path.to_str().unwrap();
            let variables = [("UPSTREAM", address.as_str()), ("TOKENS", tokens)];
            let mut proxy = Example::start("reverse_proxy", &variables);
            let address = proxy.said("listening on ");
            (proxy, address)
        };
        let (proxy, address) = tokio::task::spawn_blocking(start).await.unwrap();
        let token = issued.token.expose_secret().to_owned();
        Self { upstream, manager, token, address, _proxy: proxy, _directory: directory }
    }

    /// A request to the proxy with alice's token.
    pub(crate) fn request(&self, method: &str, path: &str) -> http::request::Builder {
        let request = Request::builder().method(method);
        let request = request.uri(format!("http://{}{path}", self.address));
        request.header("authorization", format!("Bearer {}", self.token))
    }
}

pub(crate) fn client() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

/// The status of the answer to a request without a body.
pub(crate) async fn status(request: http::request::Builder) -> u16 {
    let answer = client().request(request.body(Full::default()).unwrap());
    tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap().status().as_u16()
}
