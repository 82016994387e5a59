//! A private Redis server.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use redis::Client;
use rustix::process::Signal;
use tower_api_token::store::{RedisOptions, RedisStore};

use super::server::{Home, free_address, is_stopped, send, wait_until};

/// What a server must be like for a store to accept it.
pub(crate) const DURABLE: [&str; 2] = ["--appendonly yes", "--appendfsync always"];

/// A server with a data directory of its own.
pub(crate) struct Server {
    home: Home,
    address: SocketAddr,
    settings: Vec<String>,
    /// The running server; it is started and killed through a shared reference.
    process: Mutex<Option<Child>>,
}

impl Server {
    /// The server that the tests of this program share, each with a deployment
    /// of its own.
    pub(crate) fn shared() -> &'static Arc<Self> {
        static SHARED: OnceLock<Arc<Server>> = OnceLock::new();
        SHARED.get_or_init(|| Arc::new(Self::start(&DURABLE)))
    }

    /// A new server with these settings, ready.
    pub(crate) fn start(settings: &[impl AsRef<str>]) -> Self {
        let server = Self {
            home: Home::new(None, "pid"),
            address: free_address(),
            settings: settings.iter().map(|setting| setting.as_ref().to_owned()).collect(),
            process: Mutex::default(),
        };
        server.start_again();
        server
    }

    /// A new replica of this server, which has all that it has.
    pub(crate) fn replica(&self) -> Self {
        let follow = format!("--replicaof 127.0.0.1 {}", self.address.port());
        let fast = "--repl-diskless-sync-delay 0".to_owned();
        let replica =
            Self::start(&[DURABLE.map(str::to_owned).as_slice(), &[follow, fast]].concat());
        self.wait_for_replica();
        replica
    }

    /// Waits until a replica follows this server.
    pub(crate) fn wait_for_replica(&self) {
        wait_until("a replica follows", || self.tell("WAIT 1 100").starts_with(":1"));
    }

    pub(crate) fn directory(&self) -> &std::path::Path {
        self.home.directory()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts the server after [`kill`](Self::kill), and waits until it answers.
    pub(crate) fn start_again(&self) {
        let mut process = self.process.lock().unwrap();
        *process = Some(self.spawn());
        wait_until("the server answers", || {
            let child = process.as_mut().expect("it was spawned");
            assert!(child.try_wait().expect("its state").is_none(), "redis-server has ended");
            self.ask("PING").is_ok_and(|answer| answer.starts_with("+PONG"))
        });
    }

    fn spawn(&self) -> Child {
        let directory = self.home.directory();
        let log = File::options().create(true).append(true).open(directory.join("log"));
        let log = log.expect("a log file");
        let mut redis = Command::new(program());
        redis.current_dir(directory).args(["--bind", "127.0.0.1", "--save", ""]);
        redis.args(["--port", &self.address.port().to_string()]);
        redis.arg("--dir").arg(directory).arg("--pidfile").arg(directory.join("pid"));
        for setting in &self.settings {
            redis.args(setting.split(' '));
        }
        redis.stdin(Stdio::null()).stdout(log.try_clone().expect("the log file")).stderr(log);
        redis.spawn().expect("redis-server starts: it is in the package of that name")
    }

    /// What the server answers to a command of plain words, as it is sent.
    pub(crate) fn ask(&self, command: &str) -> std::io::Result<String> {
        let mut connection = TcpStream::connect(self.address)?;
        connection.set_read_timeout(Some(Duration::from_secs(5)))?;
        // It closes the connection after the second answer, which ends the first.
        connection.write_all(format!("{command}\r\nQUIT\r\n").as_bytes())?;
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// The same of a server that must answer.
    pub(crate) fn tell(&self, command: &str) -> String {
        self.ask(command).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Stops the process, or lets it go on.
    pub(crate) fn freeze(&self, freeze: bool) {
        let pid = self.process.lock().unwrap().as_ref().expect("a running server").id();
        send(&[pid], if freeze { Signal::STOP } else { Signal::CONT });
        wait_until("it has done so", || is_stopped(pid) == freeze);
    }

    /// Kills the server at once, as a crash would.
    pub(crate) fn kill(&self) {
        let mut child = self.process.lock().unwrap().take().expect("a running server");
        child.kill().expect("it was running");
        child.wait().expect("it ends");
    }

    pub(crate) fn client(&self) -> Client {
        client_of(self.address)
    }

    /// A deployment of which there is nothing yet.
    pub(crate) fn deployment(&self) -> Deployment {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        Deployment { name, address: self.address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.process.lock().unwrap().is_some() {
            self.kill();
        }
    }
}

/// The server to test with: `redis-server`, unless the environment names another
/// version or make.
fn program() -> OsString {
    std::env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into())
}

pub(crate) fn client_of(address: SocketAddr) -> Client {
    Client::open(format!("redis://{address}/")).expect("a client")
}

/// Waits until replicas have everything that was written so far.
pub(crate) async fn replicated(store: &RedisStore) {
    for _ in 0..60 {
        if store.create().await.is_ok() {
            return;
        }
    }
    panic!("the replicas do not come to have it");
}

/// One test's deployment.
#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
}

impl Deployment {
    /// The same deployment, reached through another address.
    pub(crate) fn through(&self, relay: SocketAddr) -> Self {
        Self { address: relay, ..self.clone() }
    }

    pub(crate) fn options(&self) -> RedisOptions {
        RedisOptions::new(client_of(self.address)).deployment(&self.name)
    }

    /// A store over this deployment, which may not have been created yet.
    pub(crate) async fn opened(&self) -> RedisStore {
        self.options().open().await.expect("a server that keeps what it is given")
    }

    pub(crate) async fn store(&self) -> RedisStore {
        let store = self.opened().await;
        store.create().await.expect("the deployment");
        store
    }

    /// The name of one of the deployment's keys.
    pub(crate) fn key(&self, name: &str) -> String {
        format!("{{tower-api-token:{}}}:{name}", self.name)
    }
}
