//! One listener: it accepts, serves each connection in a task of its own, and
//! ends when all of them have.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::service::Service;
use rustix::io::Errno;
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::body::RequestBody;
use super::connections::Connections;
use super::inherited::Inherited;
use super::io::Stream;
use super::progress::Limits;
use super::stop::Stop;
use super::tls::Tls;
use super::{ServeError, Start, connection, unix};
use crate::failure::Failure;
use crate::settings::{ListenAddress, ListenerConfig};

/// How long to rest when no connection can be accepted, for want of descriptors
/// or of memory.
const REST: Duration = Duration::from_millis(100);

/// The protocols on offer over TLS.
pub(super) const HTTP: &[&[u8]] = &[b"h2", b"http/1.1"];
pub(super) const GRPC: &[&[u8]] = &[b"h2"];

/// What serves a listener's requests.
pub(super) trait Answers<B>:
    Service<
        Request<RequestBody>,
        Response = Response<B>,
        Error = Infallible,
        Future: Send + 'static,
    > + Clone
    + Send
    + Sync
    + 'static
{
}

impl<B, S> Answers<B> for S where
    S: Service<
            Request<RequestBody>,
            Response = Response<B>,
            Error = Infallible,
            Future: Send + 'static,
        > + Clone
        + Send
        + Sync
        + 'static
{
}

/// A bound listener.
pub(super) struct Listener {
    name: &'static str,
    socket: Socket,
    tls: Option<Tls>,
}

enum Socket {
    Tcp(TcpListener),
    Unix(unix::Socket),
}

impl Socket {
    async fn bind(address: &ListenAddress, owner: unix::Owner) -> io::Result<Self> {
        match address {
            ListenAddress::Tcp(address) => TcpListener::bind(address).await.map(Self::Tcp),
            ListenAddress::Unix(path) => unix::Socket::bind(path, owner).await.map(Self::Unix),
        }
    }

    fn inherited(address: &ListenAddress, from: &mut Inherited) -> io::Result<Option<Self>> {
        match address {
            ListenAddress::Tcp(address) => {
                let socket = from.tcp(*address).map(TcpListener::from_std);
                Ok(socket.transpose()?.map(Self::Tcp))
            }
            ListenAddress::Unix(path) => {
                let socket = from.unix(path).map(unix::Socket::inherited);
                Ok(socket.transpose()?.map(Self::Unix))
            }
        }
    }
}

impl Listener {
    /// Binds what the settings say, or takes the socket that was handed over; over
    /// TLS, if they say so, with these protocols on offer.
    pub(super) async fn bind(
        config: &ListenerConfig,
        protocols: &'static [&'static [u8]],
        from: &mut Start,
    ) -> Result<Self, Failure> {
        let tls = Tls::of(config, protocols, &mut from.reloads)?;
        let (name, address) = (config.name, &config.address);
        let failed = |source| ServeError::Bind { name, address: address.clone(), source };
        let socket = match Socket::inherited(address, &mut from.inherited).map_err(failed)? {
            Some(socket) => socket,
            None => {
                let owner = unix::Owner::of(&config.socket)?;
                Socket::bind(address, owner).await.map_err(failed)?
            }
        };
        let shown = match &socket {
            Socket::Tcp(socket) => socket.local_addr().map_err(failed)?.to_string(),
            Socket::Unix(..) => address.to_string(),
        };
        tracing::info!(address = %shown, tls = tls.is_some(), "{name} listening");
        Ok(Self { name, socket, tls })
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Serves at most so many connections until it is time to stop, and then
    /// until the last request is answered.
    pub(super) async fn serve<B>(
        self,
        service: impl Answers<B>,
        limits: Limits,
        limit: u32,
        stop: Stop,
    ) -> Result<(), ServeError>
    where
        B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + Unpin + 'static,
    {
        self.serve_each(move |_| service.clone(), limits, limit, stop).await
    }

    /// The same, each connection with a service made for its peer, which has no address
    /// on a Unix socket.
    pub(super) async fn serve_each<B, S: Answers<B>>(
        self,
        service: impl Fn(Option<IpAddr>) -> S + Send,
        limits: Limits,
        limit: u32,
        stop: Stop,
    ) -> Result<(), ServeError>
    where
        B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + Unpin + 'static,
    {
        let Self { name, socket, tls } = self;
        let connections = Connections::new(name, limit);
        let accept_all = async {
            loop {
                let (stream, peer) = match accept(&socket).await {
                    Ok(accepted) => accepted,
                    Err(error) => match recover(error, name, &connections).await {
                        Ok(()) => continue,
                        Err(source) => return ServeError::Listener { name, source },
                    },
                };
                let Some(place) = connections.place().await else { continue };
                let tls = tls.as_ref().map(Tls::acceptor);
                let connection = place.taken(limits);
                let (service, stop) = (service(peer), stop.clone());
                tokio::spawn(connection::serve(connection, stream, tls, service, stop));
            }
        };
        tokio::select! {
            () = stop.wait() => {}
            failure = accept_all => return Err(failure),
        }
        drop(socket);
        connections.ended().await;
        Ok(())
    }
}

