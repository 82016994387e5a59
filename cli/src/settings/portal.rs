//! The section `[portal]`: pages for users whom a reverse proxy has signed in.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use http::HeaderName;
use serde::Deserialize;
use tower_api_token::TokenManager;
use tower_api_token::portal::Portal;
use tower_api_token::user::UserId;

use super::check::one_line;
use super::groups::AdministratorGroups;
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
    groups_header: Option<String>,
    administrator_groups: Vec<String>,
    groups_separator: Option<String>,
    hosts: Vec<String>,
    path: Option<String>,
    title: Option<String>,
    logo_file: Option<PathBuf>,
    stylesheet_file: Option<PathBuf>,
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

    /// The groups whose members are administrators, too.
    pub(crate) fn administrator_groups(
        &self,
    ) -> Result<Option<AdministratorGroups>, SettingsError> {
        let (header, separator) = (self.groups_header.as_deref(), self.groups_separator.as_deref());
        let groups = AdministratorGroups::of(header, &self.administrator_groups, separator)?;
        let is_user = |name: &HeaderName| self.user_header().is_ok_and(|user| user == *name);
        if groups.as_ref().is_some_and(|groups| is_user(groups.header())) {
            let problem = "it is the header of the user: name the one with their groups";
            return Err(SettingsError::bad("portal.groups-header", problem));
        }
        Ok(groups)
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
        self.administrator_groups()?;
        self.hosts()?;
        one_line("portal.title", self.title.as_ref())?;
        self.listener().map(drop)
    }

    /// The pages as a host wants them to look, from its files.
    pub(crate) fn look(&self, mut portal: Portal) -> Result<Portal, SettingsError> {
        if let Some(path) = &self.logo_file {
            let key = "portal.logo-file";
            let bad =
                |error| SettingsError::bad(key, format!("the file {}: {error}", path.display()));
            portal = portal.logo(content(key, path)?).map_err(bad)?;
        }
        if let Some(path) = &self.stylesheet_file {
            let key = "portal.stylesheet-file";
            let problem = || format!("the file {} is not UTF-8", path.display());
            let text = String::from_utf8(content(key, path)?);
            portal = portal.stylesheet(text.map_err(|_| SettingsError::bad(key, problem()))?);
        }
        Ok(portal)
    }

    /// The pages, but for the key of their forms and what is in files.
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

/// The greatest file that the pages refer to.
const FILE_LIMIT: u64 = 1_024 * 1_024;

/// What is in the file that `key` names.
fn content(key: &'static str, path: &Path) -> Result<Vec<u8>, SettingsError> {
    let bad = |problem: String| {
        SettingsError::bad(key, format!("the file {}: {problem}", path.display()))
    };
    let file = File::open(path).map_err(|error| bad(error.to_string()))?;
    let mut content = Vec::new();
    let read = file.take(FILE_LIMIT + 1).read_to_end(&mut content);
    read.map_err(|error| bad(error.to_string()))?;
    if content.len() as u64 > FILE_LIMIT {
        return Err(bad("it must have at most 1 MiB".to_owned()));
    }
    Ok(content)
}
