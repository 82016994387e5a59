//! The sections that `serve` reads: what listens where, and how it decides.

use std::path::PathBuf;

use http::HeaderName;
use serde::Deserialize;
use tower_api_token::credentials::CredentialSource;
use tower_api_token::forward_auth::{IdentityHeaders, Profile};
use tower_api_token::store::CacheOptions;

use super::{ListenAddress, SettingsError, Time};

/// The section `[requests]`: where a request may carry its token.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RequestSettings {
    sources: Vec<String>,
    pub(crate) realm: Option<String>,
}

impl RequestSettings {
    /// `bearer`, `tok`, `basic`, or `header:NAME`; Bearer alone by default.
    pub(crate) fn sources(&self) -> Result<Vec<CredentialSource>, SettingsError> {
        if self.sources.is_empty() {
            return Ok(vec![CredentialSource::Bearer]);
        }
        self.sources.iter().map(|text| source(text)).collect()
    }
}

fn source(text: &str) -> Result<CredentialSource, SettingsError> {
    match text {
        "bearer" => Ok(CredentialSource::Bearer),
        "tok" => Ok(CredentialSource::Tok),
        "basic" => Ok(CredentialSource::Basic),
        _ => {
            let name = text.strip_prefix("header:").and_then(|name| name.parse().ok());
            name.map(CredentialSource::Header).ok_or_else(|| {
                let form = "a source is bearer, tok, basic or header:NAME";
                SettingsError::bad("requests.sources", form)
            })
        }
    }
}

/// The section `[cache]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct CacheSettings {
    enabled: Option<bool>,
    accounts: Option<usize>,
    strangers: Option<usize>,
    staleness_bound: Option<Time>,
}

impl CacheSettings {
    /// The cache, unless it is switched off.
    pub(crate) fn options(&self) -> Option<CacheOptions> {
        let mut options = CacheOptions::new();
        if let Some(accounts) = self.accounts {
            options = options.accounts(accounts);
        }
        if let Some(strangers) = self.strangers {
            options = options.strangers(strangers);
        }
        if let Some(Time(bound)) = self.staleness_bound {
            options = options.staleness_bound(bound);
        }
        self.enabled.unwrap_or(true).then_some(options)
    }
}

/// A profile of the forward-auth endpoint, as it is written.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ProfileName {
    OriginalMethod,
    ForwardedMethod,
    OwnRequestLine,
}

/// The section `[forward-auth]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ForwardAuthSettings {
    pub(crate) listen: Option<ListenAddress>,
    profile: Option<ProfileName>,
    pub(crate) secret_file: Option<PathBuf>,
    user_header: Option<String>,
    slot_header: Option<String>,
    tls_certificate: Option<PathBuf>,
    tls_key: Option<PathBuf>,
}

impl ForwardAuthSettings {
    /// The profile, for which there is no default: the wrong one lets a client
    /// choose its method.
    pub(crate) fn profile(&self) -> Result<Profile, SettingsError> {
        match self.profile {
            Some(ProfileName::OriginalMethod) => Ok(Profile::OriginalMethod),
            Some(ProfileName::ForwardedMethod) => Ok(Profile::ForwardedMethod),
            Some(ProfileName::OwnRequestLine) => Ok(Profile::OwnRequestLine),
            None => Err(SettingsError::bad(
                "forward-auth.profile",
                "say by --profile how the gateway names its client's method: original-method \
                 (nginx, HAProxy, Apache), forwarded-method (Caddy, Traefik) or own-request-line \
                 (Envoy over HTTP)",
            )),
        }
    }

    pub(crate) fn tls(&self) -> Result<Option<TlsFiles>, SettingsError> {
        TlsFiles::of("forward-auth.tls-key", &self.tls_certificate, &self.tls_key)
    }

    pub(crate) fn identity_headers(&self) -> Result<IdentityHeaders, SettingsError> {
        let default = IdentityHeaders::default();
        let user = header("forward-auth.user-header", &self.user_header, default.user())?;
        let slot = header("forward-auth.slot-header", &self.slot_header, default.slot())?;
        let headers = IdentityHeaders::new(user, slot);
        headers.map_err(|error| SettingsError::bad("forward-auth.user-header", error))
    }
}

fn header(
    key: &'static str,
    text: &Option<String>,
    default: &HeaderName,
) -> Result<HeaderName, SettingsError> {
    let Some(text) = text else { return Ok(default.clone()) };
    text.parse().map_err(|_| SettingsError::bad(key, "this is not the name of a header"))
}

/// The section `[ext-authz]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ExtAuthzSettings {
    pub(crate) listen: Option<ListenAddress>,
    pub(crate) secret_file: Option<PathBuf>,
    tls_certificate: Option<PathBuf>,
    tls_key: Option<PathBuf>,
}

impl ExtAuthzSettings {
    pub(crate) fn tls(&self) -> Result<Option<TlsFiles>, SettingsError> {
        TlsFiles::of("ext-authz.tls-key", &self.tls_certificate, &self.tls_key)
    }
}

/// The section `[operations]`: health, readiness and metrics.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct OperationsSettings {
    pub(crate) listen: Option<ListenAddress>,
}

/// The section `[log]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct LogSettings {
    pub(crate) filter: Option<String>,
    pub(crate) format: LogFormat,
}

/// How log records are written.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

/// A certificate and its key, which come together.
#[derive(Clone, Debug)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl TlsFiles {
    pub(crate) fn of(
        name: &'static str,
        certificate: &Option<PathBuf>,
        key: &Option<PathBuf>,
    ) -> Result<Option<Self>, SettingsError> {
        match (certificate.clone(), key.clone()) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => Ok(Some(Self { certificate, key })),
            _ => Err(SettingsError::Incomplete { key: name, with: "tls-certificate" }),
        }
    }
}
