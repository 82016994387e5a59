//! What became of each line.

use serde_json::json;
use tower_api_token::audit::AuditEntry;
use tower_api_token::manage::ManageError;
use tower_api_token::rotation::RotationError;

use super::progress::Progress;
use crate::failure::Failure;
use crate::output::Output;

/// Counts lines, and tells of those that were refused.
pub(super) struct Report {
    output: Output,
    progress: Progress,
    dry_run: bool,
    imported: u64,
    already_there: u64,
    refused: u64,
}

impl Report {
    pub(super) const fn new(output: Output, progress: Progress, dry_run: bool) -> Self {
        Self { output, progress, dry_run, imported: 0, already_there: 0, refused: 0 }
    }

    /// The manager's answer for that line.
    pub(super) fn answered(
        &mut self,
        line: u64,
        answer: Result<AuditEntry, ManageError>,
    ) -> Result<(), Failure> {
        match answer {
            Ok(_) => self.imported += 1,
            Err(ManageError::Refused(RotationError::AlreadyDone)) => self.already_there += 1,
            Err(error) => self.refused(line, &Failure::Manage(error).explained())?,
        }
        Ok(())
    }

    pub(super) fn refused(&mut self, line: u64, why: &str) -> Result<(), Failure> {
        self.refused += 1;
        if self.output.is_json() {
            return self.output.value("", &json!({ "line": line, "refused": why }));
        }
        self.progress.aside(|| self.output.note(format!("line {line}: {why}")));
        Ok(())
    }

    pub(super) fn progress(&self, bytes: u64) {
        self.progress.set(bytes, self.counts());
    }

    /// The store failed at the batch that begins with this line.
    pub(super) fn interrupted(&self, line: u64) {
        self.progress.end();
        self.output.note(format!(
            "stopped at line {line}: {}; run it again, and what is imported stays",
            self.counts()
        ));
    }

    /// The sum of it; lines that were refused are a failure.
    pub(super) fn end(self) -> Result<(), Failure> {
        self.progress.end();
        let (imported, already_there, refused) = (self.imported, self.already_there, self.refused);
        let value = json!({
            "dry_run": self.dry_run,
            "imported": imported,
            "already_there": already_there,
            "refused": refused,
        });
        self.output.done(self.counts(), &value)?;
        if refused == 0 { Ok(()) } else { Err(Failure::LinesRefused(refused)) }
    }

    fn counts(&self) -> String {
        let verb = if self.dry_run { "would be imported" } else { "imported" };
        let Self { imported, already_there, refused, .. } = self;
        format!("{imported} {verb}, {already_there} already there, {refused} refused")
    }
}
