//! Messages as files, for development.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{ConfirmationMessage, LinkBase, Notifier, NotifyError};
use crate::audit::{AuditEntry, Event};
use crate::token::{RandomSource, SystemRandom};

/// Writes each message to a file of its own in one directory: mail for a
/// developer who has no mail server.
///
/// The files are `confirmation-….txt` and `notice-….txt`; sorted by name within
/// each kind they are in the order in which they were sent, but for those of
/// one millisecond. No part of a name is chosen by a user. On Unix only the
/// owner may read them. A file appears complete or not at all.
///
/// Each line is a name, `=` and a value:
///
/// ```text
/// user=alice%20smith
/// token=2
/// code=tac_…
/// code_expires_at=2026-01-02T03:14:05.678Z
/// pending_expires_at=2026-01-03T03:04:05.678Z
/// actor=user
/// at=2026-01-02T03:04:05.678Z
/// ```
///
/// With a [link base](Self::link_base) a line `link=https://…` follows that of
/// the code, and a line `client=` ends the file if the client is known. A notice
/// has `user`, `event`, `token` (only where the event is about one), `actor` and
/// `at`. Values are percent-encoded except for letters, digits and `-._:`, and a
/// link holds nothing else that means anything to a shell, so one may even
/// source the file. To take the latest code:
///
/// ```sh
/// sed -n 's/^code=//p' "$(ls messages/confirmation-*.txt | tail -n 1)"
/// ```
///
/// Files are written by blocking calls, and nobody removes them.
#[derive(Clone, Debug)]
pub struct DirectoryNotifier {
    directory: PathBuf,
    link_base: Option<LinkBase>,
}

impl DirectoryNotifier {
    /// A notifier that writes to `directory`, which must exist.
    ///
    /// # Errors
    ///
    /// [`io::Error`] if there is no such directory, of kind
    /// [`NotFound`](ErrorKind::NotFound) if there is nothing of that name and of
    /// kind [`NotADirectory`](ErrorKind::NotADirectory) if it is something else.
    pub fn new(directory: impl Into<PathBuf>) -> io::Result<Self> {
        let directory = directory.into();
        match fs::metadata(&directory) {
            Ok(found) if found.is_dir() => Ok(Self { directory, link_base: None }),
            Ok(_) => Err(io::Error::new(
                ErrorKind::NotADirectory,
                "the path for messages is not a directory",
            )),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(io::Error::new(error.kind(), "the directory for messages does not exist"))
            }
            Err(error) => Err(io::Error::new(
                error.kind(),
                format!("the directory for messages cannot be read: {error}"),
            )),
        }
    }

    /// Writes the confirmation link, too. Default: the code alone.
    #[must_use]
    pub fn link_base(mut self, base: LinkBase) -> Self {
        self.link_base = Some(base);
        self
    }

    fn write(&self, name: &str, lines: &[(&str, String)]) -> io::Result<()> {
        let hidden = self.directory.join(format!(".{name}"));
        let written = write_lines(&hidden, lines)
            .and_then(|()| fs::rename(&hidden, self.directory.join(name)));
        if written.is_err() {
            // Best effort: what matters is the error that is reported.
            let _ = fs::remove_file(&hidden);
        }
        written
    }
}

#[async_trait]
impl Notifier for DirectoryNotifier {
    async fn confirmation(&self, message: &ConfirmationMessage) -> Result<(), NotifyError> {
        let mut lines = vec![
            ("user", encoded(&message.user)),
            ("token", encoded(&message.token)),
            ("code", message.code.expose_secret().to_owned()),
        ];
        let link = self.link_base.as_ref().map(|base| base.link(&message.code));
        lines.extend(link.map(|link| ("link", link.expose_secret().to_owned())));
        lines.extend([
            ("code_expires_at", encoded(&message.code_expires_at)),
            ("pending_expires_at", encoded(&message.pending_expires_at)),
            ("actor", encoded(&message.actor)),
            ("at", encoded(&message.at)),
        ]);
        lines.extend(message.client.as_ref().map(|client| ("client", encoded(client))));
        let name = file_name("confirmation", message.at.unix_millis())?;
        self.write(&name, &lines).map_err(NotifyError::new)
    }

    async fn notice(&self, entry: &AuditEntry) -> Result<(), NotifyError> {
        let mut lines =
            vec![("user", encoded(&entry.user)), ("event", encoded(&entry.event.name()))];
        lines.extend(entry.event.token().map(|id| ("token", encoded(&id))));
        match &entry.event {
            Event::ExpiryAnnounced { expires_at, unless_used, .. } => lines.extend([
                ("expires_at", encoded(expires_at)),
                ("unless_used", encoded(unless_used)),
            ]),
            Event::LeakReported { found, .. } => lines.push(("found", encoded(found))),
            _ => {}
        }
        lines.extend([("actor", encoded(&entry.actor)), ("at", encoded(&entry.at))]);
        let name = file_name("notice", entry.at.unix_millis())?;
        self.write(&name, &lines).map_err(NotifyError::new)
    }
}

/// Unique by its random end, sorted by the time before it.
fn file_name(kind: &str, millis: u64) -> Result<String, NotifyError> {
    let mut random = [0; 8];
    SystemRandom.fill(&mut random).map_err(NotifyError::new)?;
    Ok(format!("{kind}-{millis:015}-{:016x}.txt", u64::from_ne_bytes(random)))
}

fn encoded(value: &impl ToString) -> String {
    const ENCODED: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b':');
    utf8_percent_encode(&value.to_string(), ENCODED).to_string()
}

fn write_lines(path: &Path, lines: &[(&str, String)]) -> io::Result<()> {
    let mut file = create_private(path)?;
    for (name, value) in lines {
        writeln!(file, "{name}={value}")?;
    }
    Ok(())
}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
