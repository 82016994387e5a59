//! Which server the deployment is on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use redis::{Client, ConnectionAddr, ErrorKind, RedisError, RedisResult, ServerErrorKind};

/// A server that refuses is asked again, or another in its place, no sooner
/// than after this pause: each time takes a new connection.
const PAUSE: Duration = Duration::from_millis(50);

/// The way to the server, which changes when that moves or fails.
pub(super) struct Route {
    /// The servers that the host has named, any of which may come to serve the
    /// deployment.
    servers: Vec<Client>,
    /// How often the way has changed. Connections made before are of no use.
    number: AtomicU64,
    place: RwLock<Place>,
}

struct Place {
    client: Client,
    /// The server among those of the host that was turned to last.
    server: usize,
    since: Instant,
}

impl Route {
    /// The way to the first of these servers, of which there is one at least.
    pub(super) fn to(servers: Vec<Client>) -> Self {
        let place = Place { client: servers[0].clone(), server: 0, since: Instant::now() };
        Self { servers, number: AtomicU64::new(0), place: RwLock::new(place) }
    }

    /// How many servers there are to turn to.
    pub(super) fn servers(&self) -> usize {
        self.servers.len()
    }

    pub(super) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// The way as it is, and its number.
    pub(super) fn client(&self) -> (u64, Client) {
        let place = self.place.read().unwrap_or_else(PoisonError::into_inner);
        (self.number(), place.client.clone())
    }

    /// Looks whether an error that came by the way of that number says that it
    /// is the wrong one, and changes it then. Whether the server has told where
    /// to ask.
    pub(super) fn heed(&self, number: u64, error: &RedisError) -> bool {
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::Moved) => {
                let told = error.redirect_node().map(|(address, _)| address);
                told.is_some_and(|address| self.follow(number, address))
            }
            kind if error.is_io_error() || kind == ErrorKind::Parse => {
                self.turn(number, Duration::ZERO);
                false
            }
            ErrorKind::Server(
                ServerErrorKind::ReadOnly
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown,
            ) => {
                self.turn(number, PAUSE);
                false
            }
            _ if error.code() == Some("NOREPLICAS") => {
                self.turn(number, PAUSE);
                false
            }
            _ => false,
        }
    }

    /// Turns to the next of the host's servers, or to the only one anew.
    pub(super) fn turn(&self, number: u64, pause: Duration) {
        let mut place = self.place.write().unwrap_or_else(PoisonError::into_inner);
        if self.number() != number || place.since.elapsed() < pause {
            return;
        }
        place.server = (place.server + 1) % self.servers.len();
        place.client = self.servers[place.server].clone();
        self.changed(&mut place);
    }

    /// Whether the server at this address can be asked.
    fn follow(&self, number: u64, address: &str) -> bool {
        let mut place = self.place.write().unwrap_or_else(PoisonError::into_inner);
        if self.number() == number {
            let Some(Ok(client)) = at(&place.client, address) else { return false };
            place.client = client;
            self.changed(&mut place);
        }
        true
    }

    fn changed(&self, place: &mut Place) {
        place.since = Instant::now();
        self.number.fetch_add(1, Ordering::Release);
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

    fn route() -> Route {
        let servers = ["redis://one:1/", "redis://two:2/"].map(|url| Client::open(url).unwrap());
        Route::to(servers.to_vec())
    }

    fn address(route: &Route) -> String {
        route.client().1.get_connection_info().addr().to_string()
    }

    fn broken() -> RedisError {
        io::Error::from(io::ErrorKind::ConnectionReset).into()
    }

    #[test]
    fn each_failure_turns_once_to_the_next_server() {
        let route = route();
        assert!(!route.heed(0, &broken()));
        assert!(!route.heed(0, &broken()), "another request on the same connection");
        assert_eq!((route.number(), address(&route).as_str()), (1, "two:2"));
        route.heed(1, &broken());
        assert_eq!((route.number(), address(&route).as_str()), (2, "one:1"));
    }

    #[test]
    fn what_is_no_fault_of_the_server_changes_nothing() {
        let route = route();
        let error = RedisError::from((ErrorKind::Server(ServerErrorKind::NoScript), "no script"));
        assert!(!route.heed(0, &error));
        assert_eq!(route.number(), 0);
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
