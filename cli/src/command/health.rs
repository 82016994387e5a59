//! `health`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::header::HOST;
use http::{Request, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tower_api_token::notify::visible;

use crate::arguments::Common;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::{ListenAddress, SettingsError};
use crate::world;

/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much of the answer is shown.
const MOST_BYTES: usize = 4_096;

/// Ask a server whether it is ready: the exit code is 0 if it is, and else 1.
///
/// It is there for images that have no curl. An address that has no path is
/// asked for /ready.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  tower-api-token health http://127.0.0.1:9181/ready")]
pub(crate) struct HealthArguments {
    /// Whom to ask: http://HOST:PORT/PATH or unix:SOCKET. Without it, the
    /// listener `operations` of the settings, on this machine.
    url: Option<String>,
}

pub(crate) async fn run(
    arguments: &HealthArguments,
    common: &Common,
    output: Output,
) -> Result<(), Failure> {
    let target = match &arguments.url {
        Some(url) => Target::parse(url).ok_or(Failure::HealthUrl)?,
        None => Target::of_settings(common)?,
    };
    let unhealthy = |problem: String| Failure::Unhealthy { target: target.to_string(), problem };
    let answer = timeout(PATIENCE, target.ask()).await;
    let answer = answer.unwrap_or_else(|_| Err("no answer came in time".to_owned()));
    let (status, said) = answer.map_err(unhealthy)?;
    if (200..300).contains(&status) {
        return output
            .value(&visible(&said).to_string(), &json!({ "status": status, "said": said }));
    }
    Err(unhealthy(format!("{status}, {said}")))
}

/// Whom to ask, and for what.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    Tcp { host: String, port: u16, path: String },
    Unix(PathBuf),
}

/// What is asked for where nothing is said.
const READY: &str = "/ready";

impl Target {
    fn parse(url: &str) -> Option<Self> {
        if let Some(path) = url.strip_prefix("unix:") {
            return (!path.is_empty()).then(|| Self::Unix(path.into()));
        }
        let uri: Uri = url.parse().ok().filter(|uri: &Uri| uri.scheme_str() == Some("http"))?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
        let path = uri.path_and_query().map_or(READY, |path| path.as_str());
        let path = if path == "/" { READY } else { path };
        let (host, port) = (authority.host(), authority.port_u16().unwrap_or(80));
        Some(Self::Tcp { host: host.to_owned(), port, path: path.to_owned() })
    }

    fn of_settings(common: &Common) -> Result<Self, Failure> {
        let listener = world::settings(common)?.operations.listener()?;
        let listener = listener.ok_or(SettingsError::Incomplete {
            key: "health",
            with: "a URL, or `operations.listen` in the settings",
        })?;
        Ok(match listener.address {
            ListenAddress::Unix(path) => Self::Unix(path),
            ListenAddress::Tcp(address) => {
                let address = SocketAddr::new(of_this_machine(address.ip()), address.port());
                let host = match address.ip() {
                    IpAddr::V4(ip) => ip.to_string(),
                    IpAddr::V6(ip) => format!("[{ip}]"),
                };
                Self::Tcp { host, port: address.port(), path: READY.to_owned() }
            }
        })
    }

    /// The status of the answer, and what it says.
    async fn ask(&self) -> Result<(u16, String), String> {
        match self {
            Self::Tcp { host, port, path } => {
                let name = host.trim_start_matches('[').trim_end_matches(']');
                let stream = TcpStream::connect((name, *port)).await;
                exchange(stream.map_err(said)?, &format!("{host}:{port}"), path).await
            }
            Self::Unix(socket) => {
                let stream = UnixStream::connect(Path::new(socket)).await;
                exchange(stream.map_err(said)?, "localhost", READY).await
            }
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { host, port, path } => write!(f, "http://{host}:{port}{path}"),
            Self::Unix(socket) => write!(f, "unix:{}", socket.display()),
        }
    }
}

/// Where a listener of all addresses is reached on this machine.
fn of_this_machine(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    host: &str,
    path: &str,
) -> Result<(u16, String), String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(said)?;
    // It ends with the sender.
    tokio::spawn(connection);
    let request = Request::get(path).header(HOST, host).body(Empty::<Bytes>::new());
    let answer = sender.send_request(request.map_err(said)?).await.map_err(said)?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), MOST_BYTES).collect().await.map_err(said)?;
    Ok((status, String::from_utf8_lossy(&body.to_bytes()).trim().to_owned()))
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_path_is_asked_for_ready_and_no_other_scheme_is_spoken() {
        let shown = |url| Target::parse(url).map(|target| target.to_string());
        for (url, target) in [
            ("http://127.0.0.1:9181/health", "http://127.0.0.1:9181/health"),
            ("http://[::1]:9181", "http://[::1]:9181/ready"),
            ("http://localhost/", "http://localhost:80/ready"),
            ("unix:run/api.sock", "unix:run/api.sock"),
        ] {
            assert_eq!(shown(url).as_deref(), Some(target), "{url}");
        }
        for bad in ["https://a.example/", "127.0.0.1:9181", "/ready", "unix:", "http://u@a/", ""] {
            assert_eq!(shown(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_listener_of_all_addresses_is_reached_by_a_loopback_one() {
        for (listens, asked) in
            [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("192.0.2.1", "192.0.2.1")]
        {
            assert_eq!(of_this_machine(listens.parse().unwrap()).to_string(), asked);
        }
    }
}
