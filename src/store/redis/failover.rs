//! Which server the deployment is on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use redis::{Client, ConnectionAddr, ErrorKind, RedisError, RedisResult, ServerErrorKind};

/// A server that refuses is asked again, or another in its place, no sooner
/// than after this pause: each time takes a new connection.
const PAUSE: Duration = Duration::from_millis(50);

/// The server that is asked, which changes when it moves or fails.
pub(super) struct Failover {
    /// The servers that the host has named, any of which may come to serve the
    /// deployment.
    servers: Vec<Client>,
    /// How often the server has changed. Connections made before are of no use.
    generation: AtomicU64,
    target: RwLock<Target>,
}

struct Target {
    client: Client,
    /// The place among those of the host of the one that was switched to last.
    server: usize,
    since: Instant,
}

impl Failover {
    /// Begins with the first of these servers, of which there is one at least.
    pub(super) fn to(servers: Vec<Client>) -> Self {
        let target = Target { client: servers[0].clone(), server: 0, since: Instant::now() };
        Self { servers, generation: AtomicU64::new(0), target: RwLock::new(target) }
    }

    /// How many servers there are to switch between.
    pub(super) fn servers(&self) -> usize {
        self.servers.len()
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The server to ask now, and its generation.
    pub(super) fn client(&self) -> (u64, Client) {
        let target = self.target.read().unwrap_or_else(PoisonError::into_inner);
        (self.generation(), target.client.clone())
    }

    /// Switches to another server where an error of that generation's connections
    /// says that theirs is the wrong one. Whether the server has told where to ask.
    pub(super) fn on_error(&self, generation: u64, error: &RedisError) -> bool {
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::Moved) => {
                let told = error.redirect_node().map(|(address, _)| address);
                told.is_some_and(|address| self.follow(generation, address))
            }
            kind if error.is_io_error() || kind == ErrorKind::Parse => {
                self.switch(generation, Duration::ZERO);
                false
            }
            ErrorKind::Server(
                ServerErrorKind::ReadOnly
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown,
            ) => {
                self.switch(generation, PAUSE);
                false
            }
            _ if error.code() == Some("NOREPLICAS") => {
                self.switch(generation, PAUSE);
                false
            }
            _ => false,
        }
    }

    /// Switches to the next of the host's servers, or to the only one anew.
    pub(super) fn switch(&self, generation: u64, pause: Duration) {
        let mut target = self.target.write().unwrap_or_else(PoisonError::into_inner);
        if self.generation() != generation || target.since.elapsed() < pause {
            return;
        }
        target.server = (target.server + 1) % self.servers.len();
        target.client = self.servers[target.server].clone();
        self.changed(&mut target);
    }

    /// Whether the server at this address can be asked.
    fn follow(&self, generation: u64, address: &str) -> bool {
        let mut target = self.target.write().unwrap_or_else(PoisonError::into_inner);
        if self.generation() == generation {
            let Some(Ok(client)) = at(&target.client, address) else { return false };
            target.client = client;
            self.changed(&mut target);
        }
        true
    }

    fn changed(&self, target: &mut Target) {
        target.since = Instant::now();
        self.generation.fetch_add(1, Ordering::Release);
    }
}

/// The client, but to that address. One without a host is on the same machine.
fn at(client: &Client, address: &str) -> Option<RedisResult<Client>> {
    let info = client.get_connection_info();
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let same = match info.addr() {
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host,
        _ => "127.0.0.1",
    };
    let host = if host.is_empty() { same } else { host }.to_owned();
    let address = match info.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            let (insecure, tls_params) = (*insecure, tls_params.clone());
            ConnectionAddr::TcpTls { host, port, insecure, tls_params }
        }
        _ => ConnectionAddr::Tcp(host, port),
    };
    Some(Client::open(info.clone().set_addr(address)))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn failover() -> Failover {
        let servers = ["redis://one:1/", "redis://two:2/"].map(|url| Client::open(url).unwrap());
        Failover::to(servers.to_vec())
    }

    fn address(failover: &Failover) -> String {
        failover.client().1.get_connection_info().addr().to_string()
    }

    fn broken() -> RedisError {
        io::Error::from(io::ErrorKind::ConnectionReset).into()
    }

    #[test]
    fn each_failure_switches_once_to_the_next_server() {
        let failover = failover();
        assert!(!failover.on_error(0, &broken()));
        assert!(!failover.on_error(0, &broken()), "another request on the same connection");
        assert_eq!((failover.generation(), address(&failover).as_str()), (1, "two:2"));
        failover.on_error(1, &broken());
        assert_eq!((failover.generation(), address(&failover).as_str()), (2, "one:1"));
    }

    #[test]
    fn what_is_no_fault_of_the_server_changes_nothing() {
        let failover = failover();
        let error = RedisError::from((ErrorKind::Server(ServerErrorKind::NoScript), "no script"));
        assert!(!failover.on_error(0, &error));
        assert_eq!(failover.generation(), 0);
    }

    #[test]
    fn an_address_may_lack_its_host_and_a_password_stays() {
        let client = Client::open("redis://user:secret@one:1/").unwrap();
        for (told, expected) in [("three:3", "three:3"), (":4", "one:4"), ("::1:5", "::1:5")] {
            let moved = at(&client, told).unwrap().unwrap();
            assert_eq!(moved.get_connection_info().addr().to_string(), expected);
            assert_eq!(moved.get_connection_info().redis_settings().password(), Some("secret"));
        }
        assert!(at(&client, "nonsense").is_none());
    }
}
