//! The section `[tokens]`: how tokens are made, recognised and hashed.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use tower_api_token::ConfigError;
use tower_api_token::manage::ManageError;
use tower_api_token::token::{Pepper, TokenPrefix, TokenScheme};

use super::SettingsError;
use crate::failure::Failure;
use crate::secret;

/// As [`TokenScheme`] documents each of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct TokenSettings {
    prefix: Option<String>,
    former_prefixes: Vec<String>,
    accept_foreign: bool,
    pepper_version: Option<u16>,
    pepper_file: Option<PathBuf>,
    former_pepper_version: Option<u16>,
    former_pepper_file: Option<PathBuf>,
    former_peppers: Vec<String>,
    formerly_without_pepper: bool,
}

impl TokenSettings {
    /// What can be told before a pepper is read.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        self.with_peppers(self.prefixes()?, stand_in).map(drop)
    }

    pub(crate) fn scheme(&self) -> Result<TokenScheme, SettingsError> {
        self.with_peppers(self.prefixes()?, read_pepper)
    }

    fn prefixes(&self) -> Result<TokenScheme, SettingsError> {
        let mut scheme = match &self.prefix {
            Some(text) => TokenScheme::new(prefix("tokens.prefix", text)?),
            None => TokenScheme::default(),
        };
        scheme = scheme.accept_foreign_tokens(self.accept_foreign);
        for text in &self.former_prefixes {
            scheme = scheme.former_prefix(prefix("tokens.former-prefixes", text)?);
        }
        Ok(scheme)
    }

    fn with_peppers(
        &self,
        mut scheme: TokenScheme,
        read: Read,
    ) -> Result<TokenScheme, SettingsError> {
        let bad = SettingsError::bad;
        let keys = ("tokens.pepper-version", CURRENT);
        let (version, file) = (self.pepper_version, self.pepper_file.as_deref());
        if let Some(pepper) = pepper(keys, version, file, read)? {
            scheme = scheme.pepper(pepper).map_err(|error| bad(CURRENT, error))?;
        }
        let keys = ("tokens.former-pepper-version", FORMER);
        let (version, file) = (self.former_pepper_version, self.former_pepper_file.as_deref());
        if let Some(pepper) = pepper(keys, version, file, read)? {
            scheme = scheme.former_pepper(pepper).map_err(|error| bad(FORMER, error))?;
        }
        for text in &self.former_peppers {
            let (version, file) = version_and_file(text)?;
            let pepper = read(FORMERS, version, file)?;
            scheme = scheme.former_pepper(pepper).map_err(|error| bad(FORMERS, error))?;
        }
        if self.formerly_without_pepper {
            let key = "tokens.formerly-without-pepper";
            scheme = scheme.formerly_without_pepper().map_err(|error| bad(key, error))?;
        }
        Ok(scheme)
    }

    /// Why no manager was started, in terms of these settings where it is one of them.
    pub(crate) fn not_started(&self, error: ManageError) -> Failure {
        match error {
            ManageError::Config(
                error @ (ConfigError::WrongPepper { version }
                | ConfigError::ShortPepper { version }),
            ) => Failure::Settings(SettingsError::bad(self.file_of(version), error)),
            error => Failure::Start(error),
        }
    }

    /// The key that names the file of that version's pepper.
    pub(crate) fn file_of(&self, version: u16) -> &'static str {
        match Some(version) {
            version if version == self.pepper_version => CURRENT,
            version if version == self.former_pepper_version => FORMER,
            _ => FORMERS,
        }
    }
}

const CURRENT: &str = "tokens.pepper-file";
const FORMER: &str = "tokens.former-pepper-file";
const FORMERS: &str = "tokens.former-peppers";

fn prefix(key: &'static str, text: &str) -> Result<TokenPrefix, SettingsError> {
    TokenPrefix::new(text).map_err(|error| SettingsError::bad(key, error))
}

/// The pepper, of whose keys each needs the other.
fn pepper(
    (version_key, file_key): (&'static str, &'static str),
    version: Option<u16>,
    file: Option<&Path>,
    read: Read,
) -> Result<Option<Pepper>, SettingsError> {
    match (version, file) {
        (None, None) => Ok(None),
        (Some(version), Some(file)) => read(file_key, version, file).map(Some),
        (Some(_), None) => Err(SettingsError::Incomplete { key: version_key, with: file_key }),
        (None, Some(_)) => Err(SettingsError::Incomplete { key: file_key, with: version_key }),
    }
}

/// A number, a colon, and the path of a file.
fn version_and_file(text: &str) -> Result<(u16, &Path), SettingsError> {
    let parts = text.split_once(':').filter(|(_, file)| !file.is_empty());
    let parts = parts.and_then(|(version, file)| Some((version.parse().ok()?, Path::new(file))));
    let problem = "each is a version and a file, such as 1:/run/secrets/pepper-1";
    parts.ok_or_else(|| SettingsError::bad(FORMERS, problem))
}

/// Makes the pepper of that version of what the setting names.
type Read = fn(&'static str, u16, &Path) -> Result<Pepper, SettingsError>;

/// A pepper that nothing was read for, with a key that no other version has.
fn stand_in(key: &'static str, version: u16, _: &Path) -> Result<Pepper, SettingsError> {
    let pepper = Pepper::new(version, &version.to_be_bytes().repeat(Pepper::SHORTEST_KEY));
    pepper.map_err(|error| SettingsError::bad(key, error))
}

/// A key that is too short for a new pepper is refused when the store is opened,
/// unless tokens are in use under it.
fn read_pepper(key: &'static str, version: u16, file: &Path) -> Result<Pepper, SettingsError> {
    let secret = secret::of_file(key, file)?;
    let pepper = Pepper::dangerous_short_key(version, secret.as_bytes());
    pepper.map_err(|error| SettingsError::bad(key, format!("{}: {error}", file.display())))
}
