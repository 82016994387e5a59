//! A listener's socket in the file system.
//!
//! Whoever makes such a file or removes it holds the lock of a file beside it,
//! which only its owner can open. So nobody removes what another process has
//! made since it was found dead, and nobody else can hold up a start.

use std::fs::{File, Metadata, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Group, User};
use rustix::fs::OFlags;
use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tokio::time::sleep;

use crate::settings::{SettingsError, SocketOptions};

/// How many connections may wait until they are accepted.
const BACKLOG: u32 = 1_024;

/// How often to try for the lock, how many times before a file is made, and how
/// many times before one is removed. Whoever holds it is soon done.
const TRY_AGAIN: Duration = Duration::from_millis(10);
const TRIES: u32 = 1_000;
const TRIES_AT_THE_END: u32 = 50;

/// A listener, and the file that goes with it, unless it is another's.
pub(super) struct Socket {
    // Before the listener, which keeps the number of its inode from use.
    _file: Option<SocketFile>,
    listener: UnixListener,
}

impl Socket {
    /// Listens at that path, in place of what a process left behind that was
    /// killed; never of a socket that answers, is of another kind or has no
    /// room just now, nor of any other file.
    pub(super) async fn bind(path: &Path, owner: Owner) -> io::Result<Self> {
        let _lock = Lock::wait(path).await?;
        let is_socket = path.symlink_metadata().is_ok_and(|found| found.file_type().is_socket());
        if is_socket && is_dead(path).await {
            std::fs::remove_file(path)?;
        }
        let socket = UnixSocket::new_stream()?;
        socket.bind(path)?;
        // Before it listens nobody can connect, whatever the permissions are.
        let listening = owner.take(path).and_then(|()| {
            let identity = identity(&path.symlink_metadata()?);
            Ok((identity, socket.listen(BACKLOG)?))
        });
        match listening {
            Ok((identity, listener)) => {
                let file = SocketFile { path: path.to_owned(), identity };
                Ok(Self { _file: Some(file), listener })
            }
            Err(error) => {
                drop(std::fs::remove_file(path));
                Err(error)
            }
        }
    }

    /// One that was handed over; its file stays where whoever made it has put it.
    pub(super) fn inherited(socket: std::os::unix::net::UnixListener) -> io::Result<Self> {
        Ok(Self { _file: None, listener: UnixListener::from_std(socket)? })
    }

    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

/// Whose the file of a socket is to be, and its permissions.
pub(super) struct Owner {
    user: Option<u32>,
    group: Option<u32>,
    mode: u32,
}

impl Owner {
    /// The user and the group that the settings name or number.
    pub(super) fn of(options: &SocketOptions) -> Result<Self, SettingsError> {
        let user = |name: &str| Ok(User::from_name(name)?.map(|user| user.uid.as_raw()));
        let group = |name: &str| Ok(Group::from_name(name)?.map(|group| group.gid.as_raw()));
        let user = options.owner.as_ref().map(|(key, name)| number(key, name, user)).transpose()?;
        let group =
            options.group.as_ref().map(|(key, name)| number(key, name, group)).transpose()?;
        Ok(Self { user, group, mode: options.mode })
    }

    fn take(&self, path: &Path) -> io::Result<()> {
        if self.user.is_some() || self.group.is_some() {
            lchown(path, self.user, self.group).map_err(|error| {
                let problem = format!(
                    "its owner or group cannot be set: {error}. Root alone gives a file away, and \
                     others to their own groups"
                );
                io::Error::new(error.kind(), problem)
            })?;
        }
        std::fs::set_permissions(path, Permissions::from_mode(self.mode))
    }
}

/// The number that is written, or that of the name.
fn number(
    key: &'static str,
    name: &str,
    look_up: impl Fn(&str) -> io::Result<Option<u32>>,
) -> Result<u32, SettingsError> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    match look_up(name) {
        Ok(Some(number)) => Ok(number),
        Ok(None) => {
            Err(SettingsError::bad(key, format!("this machine knows nobody called {name:?}")))
        }
        Err(error) => {
            Err(SettingsError::bad(key, format!("{name:?} cannot be looked up: {error}")))
        }
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
