//! Why settings cannot be used.

use std::path::PathBuf;

use super::origin::Origins;
use crate::secret::SecretError;

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("the configuration file {} cannot be read: {source}", .path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// The text of the file is not shown: it may hold a password.
    #[error("the configuration file {}, line {line}: {problem}", .path.display())]
    Line { path: PathBuf, line: usize, problem: String },
    #[error("{0}")]
    Merged(String),
    #[error("there is no setting for the variable {name}{}", suggestion(.meant.as_deref()))]
    UnknownVariable { name: String, meant: Option<String> },
    /// A value that cannot be used, and where it was set.
    #[error("{place}: {problem}")]
    At { place: String, problem: String },
    #[error("{key}: {problem}")]
    Bad { key: &'static str, problem: String },
    #[error("{key} needs {with} beside it")]
    Incomplete { key: &'static str, with: &'static str },
    #[error("no store is named: say --store, or set TOWER_API_TOKEN_STORE")]
    NoStore,
    #[error(
        "a password stands on the command line, where every user of this machine can read it: set \
         TOWER_API_TOKEN_STORE or `store-password-file` instead"
    )]
    PasswordInFlag,
    #[error(transparent)]
    Secret(#[from] SecretError),
}

/// What was meant, at the end of a message.
pub(super) fn suggestion(name: Option<&str>) -> String {
    name.map(|name| format!(": did you mean {name}?")).unwrap_or_default()
}

impl SettingsError {
    pub(crate) fn bad(key: &'static str, problem: impl std::fmt::Display) -> Self {
        Self::Bad { key, problem: problem.to_string() }
    }

    /// The same error, which names the file, the variable or the flag that it
    /// is about.
    pub(crate) fn located(self, origins: &Origins) -> Self {
        match self {
            Self::Bad { key, problem } => Self::At { place: origins.place(key), problem },
            Self::Incomplete { key, with } => {
                let problem = format!("needs {with} beside it");
                Self::At { place: origins.place(key), problem }
            }
            other => other,
        }
    }
}
