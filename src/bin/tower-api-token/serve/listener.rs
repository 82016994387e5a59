//! One listener: it accepts, serves each connection in a task of its own, and
//! ends when all of them have.

use std::convert::Infallible;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::ServeError;
use super::io::{Impatient, Stream};
use super::stop::Stop;
use crate::settings::ListenAddress;

/// How many connections a listener has at once; further ones wait unaccepted.
const CONNECTIONS: usize = 10_000;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a connection may be idle, or take for the head of a request: longer
/// than gateways keep one open, so that it is they who close it.
const IDLE: Duration = Duration::from_secs(120);

/// How long to rest when no connection can be accepted, for want of files.
const REST: Duration = Duration::from_millis(100);

/// What serves a listener's requests.
pub(super) trait Answers<B>:
    Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send + 'static>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<B, S> Answers<B> for S where
    S: Service<
            Request<Incoming>,
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
    tls: Option<TlsAcceptor>,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, #[expect(dead_code, reason = "removed when dropped")] SocketFile),
}

/// The file of a socket, which goes with its listener.
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

impl Listener {
    pub(super) async fn bind(
        name: &'static str,
        address: &ListenAddress,
        tls: Option<TlsAcceptor>,
    ) -> Result<Self, ServeError> {
        let bound = match address {
            ListenAddress::Tcp(address) => TcpListener::bind(address).await.map(Socket::Tcp),
            ListenAddress::Unix(path) => bind_unix(path).await,
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

    /// Serves until it is time to stop, and then until the last request is
    /// answered.
    pub(super) async fn serve<B>(self, service: impl Answers<B>, stop: Stop)
    where
        B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
    {
        let Self { name, socket, tls } = self;
        let connections = GracefulShutdown::new();
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                () = stop.wait() => break,
                accepted = accept(&socket, &room) => accepted,
            };
            let (stream, permit) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "{name} cannot accept a connection");
                    sleep(REST).await;
                    continue;
                }
            };
            let (tls, watcher) = (tls.clone(), connections.watcher());
            tokio::spawn(connection(stream, permit, tls, service.clone(), watcher));
        }
        drop(socket);
        connections.shutdown().await;
    }
}

async fn accept(
    socket: &Socket,
    room: &Arc<Semaphore>,
) -> io::Result<(Box<dyn Stream>, Option<OwnedSemaphorePermit>)> {
    let permit = Arc::clone(room).acquire_owned().await.ok();
    let stream: Box<dyn Stream> = match socket {
        Socket::Tcp(socket) => {
            let (stream, _) = socket.accept().await?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
        Socket::Unix(socket, _) => Box::new(socket.accept().await?.0),
    };
    Ok((stream, permit))
}

/// Serves one connection. One that breaks ends its own task and nothing else.
async fn connection<B>(
    stream: Box<dyn Stream>,
    _permit: Option<OwnedSemaphorePermit>,
    tls: Option<TlsAcceptor>,
    service: impl Answers<B>,
    watcher: Watcher,
) where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    let stream: Box<dyn Stream> = match tls {
        None => stream,
        Some(tls) => match timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => Box::new(stream),
            Ok(Err(error)) => return tracing::debug!(%error, "no TLS"),
            Err(_) => return,
        },
    };
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(IDLE);
    server.http2().timer(TokioTimer::new()).keep_alive_interval(IDLE);
    let io = TokioIo::new(Impatient::new(stream));
    let served = watcher.watch(server.serve_connection(io, service)).await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection broke");
    }
}

async fn bind_unix(path: &Path) -> io::Result<Socket> {
    // What a process left behind that was killed; never a socket that answers,
    // is of another kind or has no room just now, nor any other file.
    let is_socket = path.symlink_metadata().is_ok_and(|found| found.file_type().is_socket());
    let answered = tokio::net::UnixStream::connect(path).await;
    let is_dead = answered.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    if is_socket && is_dead {
        std::fs::remove_file(path)?;
    }
    let socket = UnixListener::bind(path)?;
    let file = SocketFile(path.to_owned());
    // For a gateway in the owner's group, and nobody else.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(Socket::Unix(socket, file))
}
