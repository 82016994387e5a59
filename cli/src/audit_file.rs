//! The audit file: each change and notable use as a line of JSON, as
//! `docs/operating.md` describes it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde_json::Value;
use tower_api_token::audit::{AccountErased, AuditEntry, EventSink};

use crate::command::show;
use crate::settings::{Settings, SettingsError};

/// Appends a line for each entry. The file is opened for each, so that another
/// one is made where it was moved or removed.
#[derive(Clone)]
pub(crate) struct AuditFile(PathBuf);

impl AuditFile {
    fn append(&self, value: &Value) {
        let line = format!("{value}\n");
        if let Err(error) = self.write(&line) {
            tracing::error!(%error, "the audit file cannot be written: {}", line.trim_end());
        }
    }

    /// One call to the system a line, so that those of several processes do not
    /// mix.
    fn write(&self, line: &str) -> io::Result<()> {
        let mut file = open(&self.0)?;
        let begin = if self.is_within_a_line(&file)? { "\n" } else { "" };
        file.write_all(format!("{begin}{line}").as_bytes())
    }

    /// Whether the last line was written in part, as on a disk that was full. A
    /// file that cannot be read may end so; an empty line does no harm.
    fn is_within_a_line(&self, file: &File) -> io::Result<bool> {
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.len() == 0 {
            return Ok(false);
        }
        let last = || {
            let (mut file, mut last) = (File::open(&self.0)?, [0]);
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            Ok::<_, io::Error>(last)
        };
        Ok(last().map_or(true, |last| last != *b"\n"))
    }
}

fn open(path: &Path) -> io::Result<File> {
    // A pipe that nobody reads is an error, and not waited for: who waits here is
    // a worker that others need.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags).open(path)
}

impl EventSink for AuditFile {
    fn record(&self, entry: &AuditEntry) {
        self.append(&show::entry_value(entry));
    }

    fn account_erased(&self, erased: &AccountErased) {
        self.append(&show::erased_value(erased));
    }
}

/// Where the audit entries of this process go, besides the store and the log.
pub(crate) fn events(settings: &Settings) -> Result<Option<AuditFile>, SettingsError> {
    let Some(path) = &settings.audit.file else { return Ok(None) };
    open(path).map_err(|error| SettingsError::bad("audit.file", error))?;
    Ok(Some(AuditFile(path.clone())))
}
