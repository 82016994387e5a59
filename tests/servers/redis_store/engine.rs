//! Redis as the scenarios of `faults` see it.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::{block_in_place, spawn_blocking};
use tower_api_token::store::RedisStore;

use crate::faults::Engine;
use crate::redis_server::{DURABLE, Deployment, Server};

pub(crate) struct Redis {
    deployment: Deployment,
    server: Arc<Server>,
}

impl Redis {
    /// A deployment on a server of its own, which can be killed. Needs a runtime
    /// with several threads.
    pub(crate) async fn own() -> Self {
        Self::on(block_in_place(|| Arc::new(Server::start(&DURABLE)))).await
    }

    /// A deployment on the server that other tests use too.
    pub(crate) async fn shared() -> Self {
        Self::on(Arc::clone(Server::shared())).await
    }

    async fn on(server: Arc<Server>) -> Self {
        let deployment = server.deployment();
        deployment.store().await;
        Self { deployment, server }
    }
}

impl Engine for Redis {
    type Store = RedisStore;

    const NODE_PROCESS: &str = "redis_store::node_process";

    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    fn describe(&self, address: SocketAddr) -> String {
        format!("{address} {}", self.deployment.name)
    }

    async fn open(description: &str) -> RedisStore {
        let (address, name) = description.split_once(' ').expect("an address and a name");
        let address = address.parse().expect("an address");
        Deployment { name: name.to_owned(), address }.opened().await
    }

    fn kill(&self) {
        self.server.kill();
    }

    fn start_again(&self) {
        self.server.start_again();
    }

    fn freeze(&self, freeze: bool) {
        self.server.freeze(freeze);
    }

    async fn end_listeners(&self) {
        let server = Arc::clone(&self.server);
        let killed = spawn_blocking(move || server.tell("CLIENT KILL TYPE pubsub")).await;
        killed.expect("an answer");
    }
}
