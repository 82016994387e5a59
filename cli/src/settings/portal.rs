//! The section `[portal]`: pages for users whom a reverse proxy has signed in.

use std::path::PathBuf;

use http::HeaderName;
use serde::Deserialize;
use tower_api_token::TokenManager;
use tower_api_token::portal::Portal;
use tower_api_token::user::UserId;

use super::check::one_line;
use super::serve::header_name;
use super::{HostName, ListenAddress, SecretFiles, SettingsError, TlsFiles};

/// The section `[portal]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct PortalSettings {
    pub(crate) listen: Option<ListenAddress>,
    user_header: Option<String>,
    administrators: Vec<String>,
    secret_file: Option<PathBuf>,
    former_secret_file: Option<PathBuf>,
    hosts: Vec<String>,
    path: Option<String>,
    title: Option<String>,
    home: Option<String>,
    sign_in: Option<String>,
    pub(crate) form_key_file: Option<PathBuf>,
    /// Whoever generates a token is shown its code, too: nothing is sent.
    pub(crate) show_codes: bool,
    tls_certificate: Option<PathBuf>,
    tls_key: Option<PathBuf>,
}

impl PortalSettings {
    /// The header by which the reverse proxy says who is signed in. There is no
    /// default: nobody must be believed who was not named.
    pub(crate) fn user_header(&self) -> Result<HeaderName, SettingsError> {
        let key = "portal.user-header";
        let problem = "name the header by which your reverse proxy says who is signed in";
        let text = self.user_header.as_ref().ok_or_else(|| SettingsError::bad(key, problem))?;
        header_name(key, text)
    }

    /// The users who are administrators.
    pub(crate) fn administrators(&self) -> Result<Vec<UserId>, SettingsError> {
        let bad = |error| SettingsError::bad("portal.administrators", error);
        self.administrators.iter().map(|name| UserId::new(name).map_err(bad)).collect()
    }

    /// The names by which browsers reach it, beside that of the mailed links.
    pub(crate) fn hosts(&self) -> Result<Vec<HostName>, SettingsError> {
        let problem = "a host is a name such as tokens.example.com, or an address, without a port";
        let bad = || SettingsError::bad("portal.hosts", problem);
        self.hosts.iter().map(|host| HostName::parse(host).ok_or_else(bad)).collect()
    }

    pub(crate) fn secrets(&self) -> Result<Option<SecretFiles>, SettingsError> {
        SecretFiles::of(
            ["portal.secret-file", "portal.former-secret-file"],
            &self.secret_file,
            &self.former_secret_file,
        )
    }

    pub(crate) fn tls(&self) -> Result<Option<TlsFiles>, SettingsError> {
        TlsFiles::of(
            ["portal.tls-certificate", "portal.tls-key"],
            &self.tls_certificate,
            &self.tls_key,
        )
    }

    /// What can be told before there is a portal.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        if let Some(name) = &self.user_header {
            header_name("portal.user-header", name)?;
        }
        self.administrators()?;
        self.hosts()?;
        self.secrets()?;
        one_line("portal.title", self.title.as_ref())?;
        self.tls().map(drop)
    }

    /// The pages, but for the key of their forms.
    pub(crate) fn pages(&self, manager: TokenManager) -> Result<Portal, SettingsError> {
        let mut portal = Portal::new(manager);
        if let Some(path) = &self.path {
            let bad = |error| SettingsError::bad("portal.path", error);
            portal = portal.at(path).map_err(bad)?;
        }
        if let Some(title) = &self.title {
            portal = portal.title(title);
        }
        if let Some(home) = &self.home {
            let bad = |error| SettingsError::bad("portal.home", error);
            portal = portal.home(home).map_err(bad)?;
        }
        if let Some(sign_in) = &self.sign_in {
            let bad = |error| SettingsError::bad("portal.sign-in", error);
            portal = portal.sign_in(sign_in).map_err(bad)?;
        }
        Ok(portal)
    }
}
