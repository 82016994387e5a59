//! One listener: it accepts, serves each connection in a task of its own, and
//! ends when all of them have.

use std::convert::Infallible;
use std::io;
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
use super::io::Stream;
use super::progress::Limits;
use super::stop::Stop;
use super::tls::Tls;
use super::{ServeError, connection, unix};
use crate::settings::ListenAddress;

/// How long to rest when no connection can be accepted, for want of files.
const REST: Duration = Duration::from_millis(100);

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

impl Listener {
    pub(super) async fn bind(
        name: &'static str,
        address: &ListenAddress,
        tls: Option<Tls>,
    ) -> Result<Self, ServeError> {
        let bound = match address {
            ListenAddress::Tcp(address) => TcpListener::bind(address).await.map(Socket::Tcp),
            ListenAddress::Unix(path) => unix::Socket::bind(path).await.map(Socket::Unix),
        };
        let failed = |source| ServeError::Bind { name, address: address.clone(), source };
        let socket = bound.map_err(failed)?;
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
        room: u32,
        stop: Stop,
    ) -> Result<(), ServeError>
    where
        B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + Unpin + 'static,
    {
        let Self { name, socket, tls } = self;
        let connections = Connections::new(name, room);
        let accept_all = async {
            loop {
                match accept(&socket).await {
                    Ok(stream) => {
                        let Some(place) = connections.place().await else { continue };
                        let tls = tls.as_ref().map(Tls::acceptor);
                        let connection = place.taken(limits);
                        let (service, stop) = (service.clone(), stop.clone());
                        tokio::spawn(connection::serve(connection, stream, tls, service, stop));
                    }
                    Err(source) if is_for_good(&source) => {
                        return ServeError::Listener { name, source };
                    }
                    Err(error) => {
                        tracing::warn!(%error, "{name} cannot accept a connection");
                        connections.evict();
                        sleep(REST).await;
                    }
                }
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

async fn accept(socket: &Socket) -> io::Result<Box<dyn Stream>> {
    match socket {
        Socket::Tcp(socket) => {
            let (stream, _) = socket.accept().await?;
            // A peer that is gone already is found out when it is read from.
            drop(stream.set_nodelay(true));
            Ok(Box::new(stream))
        }
        Socket::Unix(socket) => Ok(Box::new(socket.accept().await?)),
    }
}

/// Whether the socket listens no more, whoever connects.
fn is_for_good(error: &io::Error) -> bool {
    let dead = [Errno::BADF, Errno::INVAL, Errno::NOTSOCK];
    Errno::from_io_error(error).is_some_and(|error| dead.contains(&error))
}
