//! Flags over the environment over the file.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{KEYS, Kind, Settings};
use crate::arguments::Common;
use crate::secret::SecretError;
use crate::store::StoreAddress;
use crate::text::Safe;

const PREFIX: &str = "TOWER_API_TOKEN_";
const CONFIG: &str = "TOWER_API_TOKEN_CONFIG";

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
    #[error("there is no setting for the variable {0}")]
    UnknownVariable(String),
    #[error("the variable {name}: {problem}")]
    Variable { name: String, problem: &'static str },
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

impl SettingsError {
    pub(crate) fn bad(key: &'static str, problem: impl std::fmt::Display) -> Self {
        Self::Bad { key, problem: problem.to_string() }
    }
}

/// What was set, before it is understood.
#[derive(Debug, Default)]
pub(crate) struct Layers(Table);

impl Layers {
    /// The file, the environment over it, and the flags of every command over
    /// both.
    pub(crate) fn of(common: &Common) -> Result<Self, SettingsError> {
        let variables = std::env::vars_os().collect();
        let file = common.config.clone().or_else(|| std::env::var_os(CONFIG).map(PathBuf::from));
        let mut layers = match file {
            Some(path) => Self(of_file(&path)?),
            None => Self::default(),
        };
        layers.add_environment(variables)?;
        if let Some(store) = &common.store {
            if StoreAddress::has_password(store) {
                return Err(SettingsError::PasswordInFlag);
            }
            layers.set("store", store.as_str());
        }
        Ok(layers)
    }

    /// Sets the key, over whatever was there.
    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        let Some((section, name)) = key.split_once('.') else {
            self.0.insert(key.to_owned(), value.into());
            return;
        };
        let section = self.0.entry(section).or_insert_with(|| Value::Table(Table::new()));
        // What is no section, though it should be, is found when it is read.
        if let Value::Table(section) = section {
            section.insert(name.to_owned(), value.into());
        }
    }

    fn add_environment(
        &mut self,
        variables: Vec<(OsString, OsString)>,
    ) -> Result<(), SettingsError> {
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
                continue;
            };
            if name == CONFIG || is_of_kubernetes(name) {
                continue;
            }
            let known = KEYS.iter().find(|(key, _)| variable(key) == name);
            let (key, kind) =
                known.ok_or_else(|| SettingsError::UnknownVariable(Safe(name).to_string()))?;
            let problem = |problem| SettingsError::Variable { name: name.to_owned(), problem };
            let text = value.to_str().ok_or_else(|| problem("it is not UTF-8"))?;
            self.set(key, kind.value(text).map_err(problem)?);
        }
        Ok(())
    }

    pub(crate) fn settings(self) -> Result<Settings, SettingsError> {
        let read = self.0.try_into();
        read.map_err(|error: toml::de::Error| SettingsError::Merged(error.message().to_owned()))
    }
}

/// `tokens.former-prefixes` is `TOWER_API_TOKEN_TOKENS_FORMER_PREFIXES`.
fn variable(key: &str) -> String {
    PREFIX.to_owned() + &key.to_uppercase().replace(['.', '-'], "_")
}

/// Kubernetes tells every container of a service called `tower-api-token` where
/// it is, by variables that begin as ours.
fn is_of_kubernetes(name: &str) -> bool {
    let rest = &name[PREFIX.len()..];
    rest == "PORT" || ["SERVICE_", "PORT_"].iter().any(|start| rest.starts_with(start))
}

impl Kind {
    fn value(self, text: &str) -> Result<Value, &'static str> {
        Ok(match self {
            Self::Text => text.into(),
            Self::Number => text.parse::<i64>().map_err(|_| "it is not a number")?.into(),
            Self::Flag => match text {
                "true" => true.into(),
                "false" => false.into(),
                _ => return Err("it is neither true nor false"),
            },
            Self::List => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                parts.map(Value::from).collect::<Vec<_>>().into()
            }
        })
    }
}

fn of_file(path: &Path) -> Result<Table, SettingsError> {
    let failed = |source| SettingsError::File { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let wrong = |error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = 1 + text.as_bytes()[..start].iter().filter(|&&byte| byte == b'\n').count();
        SettingsError::Line { path: path.to_owned(), line, problem: error.message().to_owned() }
    };
    let settings: Settings = toml::from_str(&text).map_err(wrong)?;
    if settings.store.is_some_and(|store| StoreAddress::has_password(&store.0)) {
        let file = std::fs::File::open(path).map_err(failed)?;
        crate::secret::refuse_if_public(path, &file)?;
    }
    text.parse().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let mut layers = Layers::default();
        layers.set("store", "sqlite:of-the-file");
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        layers.add_environment(variables.collect())?;
        layers.settings()
    }

    #[test]
    fn every_key_has_a_variable_and_a_place() {
        for (key, kind) in KEYS {
            let text = match (kind, *key) {
                (Kind::Number, _) => "1",
                (Kind::Flag, _) => "true",
                (Kind::List, _) => "a, b",
                (Kind::Text, key) if key.ends_with("listen") => "127.0.0.1:0",
                (Kind::Text, key) if key.ends_with("profile") => "original-method",
                (Kind::Text, "log.format") => "json",
                (Kind::Text, _) => "10s",
            };
            with(&[(&variable(key), text)]).unwrap_or_else(|error| panic!("{key}: {error}"));
        }
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let settings = with(&[("TOWER_API_TOKEN_STORE", "sqlite:of-the-environment")]).unwrap();
        assert_eq!(settings.store.unwrap().0, "sqlite:of-the-environment");
        assert_eq!(with(&[]).unwrap().store.unwrap().0, "sqlite:of-the-file");
    }

    #[test]
    fn a_variable_without_a_setting_is_refused_unless_kubernetes_sets_it() {
        assert!(with(&[("TOWER_API_TOKEN_STROE", "x")]).is_err());
        assert!(with(&[("TOWER_API_TOKEN_TOKENS_ACCEPT_FOREIGN", "yes")]).is_err());
        assert!(with(&[("TOWER_API_TOKEN_TOKENS_PEPPER_VERSION", "one")]).is_err());
        let kubernetes = ["PORT", "PORT_80_TCP_ADDR", "SERVICE_HOST", "SERVICE_PORT_HTTP"];
        for name in kubernetes {
            with(&[(&format!("{PREFIX}{name}"), "x")]).unwrap();
        }
    }
}
