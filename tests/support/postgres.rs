//! A private PostgreSQL server.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use deadpool_postgres::{Manager, Pool, Runtime};
use rustix::process::Signal;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Config, NoTls};
use tower_api_token::store::PostgresStore;

use super::server::{
    Home, PATIENCE, children_of, command_as, free_address, is_stopped, owner, run, send, wait_until,
};

/// A server with a data directory of its own.
pub(crate) struct Server {
    home: Home,
    address: SocketAddr,
    owner: Option<&'static str>,
    settings: &'static [&'static str],
    /// The running server; it is started and killed through a shared reference.
    process: Mutex<Option<Child>>,
    /// Databases that no test uses any more.
    unused: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// The server that the tests of this program share. It does not wait for
    /// the disk, which matters to nobody but a machine that loses its power.
    pub(crate) fn shared() -> &'static Arc<Self> {
        static SHARED: OnceLock<Arc<Server>> = OnceLock::new();
        SHARED.get_or_init(|| Arc::new(Self::start(&["fsync=off"])))
    }

    /// A new server with these settings, ready.
    pub(crate) fn start(settings: &'static [&'static str]) -> Self {
        Self::start_prepared(settings, |_, _| {})
    }

    /// A new server whose data directory `prepare` has been at, for the user
    /// that it is told of, if any.
    pub(crate) fn start_prepared(
        settings: &'static [&'static str],
        prepare: impl FnOnce(&Path, Option<&str>),
    ) -> Self {
        let owner = owner("postgres");
        let home = Home::new(owner, "data/postmaster.pid");
        let mut initdb = command_as(owner, program("initdb"));
        initdb.arg("-D").arg(home.directory().join("data"));
        // A collation that puts `alice` beside `Alice`, so that tests see
        // whether it is used where bytes count.
        initdb.args(["--locale-provider=icu", "--icu-locale=und", "--locale=C.UTF-8"]);
        initdb.args(["--encoding=UTF8", "--username=postgres", "--auth=trust", "--no-sync"]);
        run(initdb.current_dir(home.directory()));
        let server = Self {
            home,
            address: free_address(),
            owner,
            settings,
            process: Mutex::default(),
            unused: Arc::default(),
        };
        prepare(&server.data(), owner);
        server.start_again();
        server
    }

    /// A new standby of this server, which has all that it has.
    pub(crate) fn standby_of(primary: &Self) -> Self {
        let port = primary.address.port().to_string();
        Self::start_prepared(&["fsync=off"], |data, owner| {
            fs::remove_dir_all(data).expect("the directory that is there");
            let mut backup = command_as(owner, program("pg_basebackup"));
            backup.arg("-D").arg(data).args(["-h", "127.0.0.1", "-p", &port]);
            backup.args(["-U", "postgres", "-R", "-c", "fast", "--no-sync"]);
            run(backup.current_dir(data.parent().expect("its directory")));
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.home.directory().join("data")
    }

    /// Starts the server after [`kill`](Self::kill), and waits until it answers.
    pub(crate) fn start_again(&self) {
        let mut process = self.process.lock().unwrap();
        let mut exited = true;
        wait_until("the server answers", || {
            // Until the last process of a killed server has noticed it, a new
            // one refuses to start.
            if exited {
                *process = Some(self.spawn());
            }
            let child = process.as_mut().expect("it was spawned");
            exited = child.try_wait().expect("its state").is_some();
            !exited && self.answers()
        });
    }

    fn spawn(&self) -> Child {
        let directory = self.home.directory();
        let log = File::options().create(true).append(true).open(directory.join("log"));
        let log = log.expect("a log file");
        let mut postgres = command_as(self.owner, program("postgres"));
        postgres.arg("-D").arg(self.data()).current_dir(directory);
        let port = format!("port={}", self.address.port());
        let usual = ["listen_addresses=127.0.0.1", &port, "unix_socket_directories="];
        let sizes = ["max_connections=200", "shared_buffers=16MB"];
        for setting in usual.iter().chain(&sizes).chain(self.settings) {
            postgres.args(["-c", setting]);
        }
        postgres.stdin(Stdio::null()).stdout(log.try_clone().expect("the log file")).stderr(log);
        postgres.spawn().expect("postgres starts")
    }

    /// Whether it lets somebody in, or refuses to; while it starts, it says that
    /// it does not yet.
    fn answers(&self) -> bool {
        let startup = b"\0\0\0\x29\0\x03\0\0user\0postgres\0database\0postgres\0\0";
        let mut answer = [0; 64];
        let ask = TcpStream::connect(self.address).and_then(|mut server| {
            server.write_all(startup)?;
            server.read(&mut answer)
        });
        let refusal = SqlState::INVALID_AUTHORIZATION_SPECIFICATION.code().as_bytes();
        ask.is_ok() && (answer[0] == b'R' || answer.windows(5).any(|part| part == refusal))
    }

    /// Stops all processes of the server, or lets them go on.
    pub(crate) fn freeze(&self, freeze: bool) {
        let pid = self.process.lock().unwrap().as_ref().expect("a running server").id();
        let mut pids = children_of(pid);
        pids.insert(0, pid);
        send(&pids, if freeze { Signal::STOP } else { Signal::CONT });
        wait_until("it has done so", || pids.iter().all(|&pid| is_stopped(pid) == freeze));
    }

    /// Kills all processes of the server at once, as a crash would. The first
    /// one alone would not do: the others end only when they notice.
    pub(crate) fn kill(&self) {
        let mut process = self.process.lock().unwrap();
        let mut child = process.take().expect("a running server");
        let mut pids = children_of(child.id());
        pids.insert(0, child.id());
        send(&pids, Signal::KILL);
        child.wait().expect("it ends");
    }

    /// An empty database: one that another test has done with, or a new one.
    pub(crate) async fn database(&self) -> Database {
        // No test uses this one.
        let client = Database::at(self.address, "postgres").client().await;
        let used = self.unused.lock().unwrap().pop();
        let name = match used {
            Some(name) => clear(&client, name).await,
            None => create(&client).await,
        };
        let lease = Lease { name: name.clone(), unused: Arc::clone(&self.unused) };
        let database = Database { _lease: Arc::new(lease), ..Database::at(self.address, &name) };
        let schema = "DROP SCHEMA IF EXISTS tower_api_token CASCADE";
        database.client().await.batch_execute(schema).await.expect("an empty database");
        database
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.process.lock().unwrap().is_some() {
            self.kill();
        }
    }
}

async fn create(client: &tokio_postgres::Client) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    client.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("a database");
    name
}

