//! The section `[tokens]`: how tokens are made, recognised and hashed.

use std::path::PathBuf;

use serde::Deserialize;
use tower_api_token::token::{Pepper, TokenPrefix, TokenScheme};

use super::SettingsError;
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
    formerly_without_pepper: bool,
}

impl TokenSettings {
    /// What can be told before a pepper is read.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        self.prefixes().map(drop)
    }

    pub(crate) fn scheme(&self) -> Result<TokenScheme, SettingsError> {
        self.with_peppers(self.prefixes()?)
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

    fn with_peppers(&self, mut scheme: TokenScheme) -> Result<TokenScheme, SettingsError> {
        let key = "tokens.pepper-file";
        if let Some(pepper) = pepper(key, self.pepper_version, self.pepper_file.as_ref())? {
            scheme = scheme.pepper(pepper).map_err(|error| SettingsError::bad(key, error))?;
        }
        let key = "tokens.former-pepper-file";
        let (version, file) = (self.former_pepper_version, self.former_pepper_file.as_ref());
        if let Some(pepper) = pepper(key, version, file)? {
            scheme =
                scheme.former_pepper(pepper).map_err(|error| SettingsError::bad(key, error))?;
        }
        if self.formerly_without_pepper {
            let key = "tokens.formerly-without-pepper";
            scheme =
                scheme.formerly_without_pepper().map_err(|error| SettingsError::bad(key, error))?;
        }
        Ok(scheme)
    }
}

fn prefix(key: &'static str, text: &str) -> Result<TokenPrefix, SettingsError> {
    TokenPrefix::new(text).map_err(|error| SettingsError::bad(key, error))
}

fn pepper(
    key: &'static str,
    version: Option<u16>,
    file: Option<&PathBuf>,
) -> Result<Option<Pepper>, SettingsError> {
    let (version, file) = match (version, file) {
        (None, None) => return Ok(None),
        (Some(version), Some(file)) => (version, file),
        _ => return Err(SettingsError::Incomplete { key, with: "its version" }),
    };
    let secret = secret::of_file(key, file)?;
    let bad = |error| SettingsError::bad(key, format!("the file {}: {error}", file.display()));
    Pepper::new(version, secret.as_bytes()).map(Some).map_err(bad)
}
