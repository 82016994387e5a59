//! A process that is killed: one of several on one store, which do what is due and
//! deliver.

use std::io::Read;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tower_api_token::Tokens;
use tower_api_token::delivery::{Webhook, WebhookSecret};
use tower_api_token::manage::{Confirmation, TokenManager};
use tower_api_token::store::AccountStore;

use super::calendar::{Calendar, Dated};
use crate::postgres::Database;
use crate::redis_server::Deployment;

/// Tells a process that it shall be a node, and of what.
const NODE: &str = "TOWER_API_TOKEN_CRASH_NODE";

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// How long the other nodes wait for one that was killed, and how often the log is
/// looked at.
const LEASE: Duration = Duration::from_millis(600);
const POLL: Duration = Duration::from_millis(50);

/// The names of the two receivers.
pub(crate) const RECEIVERS: [&str; 2] = ["moody", "steady"];

/// Where the nodes keep the accounts.
pub(crate) enum Place {
    Postgres(Box<Database>),
    Redis(Deployment),
}

impl Place {
    /// In words without spaces.
    fn line(&self) -> String {
        match self {
            Self::Postgres(database) => {
                let port = database.config.get_ports()[0];
                format!("postgres 127.0.0.1:{port} {}", database.name)
            }
            Self::Redis(deployment) => format!("redis {} {}", deployment.address, deployment.name),
        }
    }

    fn parse(kind: &str, address: SocketAddr, name: &str) -> Self {
        match kind {
            "postgres" => Self::Postgres(Box::new(Database::at(address, name))),
            "redis" => Self::Redis(Deployment { name: name.to_owned(), address }),
            kind => panic!("no store is {kind:?}"),
        }
    }

    pub(crate) async fn store(&self) -> Arc<dyn AccountStore> {
        match self {
            Self::Postgres(database) => Arc::new(database.unmigrated()),
            Self::Redis(deployment) => Arc::new(deployment.opened().await),
        }
    }
}

/// The parent's end of a node.
pub(crate) struct Node {
    process: Child,
}

impl Node {
    /// Starts this program again, to run the test of that name, which is to be a node.
    pub(crate) fn start(
        test: &str,
        place: &Place,
        calendar: &Calendar,
        hooks: [SocketAddr; 2],
    ) -> Self {
        let [moody, steady] = hooks;
        let file = calendar.file.display();
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(NODE, format!("{} {moody} {steady} {file}", place.line()))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        Self { process: process.unwrap() }
    }

    /// SIGKILL. It must not have ended by itself.
    pub(crate) fn kill(&mut self) {
        assert_eq!(self.process.try_wait().unwrap(), None, "a node has ended by itself");
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Has it end in order.
    pub(crate) fn close(mut self) {
        drop(self.process.stdin.take());
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Is a node if this process was started as one, until its standard input ends.
pub(crate) fn run_if_told() -> bool {
    let Ok(line) = std::env::var(NODE) else { return false };
    super::runtime().block_on(run(&line));
    true
}

async fn run(line: &str) {
    let words: Vec<_> = line.splitn(6, ' ').collect();
    let [kind, address, name, moody, steady, file] = words[..] else { panic!("{line:?}") };
    let store = Place::parse(kind, address.parse().unwrap(), name).store().await;
    let store = Dated { store, calendar: Calendar { file: file.into() } };
    let mut builder = Tokens::builder(store).confirmation(Confirmation::ByCaller);
    for (receiver, hook) in RECEIVERS.into_iter().zip([moody, steady]) {
        let secret = WebhookSecret::new(SECRET).unwrap();
        let webhook = Webhook::new(&format!("http://{hook}/"), secret).unwrap();
        builder = builder.deliver_to(receiver, webhook);
    }
    let tokens = builder.delivery_times(LEASE, POLL).build().await.unwrap();
    tokens.start();
    let manager = tokens.manager();
    let end = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    tokio::select! {
        _ = end => {}
        () = do_what_is_due(&manager) => {}
    }
    tokens.close().await.unwrap();
}

/// More often than once a minute, since the days are short.
async fn do_what_is_due(manager: &TokenManager) {
    loop {
        if let Err(error) = manager.do_what_is_due().await {
            eprintln!("doing what is due: {error}");
        }
        tokio::time::sleep(POLL).await;
    }
}