async fn clear(client: &tokio_postgres::Client, name: String) -> String {
    let left = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
    client.execute(left, &[&name]).await.expect("an end to what is left");
    client.batch_execute(&format!("ALTER DATABASE {name} RESET ALL")).await.expect("defaults");
    name
}

/// One test's database.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) name: String,
    pub(crate) config: Config,
    _lease: Arc<Lease>,
}

/// Gives a database back when no test uses it any more.
#[derive(Default)]
struct Lease {
    name: String,
    unused: Arc<Mutex<Vec<String>>>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.unused.lock().unwrap().push(std::mem::take(&mut self.name));
    }
}

impl Database {
    /// The database of that name behind an address, which it is not given back
    /// to.
    pub(crate) fn at(address: SocketAddr, name: &str) -> Self {
        let mut config = Config::new();
        config.host("127.0.0.1").port(address.port()).user("postgres").connect_timeout(PATIENCE);
        config.dbname(name);
        Self { name: name.to_owned(), config, _lease: Arc::default() }
    }

    /// The same database, reached through another address.
    pub(crate) fn through(&self, relay: SocketAddr) -> Self {
        Self { _lease: Arc::clone(&self._lease), ..Self::at(relay, &self.name) }
    }

    pub(crate) fn pool(&self, size: usize) -> Pool {
        let manager = Manager::new(self.config.clone(), NoTls);
        Pool::builder(manager).max_size(size).runtime(Runtime::Tokio1).build().expect("a pool")
    }

    /// A store over this database, which may have no tables yet.
    pub(crate) fn unmigrated(&self) -> PostgresStore {
        PostgresStore::new(self.pool(8)).listen_with(self.config.clone(), NoTls)
    }

    pub(crate) async fn store(&self) -> PostgresStore {
        let store = self.unmigrated();
        store.migrate().await.expect("the tables");
        store
    }

    pub(crate) async fn client(&self) -> tokio_postgres::Client {
        let (client, connection) = self.config.connect(NoTls).await.expect("a connection");
        tokio::spawn(connection);
        client
    }
}

/// A program of the server, from the search path or where Debian keeps it.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|directory| directory.join(name));
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let in_version = versions.map(|version| version.path().join("bin").join(name));
    let found = in_path.chain(in_version).find(|program| program.exists());
    found.unwrap_or_else(|| panic!("`{name}` is missing: install the package postgresql"))
}
