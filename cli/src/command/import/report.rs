//! How far an import is, and what became of each line.

use std::io::{self, ErrorKind, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use tower_api_token::audit::AuditEntry;
use tower_api_token::manage::ManageError;
use tower_api_token::rotation::RotationError;

use crate::failure::Failure;
use crate::output::{Output, print};

/// Counts lines, and tells of those that were refused. What cannot be written out
/// stops no import.
pub(super) struct Report {
    output: Output,
    /// Why nothing more can be written out.
    unwritten: Option<io::Error>,
    progress: Progress,
    dry_run: bool,
    imported: u64,
    already_there: u64,
    refused: u64,
    /// The first line of which nobody knows what has become.
    stopped_at: Option<u64>,
}

impl Report {
    pub(super) const fn new(output: Output, progress: Progress, dry_run: bool) -> Self {
        Self {
            output,
            unwritten: None,
            progress,
            dry_run,
            imported: 0,
            already_there: 0,
            refused: 0,
            stopped_at: None,
        }
    }

    /// The manager's answer for that line.
    pub(super) fn answered(&mut self, line: u64, answer: Result<AuditEntry, ManageError>) {
        match answer {
            Ok(_) => self.imported += 1,
            Err(ManageError::Refused(RotationError::AlreadyDone)) => self.already_there += 1,
            Err(error) => self.refused(line, &Failure::Manage(error).explained()),
        }
    }

    pub(super) fn refused(&mut self, line: u64, why: &str) {
        self.refused += 1;
        if self.output.is_json() {
            return self.write(&json!({ "line": line, "refused": why }));
        }
        self.progress.aside(|| self.output.note(format!("line {line}: {why}")));
    }

    pub(super) fn progress(&self, bytes: u64) {
        self.progress.set(bytes, self.counts());
    }

    /// What has become of the lines from this one on is not known.
    pub(super) fn stopped(&mut self, line: u64) {
        self.stopped_at.get_or_insert(line);
    }

    /// The sum of it; lines that were refused are a failure.
    pub(super) fn end(mut self, done: Result<(), Failure>) -> Result<(), Failure> {
        self.progress.end();
        let counts = self.counts();
        let value = json!({
            "dry_run": self.dry_run,
            "imported": self.imported,
            "already_there": self.already_there,
            "refused": self.refused,
            "stopped_at": self.stopped_at,
        });
        match self.stopped_at {
            None => self.output.note(&counts),
            Some(line) => self.output.note(format!(
                "stopped at line {line}: {counts}; run it again, and what is imported stays"
            )),
        }
        if self.output.is_json() {
            self.write(&value);
        }
        done?;
        match (self.unwritten, self.refused) {
            (Some(source), _) if source.kind() != ErrorKind::BrokenPipe => {
                Err(Failure::ReportLost { counts, source })
            }
            (_, 1..) => Err(Failure::LinesRefused(self.refused)),
            // Whoever read has read enough, and all is imported.
            _ => Ok(()),
        }
    }

    fn write(&mut self, value: &Value) {
        if self.unwritten.is_none() {
            self.unwritten = print(&value.to_string()).err();
        }
    }

    fn counts(&self) -> String {
        let verb = if self.dry_run { "would be imported" } else { "imported" };
        let Self { imported, already_there, refused, .. } = self;
        format!("{imported} {verb}, {already_there} already there, {refused} refused")
    }
}

/// A bar on a terminal, and nothing elsewhere.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Of an input of that size, if it is known.
    pub(super) fn new(output: Output, size: Option<u64>) -> Self {
        if output.is_json() || !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::with_draw_target(size, ProgressDrawTarget::stderr());
        let template = match size {
            Some(_) => "{bar:40} {percent:>3} %  {msg}  {eta} left",
            None => "{spinner} {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(bar)
    }

    pub(super) fn set(&self, bytes: u64, message: String) {
        self.0.set_position(bytes);
        self.0.set_message(message);
    }

    /// Does something to the terminal that the bar must not be in the way of.
    pub(super) fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.suspend(work)
    }

    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}
