//! The audit file: each change and notable use as a line of JSON, as
//! `docs/operating.md` describes it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use serde_json::Value;
use tower_api_token::audit::{AccountErased, AuditEntry};
use tower_api_token::events::{EventSink, Events};

use crate::command::event;
use crate::settings::{Settings, SettingsError};

/// Appends a line for each entry.
struct AuditFile(File);

impl AuditFile {
    fn open(path: &Path) -> std::io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path).map(Self)
    }

    /// One call to the system a line, so that those of several processes do not
    /// mix.
    fn append(&self, value: &Value) {
        let line = format!("{value}\n");
        if let Err(error) = (&self.0).write_all(line.as_bytes()) {
            tracing::error!(%error, "the audit file cannot be written: {}", line.trim_end());
        }
    }
}

impl EventSink for AuditFile {
    fn record(&self, entry: &AuditEntry) {
        self.append(&event::entry_value(entry));
    }

    fn account_erased(&self, erased: &AccountErased) {
        self.append(&event::erased_value(erased));
    }
}

/// Where the audit entries of this process go.
pub(crate) fn events(settings: &Settings) -> Result<Events, SettingsError> {
    let Some(path) = &settings.audit.file else { return Ok(Events::default()) };
    let file = AuditFile::open(path).map_err(|error| SettingsError::bad("audit.file", error))?;
    Ok(Events::to(file))
}
