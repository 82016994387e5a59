//! The section `[portal]`: pages for users whom a reverse proxy has signed in.

use std::path::PathBuf;

use http::HeaderName;
use serde::Deserialize;

use super::{ListenAddress, SettingsError, TlsFiles};

/// The section `[portal]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct PortalSettings {
    pub(crate) listen: Option<ListenAddress>,
    user_header: Option<String>,
    pub(crate) administrators: Vec<String>,
    pub(crate) secret_file: Option<PathBuf>,
    pub(crate) path: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) home: Option<String>,
    pub(crate) sign_in: Option<String>,
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
        text.parse().map_err(|_| SettingsError::bad(key, "this is not the name of a header"))
    }

    pub(crate) fn tls(&self) -> Result<Option<TlsFiles>, SettingsError> {
        TlsFiles::of("portal.tls-key", &self.tls_certificate, &self.tls_key)
    }
}
