//! Starting and stopping a real gateway with one of the configurations.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tower_api_token::forward_auth::Profile;

/// How a gateway asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    Http(Profile),
    Grpc,
}

/// A gateway, and what it is able to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gateway {
    /// The folder of its configuration.
    pub(crate) folder: &'static str,
    pub(crate) program: Program,
    pub(crate) arguments: &'static [&'static str],
    pub(crate) asks: Asks,
    /// What it answers where the endpoint is down or hangs.
    pub(crate) outage: u16,
    /// Whether it keeps connections to the endpoint open.
    pub(crate) reuses: bool,
    /// What a test changes in the configuration.
    pub(crate) edits: Edits,
}

/// Texts of a configuration, and what stands in their place.
pub(crate) type Edits = &'static [(&'static str, &'static str)];

#[derive(Clone, Copy, Debug)]
pub(crate) enum Program {
    /// Of the system.
    System(&'static str),
    /// Of the virtual environment that the installation script makes.
    Installed(&'static str),
}

pub(crate) const NGINX: Gateway = Gateway {
    folder: "nginx",
    program: Program::System("nginx"),
    arguments: &["-p", ".", "-c", "nginx.conf", "-g", "daemon off;"],
    asks: Asks::Http(Profile::OriginalMethod),
    outage: 503,
    reuses: true,
    edits: &[],
};

pub(crate) const CADDY: Gateway = Gateway {
    folder: "caddy",
    program: Program::Installed("caddy"),
    arguments: &["run", "--config", "Caddyfile"],
    asks: Asks::Http(Profile::ForwardedMethod),
    outage: 503,
    reuses: true,
    edits: &[],
};

/// It cannot be told another status for an outage, nor a shorter time to wait
/// than 30 seconds.
pub(crate) const TRAEFIK: Gateway = Gateway {
    folder: "traefik",
    program: Program::Installed("traefik"),
    arguments: &["--configFile=traefik.yml"],
    asks: Asks::Http(Profile::ForwardedMethod),
    outage: 500,
    reuses: true,
    edits: &[],
};

pub(crate) const ENVOY_HTTP: Gateway = Gateway {
    folder: "envoy-http",
    program: Program::Installed("envoy"),
    arguments: ENVOY_ARGUMENTS,
    asks: Asks::Http(Profile::OwnRequestLine),
    outage: 503,
    reuses: true,
    edits: &[],
};

pub(crate) const ENVOY_GRPC: Gateway =
    Gateway { folder: "envoy-grpc", asks: Asks::Grpc, ..ENVOY_HTTP };

/// Several may run on one machine at a time.
const ENVOY_ARGUMENTS: &[&str] =
    &["-c", "envoy.yaml", "--disable-hot-restart", "--concurrency", "2", "-l", "warning"];

pub(crate) const HAPROXY: Gateway = Gateway {
    folder: "haproxy",
    program: Program::System("haproxy"),
    arguments: &["-f", "haproxy.cfg"],
    asks: Asks::Http(Profile::OriginalMethod),
    outage: 503,
    reuses: true,
    edits: &[],
};

/// Its HTTP client opens a connection for each request.
pub(crate) const APACHE: Gateway = Gateway {
    folder: "apache",
    program: Program::System("apache2"),
    arguments: &["-d", ".", "-f", "httpd.conf", "-D", "FOREGROUND"],
    asks: Asks::Http(Profile::OriginalMethod),
    outage: 503,
    reuses: false,
    edits: &[],
};

/// A running gateway; stopped when dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    process: Child,
    folder: TempDir,
}

impl Gateway {
    /// Starts the gateway between these addresses.
    pub(crate) fn start(self, endpoint: SocketAddr, api: SocketAddr) -> Running {
        let address = free_address();
        let folder = self.configuration([address, endpoint, api]);
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(self.program.path());
        // Caddy keeps a folder below it.
        let command = command.args(self.arguments).env("HOME", folder.path());
        let command = command.current_dir(folder.path()).stdin(Stdio::null());
        let command = command.stdout(log.try_clone().unwrap()).stderr(log);
        let process = command.spawn().expect("the gateway starts: is it installed?");
        let mut running = Running { address, process, folder };
        running.wait_until_it_listens();
        running
    }

    /// A copy of its configuration with other ports in it.
    pub(crate) fn configuration(self, addresses: [SocketAddr; 3]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/gateways");
        let edits = self.copy(&examples.join(self.folder), folder.path(), addresses);
        assert_eq!(edits, self.edits.len(), "each edit has one place");
        folder
    }

    /// Copies the files and folders with the edits made: how many there were.
    fn copy(self, from: &Path, to: &Path, addresses: [SocketAddr; 3]) -> usize {
        let mut edits = 0;
        for file in fs::read_dir(from).unwrap() {
            let file = file.unwrap();
            let to = to.join(file.file_name());
            if file.file_type().unwrap().is_dir() {
                fs::create_dir(&to).unwrap();
                edits += self.copy(&file.path(), &to, addresses);
                continue;
            }
            let mut text = fs::read_to_string(file.path()).unwrap();
            for (port, address) in ["8080", "9180", "3080"].into_iter().zip(addresses) {
                text = text.replace(port, &address.port().to_string());
            }
            for (place, edited) in self.edits {
                edits += text.matches(place).count();
                text = text.replace(place, edited);
            }
            fs::write(to, text).unwrap();
        }
        edits
    }
}

impl Program {
    fn path(self) -> PathBuf {
        match self {
            Self::System(name) => {
                let folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
                let mut paths = folders.into_iter().map(|folder| Path::new(folder).join(name));
                paths.find(|path| path.exists()).unwrap_or_else(|| missing(name))
            }
            Self::Installed(name) => {
                let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/gateways/bin");
                Some(folder.join(name))
                    .filter(|path| path.exists())
                    .unwrap_or_else(|| missing(name))
            }
        }
    }
}

fn missing(name: &str) -> ! {
    panic!("{name} is not installed: run tests/install_gateways.sh")
}

/// An address that nobody is given by chance before the gateway listens there:
/// below the ports of outgoing connections, and tried once in this process.
pub(crate) fn free_address() -> SocketAddr {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    let start = std::process::id() % 100 * 100;
    loop {
        let offset = start + u32::from(TRIED.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(20_000 + offset % 10_000).unwrap();
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            return listener.local_addr().unwrap();
        }
    }
}

impl Running {
    fn wait_until_it_listens(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(self.address).is_err() {
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none(), "the gateway has ended: {}", self.log());
            assert!(Instant::now() < deadline, "the gateway does not listen: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the gateway has written.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Asks the gateway to end, so that it ends its own workers as well.
    fn stop(&mut self) {
        let id = self.process.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status();
        let deadline = Instant::now() + Duration::from_secs(10);
        while asked.is_ok() && Instant::now() < deadline {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            eprintln!("--- the gateway's log\n{}", self.log());
        }
    }
}
