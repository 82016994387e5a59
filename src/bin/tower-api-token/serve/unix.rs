//! A listener's socket in the file system.
//!
//! Whoever makes such a file or removes it holds a lock on its directory. So
//! nobody removes what another process has made since it was found dead.

use std::fs::{File, Metadata, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

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
        let _lock = locked(directory(path)).await?;
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

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The directory's lock, which ends with what is returned.
async fn locked(directory: &Path) -> io::Result<File> {
    let file = File::open(directory)?;
    for _ in 0..TRIES {
        if is_locked(&file)? {
            return Ok(file);
        }
        sleep(TRY_AGAIN).await;
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "another process has locked its directory"))
}

/// Whether the lock could be taken.
fn is_locked(directory: &File) -> io::Result<bool> {
    match directory.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
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
        let directory = File::open(directory(&self.path))?;
        for _ in 0..TRIES_AT_THE_END {
            if is_locked(&directory)? {
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
