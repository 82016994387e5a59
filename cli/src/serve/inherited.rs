//! Sockets that a service manager listens on and hands over, so that they stay open
//! while the server is started anew.

use std::io::Error as IoError;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use listenfd::ListenFd;

use super::ServeError;
use crate::settings::ListenAddress;

/// The sockets that no listener has taken yet. Each is for the listener of its
/// address.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    tcp: Vec<(SocketAddr, TcpListener)>,
    unix: Vec<(PathBuf, UnixListener)>,
}

impl Inherited {
    /// What the environment names (`LISTEN_FDS`), which is taken out of it.
    pub(crate) fn from_environment() -> Result<Self, ServeError> {
        let mut handed = ListenFd::from_env();
        let mut inherited = Self::default();
        for index in 0..handed.len() {
            inherited.add(&mut handed, index).map_err(ServeError::Inherited)?;
        }
        Ok(inherited)
    }

    fn add(&mut self, handed: &mut ListenFd, index: usize) -> Result<(), IoError> {
        if let Ok(Some(socket)) = handed.take_tcp_listener(index) {
            socket.set_nonblocking(true)?;
            self.tcp.push((socket.local_addr()?, socket));
        } else if let Some(socket) = handed.take_unix_listener(index)? {
            socket.set_nonblocking(true)?;
            let path = socket.local_addr()?.as_pathname().map(Path::to_owned);
            self.unix.push((path.unwrap_or_default(), socket));
        }
        Ok(())
    }

    /// The socket that listens on that address.
    pub(super) fn tcp(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let index = self.tcp.iter().position(|(own, _)| *own == address)?;
        Some(self.tcp.swap_remove(index).1)
    }

    /// The socket that listens at that path.
    pub(super) fn unix(&mut self, path: &Path) -> Option<UnixListener> {
        let path = std::path::absolute(path).ok()?;
        let index = self.unix.iter().position(|(own, _)| *own == path)?;
        Some(self.unix.swap_remove(index).1)
    }

    /// Refuses to leave one unanswered: whoever connected to it would wait for good.
    pub(super) fn all_taken(&self) -> Result<(), ServeError> {
        let tcp = self.tcp.iter().map(|(address, _)| ListenAddress::Tcp(*address));
        let unix = self.unix.iter().map(|(path, _)| ListenAddress::Unix(path.clone()));
        match tcp.chain(unix).next() {
            Some(address) => Err(ServeError::NotTaken { address }),
            None => Ok(()),
        }
    }
}
