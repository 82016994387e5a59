//! A listener's socket in the file system.
//!
//! Whoever makes such a file or removes it holds the lock of a file beside it,
//! which only its owner can open. So nobody removes what another process has
//! made since it was found dead, and nobody else can hold up a start.

use std::fs::{File, Metadata, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::sleep;

/// How often to try for the lock, how many times before a file is made, and how
/// many times before one is removed. Whoever holds it is soon done.
const TRY_AGAIN: Duration = Duration::from_millis(10);
const TRIES: u32 = 1_000;
const TRIES_AT_THE_END: u32 = 50;

/// A listener, and the file that goes with it.
pub(super) struct Socket {
    // Before the listener, which keeps the number of its inode from use.
    _file: SocketFile,
    listener: UnixListener,
}

impl Socket {
    /// Listens at that path, in place of what a process left behind that was
    /// killed; never of a socket that answers, is of another kind or has no
    /// room just now, nor of any other file.
    pub(super) async fn bind(path: &Path) -> io::Result<Self> {
        let _lock = Lock::wait(path).await?;
        let is_socket = path.symlink_metadata().is_ok_and(|found| found.file_type().is_socket());
        if is_socket && is_dead(path).await {
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        // For a gateway in the owner's group, and nobody else.
        let found = std::fs::set_permissions(path, Permissions::from_mode(0o660))
            .and_then(|()| path.symlink_metadata());
        match found {
            Ok(found) => {
                let file = SocketFile { path: path.to_owned(), identity: identity(&found) };
                Ok(Self { _file: file, listener })
            }
            Err(error) => {
                drop(std::fs::remove_file(path));
                Err(error)
            }
        }
    }

    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

async fn is_dead(path: &Path) -> bool {
    let answered = UnixStream::connect(path).await;
    answered.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// The lock of a socket's file, as long as it lives.
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    async fn wait(socket: &Path) -> io::Result<Self> {
        let path = Self::path(socket);
        for _ in 0..TRIES {
            if let Some(lock) = Self::take(&path)? {
                return Ok(lock);
            }
            sleep(TRY_AGAIN).await;
        }
        let problem = format!("another process has locked {}", path.display());
        Err(io::Error::new(io::ErrorKind::ResourceBusy, problem))
    }

    fn path(socket: &Path) -> PathBuf {
        let mut path = socket.as_os_str().to_owned();
        path.push(".lock");
        path.into()
    }

    /// The lock, unless somebody has it.
    fn take(path: &Path) -> io::Result<Option<Self>> {
        // Neither a link nor a pipe that somebody has laid there is followed.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let mut options = File::options();
        let options = options.write(true).create(true).truncate(false);
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("its lock {}: {error}", path.display()))
        };
        let file = options.mode(0o600).custom_flags(flags).open(path).map_err(named)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(named(error)),
        }
        // Whoever had it before may have removed it since it was opened.
        let found = path.symlink_metadata().ok().map(|found| identity(&found));
        let is_there = found == Some(identity(&file.metadata()?));
        Ok(is_there.then(|| Self { path: path.to_owned(), _file: file }))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is locked, so that it is nobody else's.
        drop(std::fs::remove_file(&self.path));
    }
}

/// The file of a socket, which goes with its listener; one that another process
/// has put in its place stays.
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

impl SocketFile {
    fn remove(&self) -> io::Result<()> {
        let lock = Lock::path(&self.path);
        for _ in 0..TRIES_AT_THE_END {
            if let Some(_lock) = Lock::take(&lock)? {
                return self.remove_own();
            }
            std::thread::sleep(TRY_AGAIN);
        }
        Ok(())
    }

    fn remove_own(&self) -> io::Result<()> {
        if identity(&self.path.symlink_metadata()?) == self.identity {
            std::fs::remove_file(&self.path)?;
        }
        Ok(())
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // The next process takes a dead one over.
        drop(self.remove());
    }
}
