//! Why a command did not do what it was asked to, and what that exits with.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use tower_api_token::ValueError;
use tower_api_token::manage::ManageError;
use tower_api_token::notify::visible;
use tower_api_token::rotation::RotationError;
use tower_api_token::store::{SqliteError, StoreError, StoreErrorKind};
use tower_api_token::user::UserId;

use crate::secret::SecretError;
use crate::serve::ServeError;
use crate::settings::{Origins, SettingsError};
use crate::store::OpenError;
use crate::text::counted;

/// What the long help and the README say.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed otherwise (output, files, network)
  2  wrong command line or configuration; nothing was done
  3  refused by the rules of a token's life; nothing has changed
  4  already done before; nothing has changed
  5  there is no such user or receiver
  6  the store is out of reach, and a change may or may not have been made: ask again
  7  the store holds what cannot be read, or is not set up for this version
  8  import: some lines were refused, the others are imported
  9  check: something is wrong
 10  the store refuses (password, rights, certificate, settings): asking again does not help
 11  import: it broke off before the last line; what is imported stays, so run it again
130  interrupted at a prompt; nothing was done";

const OTHERWISE: u8 = 1;
pub(crate) const USAGE: u8 = 2;
const REFUSED: u8 = 3;
const ALREADY_DONE: u8 = 4;
const NOT_FOUND: u8 = 5;
const UNAVAILABLE: u8 = 6;
const UNREADABLE: u8 = 7;
const LINES_REFUSED: u8 = 8;
const CHECK_FAILED: u8 = 9;
const STORE_REFUSED: u8 = 10;
const INCOMPLETE: u8 = 11;
/// What a shell says of a process that SIGINT ended.
const INTERRUPTED: u8 = 130;

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("{what}: {source}")]
    Name { what: &'static str, source: ValueError },
    #[error(transparent)]
    Method(#[from] ValueError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("this is not a confirmation code")]
    NotACode,
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Start(ManageError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Manage(#[from] ManageError),
    #[error("there is no such user")]
    NoSuchUser,
    #[error("there is no such receiver: `receiver list` shows those that there are")]
    NoSuchReceiver,
    #[error(
        "this receiver is being delivered to: stop every `serve` that does, or take the receiver \
         out of its settings, and wait 15 seconds"
    )]
    ReceiverInUse,
    #[error("nothing was done: there is no terminal to ask on, so agree to it by {0}")]
    NotAgreed(&'static str),
    #[error("nothing was done: the answer was not yes")]
    Declined,
    /// The secret is lost: it was to be printed, and could not be.
    #[error("token {id} was made, but it could not be written out: {source}")]
    SecretLost { id: u64, source: io::Error },
    #[error("the file {} for the code cannot be made: {source}", .path.display())]
    CodeFile { path: PathBuf, source: io::Error },
    #[error("the file {} cannot be read: {source}", .path.display())]
    Input { path: PathBuf, source: io::Error },
    /// Lines before this one are dealt with.
    #[error("the file {} cannot be read from line {line} on: {source}", .path.display())]
    InputBroken { path: PathBuf, line: u64, source: io::Error },
    #[error("{}, line {number}: {problem}", .path.display())]
    AuditLine { path: PathBuf, number: u64, problem: String },
    /// Users, and the first and last of the revisions that are missing.
    #[error("the audit does not tell all that has happened after the backup: {}", missing(.0))]
    AuditIncomplete(Vec<(UserId, Vec<(u64, u64)>)>),
    #[error("this command copies a SQLite store; {0}")]
    NoBackup(&'static str),
    #[error(transparent)]
    Backup(#[from] SqliteError),
    #[error("the restored store could not take the place of {}: {source}", .path.display())]
    InPlace { path: PathBuf, source: io::Error },
    #[error("say by --format whether the lines are csv or jsonl")]
    Format,
    #[error(
        "{0}: the first line must name the columns, separated by commas: user, then methods and \
         slot if you like, and token or sha256"
    )]
    Columns(String),
    #[error("the import broke off: run it again, and what is imported stays")]
    Unanswered,
    /// The import is done.
    #[error("{counts}; but not all of this could be written out: {source}")]
    ReportLost { counts: String, source: io::Error },
    #[error("{} refused", counted(*.0, "line was", "lines were"))]
    LinesRefused(u64),
    #[error("{} failed", counted(*.0 as u64, "of these checks has", "of these checks have"))]
    CheckFailed(usize),
    #[error(
        "this is no address to ask: say http://HOST:PORT/PATH, such as \
         http://127.0.0.1:9181/ready, or unix:SOCKET"
    )]
    HealthUrl,
    #[error("{target} is not healthy: {problem}")]
    Unhealthy { target: String, problem: String },
    #[error("the token waits for its confirmation, but {0}")]
    NotSent(String),
    #[error("the token waits for its confirmation, but {0}")]
    CannotBeSent(String),
    #[error("nothing can be written into the directory {}: {source}", .path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("the output could not be written")]
    Output(#[source] io::Error),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error("no runtime could be started")]
    Runtime(#[source] io::Error),
}

impl Failure {
    /// The same failure; one of the settings names where it was set.
    pub(crate) fn located(self, origins: &Origins) -> Self {
        match self {
            Self::Settings(error) | Self::Open(OpenError::Settings(error)) => {
                Self::Settings(error.located(origins))
            }
            other => other,
        }
    }

    /// What the process exits with; see [`EXIT_CODES`].
    pub(crate) fn exit_code(&self) -> u8 {
        if let Some(kind) = self.store_failure() {
            return means(kind).0;
        }
        match self {
            Self::Settings(_) | Self::Name { .. } | Self::Method(_) => USAGE,
            Self::Secret(SecretError::Interrupted) => INTERRUPTED,
            Self::Secret(_) | Self::NotACode | Self::CodeFile { .. } => USAGE,
            // A setting or an option, or the store would have failed.
            Self::Open(_) | Self::Start(_) => USAGE,
            Self::Manage(error) => of_change(error),
            Self::NoSuchUser | Self::NoSuchReceiver => NOT_FOUND,
            Self::ReceiverInUse => REFUSED,
            Self::NotAgreed(_) | Self::HealthUrl => USAGE,
            Self::Declined => INTERRUPTED,
            Self::Format | Self::Columns(_) | Self::Input { .. } => USAGE,
            Self::AuditLine { .. } | Self::AuditIncomplete(_) | Self::NoBackup(_) => USAGE,
            Self::Backup(SqliteError::CopyExists | SqliteError::StrayLog(_)) => USAGE,
            Self::Backup(_) | Self::InPlace { .. } => OTHERWISE,
            Self::LinesRefused(_) => LINES_REFUSED,
            Self::InputBroken { .. } | Self::Unanswered => INCOMPLETE,
            Self::CheckFailed(_) => CHECK_FAILED,
            Self::Serve(error) => match error {
                ServeError::Bind { .. }
                | ServeError::Metrics(_)
                | ServeError::Signals(_)
                | ServeError::Listener { .. }
                | ServeError::Ended { .. }
                | ServeError::Broken { .. }
                | ServeError::CutOff => OTHERWISE,
                _ => USAGE,
            },
            Self::Store(_)
            | Self::ReportLost { .. }
            | Self::SecretLost { .. }
            | Self::Unhealthy { .. }
            | Self::NotSent(_)
            | Self::CannotBeSent(_)
            | Self::Directory { .. }
            | Self::Output(_)
            | Self::Runtime(_) => OTHERWISE,
        }
    }

    /// The word for machines that goes with the exit code.
    pub(crate) fn kind(&self) -> &'static str {
        match self.exit_code() {
            USAGE => "usage",
            REFUSED => "refused",
            ALREADY_DONE => "already_done",
            NOT_FOUND if matches!(self, Self::NoSuchReceiver) => "no_such_receiver",
            NOT_FOUND => "no_such_user",
            UNAVAILABLE => "store_unavailable",
            UNREADABLE => "store_unreadable",
            LINES_REFUSED => "lines_refused",
            CHECK_FAILED => "check_failed",
            STORE_REFUSED => "store_refused",
            INCOMPLETE => "incomplete",
            INTERRUPTED => "interrupted",
            _ => "failed",
        }
    }

    /// The failure and what caused it, safe to print.
    pub(crate) fn explained(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let said = error.to_string();
            // A transparent error says what its source says.
            if !text.ends_with(&said) {
                text = format!("{text}: {said}");
            }
            cause = error.source();
        }
        visible(text).to_string()
    }

    /// The same, and what to do about it.
    pub(crate) fn advised(&self) -> String {
        let text = self.explained();
        self.hint().map_or(text.clone(), |hint| format!("{text}; {hint}"))
    }

    /// What to do about it, where that can be told.
    pub(crate) fn hint(&self) -> Option<String> {
        if self.is_of_a_backup() {
            return Some("to serve from it again: tower-api-token restore --help".to_owned());
        }
        if let Some(kind) = self.store_failure() {
            return means(kind).1.map(str::to_owned);
        }
        match self {
            Self::Manage(ManageError::Refused(refusal)) => refusal_hint(*refusal),
            Self::Manage(ManageError::NoNotifier) => {
                Some("set `notify.smtp` or `notify.directory`, or leave --send out".to_owned())
            }
            Self::NotSent(_) => Some("send another code: token resend USER ID --send".to_owned()),
            Self::CannotBeSent(_) => Some(
                "take a code to the user yourself: token resend USER ID, without --send".to_owned(),
            ),
            Self::AuditLine { .. } => Some(
                "a line that was written in part stands whole in the log of the program that \
                 wrote it: complete it from there, or it has to be removed"
                    .to_owned(),
            ),
            Self::AuditIncomplete(_) => Some(
                "name every audit file by --audit, or end every token of these users: \
                 --end-incomplete"
                    .to_owned(),
            ),
            Self::SecretLost { .. } => Some(
                "nobody has this token: `token revoke-all` and issue another, or for one that is \
                 pending `token cancel-pending`"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    /// Whether the store is a copy that was made as a backup.
    fn is_of_a_backup(&self) -> bool {
        let mut cause = self.source();
        while let Some(error) = cause {
            if let Some(SqliteError::Backup) = error.downcast_ref() {
                return true;
            }
            cause = error.source();
        }
        false
    }

    /// The kind of failure of the store that this is, if it is one.
    fn store_failure(&self) -> Option<StoreErrorKind> {
        match self {
            Self::Open(error) => error.kind(),
            Self::Start(ManageError::Store(error))
            | Self::Store(error)
            | Self::Manage(ManageError::Store(error))
            | Self::Backup(SqliteError::Store(error))
            | Self::Serve(ServeError::LastFlush(error)) => Some(error.kind()),
            _ => None,
        }
    }
}

/// The revisions that are missing of each user.
fn missing(users: &[(UserId, Vec<(u64, u64)>)]) -> String {
    let revisions = |ranges: &[(u64, u64)]| {
        let range = |(first, last): &(u64, u64)| match first == last {
            true => first.to_string(),
            false => format!("{first} to {last}"),
        };
        ranges.iter().map(range).collect::<Vec<_>>().join(", ")
    };
    let user = |(user, ranges): &(UserId, Vec<_>)| {
        format!("user {} lacks revision {}", visible(user), revisions(ranges))
    };
    users.iter().map(user).collect::<Vec<_>>().join("; ")
}

/// What each kind of a store's failure exits with, and what to do about it.
const fn means(kind: StoreErrorKind) -> (u8, Option<&'static str>) {
    match kind {
        StoreErrorKind::Corrupt => (
            UNREADABLE,
            Some(
                "a later version has written it: use the program of that version; or the store \
                 is damaged, and nothing here can mend it: restore it from a backup",
            ),
        ),
        StoreErrorKind::NotSetUp => (UNREADABLE, Some("to make it: tower-api-token migrate")),
        StoreErrorKind::NewerSchema => (
            UNREADABLE,
            Some(
                "the store was made by a later version: use the program of that version, or a later one",
            ),
        ),
        StoreErrorKind::Refused => (
            STORE_REFUSED,
            Some(
                "asking again does not help: look at the store's address, user, password and \
                 rights, at its certificate, and at how the server is set up",
            ),
        ),
        // Whoever asks again learns what has become of a change.
        _ => (UNAVAILABLE, None),
    }
}

fn of_change(error: &ManageError) -> u8 {
    match error {
        ManageError::Refused(
            RotationError::AlreadyDone | RotationError::AlreadyConfirmed { .. },
        ) => ALREADY_DONE,
        ManageError::Refused(_) | ManageError::Import(_) | ManageError::Contended => REFUSED,
        ManageError::NoNotifier => USAGE,
        _ => OTHERWISE,
    }
}

fn refusal_hint(refusal: RotationError) -> Option<String> {
    Some(match refusal {
        RotationError::BackupExists { id } => format!(
            "`token delete-backup USER {id}` first, or generate with `--replacing-backup {id}`"
        ),
        RotationError::InUse { last_used_at: None, .. } => {
            "it is so new that nobody can tell yet: wait a while, or insist: --even-if-in-use"
                .to_owned()
        }
        RotationError::InUse { .. } => {
            "move its clients to the other token first, or insist: --even-if-in-use".to_owned()
        }
        RotationError::PrimaryExists => "for another token: token generate".to_owned(),
        RotationError::NoAccess => "grant methods first: user grant USER METHOD...".to_owned(),
        RotationError::Stale => "see what there is now: user show USER".to_owned(),
        _ => return None,
    })
}