async fn accept(socket: &Socket) -> io::Result<(Box<dyn Stream>, Option<IpAddr>)> {
    match socket {
        Socket::Tcp(socket) => {
            let (stream, peer) = socket.accept().await?;
            // A peer that is gone already is found out when it is read from.
            drop(stream.set_nodelay(true));
            Ok((Box::new(stream), Some(peer.ip())))
        }
        Socket::Unix(socket) => Ok((Box::new(socket.accept().await?), None)),
    }
}

/// What to do where no connection could be accepted.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    /// The socket listens no more, whoever connects.
    ForGood,
    /// There is no descriptor left, of the process's or of the machine's.
    NoDescriptor,
    /// That connection broke before it was accepted.
    Broken,
    Other,
}

impl Trouble {
    fn of(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK) => Self::ForGood,
            Some(Errno::MFILE | Errno::NFILE) => Self::NoDescriptor,
            Some(Errno::CONNABORTED | Errno::CONNRESET | Errno::PROTO | Errno::INTR) => {
                Self::Broken
            }
            _ => Self::Other,
        }
    }
}

/// Prepares for the next connection after one that could not be accepted.
async fn recover(
    error: io::Error,
    name: &'static str,
    connections: &Connections,
) -> Result<(), io::Error> {
    match Trouble::of(&error) {
        Trouble::ForGood => return Err(error),
        Trouble::Broken => {
            tracing::debug!(%error, "{name}: a connection broke before it was accepted");
            return Ok(());
        }
        Trouble::NoDescriptor => {
            tracing::warn!(
                %error,
                "{name} cannot accept a connection: one that asks for nothing makes room"
            );
            connections.evict();
        }
        Trouble::Other => tracing::warn!(%error, "{name} cannot accept a connection"),
    }
    sleep(REST).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_want_of_descriptors_ends_a_connection() {
        let limits = Limits { head: 9 * REST, idle: 9 * REST, response: 9 * REST };
        let failed = async |errno: Errno| {
            let connections = Connections::new("test", 1);
            let silent = connections.place().await.expect("room").taken(limits);
            let began = Instant::now();
            let recovered = recover(errno.into(), "test", &connections).await.is_ok();
            let rested = began.elapsed();
            let evicted = timeout(REST, silent.progress().overdue()).await.is_ok();
            (recovered, rested, evicted)
        };
        for errno in [Errno::MFILE, Errno::NFILE] {
            assert_eq!(failed(errno).await, (true, REST, true), "{errno}");
        }
        for errno in [Errno::CONNABORTED, Errno::CONNRESET, Errno::PROTO] {
            assert_eq!(failed(errno).await, (true, Duration::ZERO, false), "{errno}");
        }
        for errno in [Errno::NOBUFS, Errno::NOMEM, Errno::PERM] {
            assert_eq!(failed(errno).await, (true, REST, false), "{errno}");
        }
        for errno in [Errno::BADF, Errno::INVAL, Errno::NOTSOCK] {
            assert_eq!(failed(errno).await, (false, Duration::ZERO, false), "{errno}");
        }
    }
}
