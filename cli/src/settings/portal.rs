//! The section `[portal]`: pages for users whom a reverse proxy has signed in.

use std::path::PathBuf;

use http::HeaderName;
use serde::Deserialize;
use tower_api_token::TokenManager;
use tower_api_token::portal::Portal;
use tower_api_token::user::UserId;

use super::check::one_line;
use super::serve::header_name;
use super::{HostName, ListenerConfig, ListenerSettings, SettingsError};

/// The section `[portal]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct PortalSettings {
    #[serde(flatten)]
    listener: ListenerSettings,
    user_header: Option<String>,
    administrators: Vec<String>,
    hosts: Vec<String>,
    path: Option<String>,
    title: Option<String>,
    home: Option<String>,
    sign_in: Option<String>,
    pub(crate) form_key_file: Option<PathBuf>,
    /// Whoever generates a token is shown its code, too: nothing is sent.
    pub(crate) show_codes: bool,
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

    pub(crate) fn listener(&self) -> Result<Option<ListenerConfig>, SettingsError> {
        self.listener.config("portal")
    }

    /// What can be told before there is a portal.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        if let Some(name) = &self.user_header {
            header_name("portal.user-header", name)?;
        }
        self.administrators()?;
        self.hosts()?;
        one_line("portal.title", self.title.as_ref())?;
        self.listener().map(drop)
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
