//! The sections that `serve` reads: what listens where, and how it decides.

use http::HeaderName;
use http::header::AUTHORIZATION;
use serde::Deserialize;
use tower_api_token::ConfigError;
use tower_api_token::credentials::CredentialSource;
use tower_api_token::forward_auth::{ForwardAuth, IdentityHeaders, Profile};
use tower_api_token::store::{CacheOptions, MemoryStore};
use tracing_subscriber::EnvFilter;

use super::{ListenerConfig, ListenerSettings, SettingsError, Time};

/// The section `[requests]`: where a request may carry its token, and whether
/// a CORS preflight passes without one.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RequestSettings {
    sources: Vec<String>,
    pub(crate) realm: Option<String>,
    pub(crate) allow_preflight: bool,
}

impl RequestSettings {
    /// `bearer`, `tok`, `basic`, or `header:NAME`; Bearer alone by default.
    pub(crate) fn sources(&self) -> Result<Vec<CredentialSource>, SettingsError> {
        if self.sources.is_empty() {
            return Ok(vec![CredentialSource::Bearer]);
        }
        self.sources.iter().map(|text| source(text)).collect()
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        self.sources()?;
        let Some(realm) = &self.realm else { return Ok(()) };
        let named = ForwardAuth::new(MemoryStore::new(), Profile::OwnRequestLine).realm(realm);
        named.map(drop).map_err(|error| SettingsError::bad("requests.realm", error))
    }
}

fn source(text: &str) -> Result<CredentialSource, SettingsError> {
    let bad = |problem: &str| SettingsError::bad("requests.sources", problem);
    let source = text.parse().map_err(|error: ConfigError| bad(&error.to_string()))?;
    match &source {
        CredentialSource::Header(name) if has_other_meaning(name) => {
            Err(bad("this header cannot hold a token: it has another meaning for a gateway, for \
                     HTTP or here, as X-Gateway-Secret of `secret-file` has"))
        }
        _ => Ok(source),
    }
}

/// Whether a request says something else in this header than which token it has.
fn has_other_meaning(name: &HeaderName) -> bool {
    let here = [GATEWAY_SECRET, "x-http-method", "x-http-method-override", "x-method-override"];
    let beside = HeaderName::from_static("x-beside");
    let reserved = || IdentityHeaders::new(name.clone(), beside).is_err();
    here.contains(&name.as_str()) || (name != AUTHORIZATION && reserved())
}

const GATEWAY_SECRET: &str = "x-gateway-secret";

/// The section `[cache]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct CacheSettings {
    enabled: Option<bool>,
    accounts: Option<usize>,
    negative_entries: Option<usize>,
    staleness_bound: Option<Time>,
}

impl CacheSettings {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let new = CacheOptions::new;
        let chosen = [
            ("cache.accounts", self.accounts.map(|accounts| new().accounts(accounts))),
            (
                "cache.negative-entries",
                self.negative_entries.map(|entries| new().negative_entries(entries)),
            ),
            (
                "cache.staleness-bound",
                self.staleness_bound.map(|Time(bound)| new().staleness_bound(bound)),
            ),
        ];
        for (key, options) in chosen {
            let checked = options.map_or(Ok(()), |options| options.check());
            checked.map_err(|error| SettingsError::bad(key, error))?;
        }
        Ok(())
    }

    /// The cache, unless it is switched off.
    pub(crate) fn options(&self) -> Option<CacheOptions> {
        let mut options = CacheOptions::new();
        if let Some(accounts) = self.accounts {
            options = options.accounts(accounts);
        }
        if let Some(entries) = self.negative_entries {
            options = options.negative_entries(entries);
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
    MethodHeader,
    OwnRequestLine,
}

/// The section `[forward-auth]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct ForwardAuthSettings {
    #[serde(flatten)]
    listener: ListenerSettings,
    profile: Option<ProfileName>,
    user_header: Option<String>,
    slot_header: Option<String>,
}

impl ForwardAuthSettings {
    /// The profile, for which there is no default: the wrong one lets a client
    /// choose its method.
    pub(crate) fn profile(&self) -> Result<Profile, SettingsError> {
        match self.profile {
            Some(ProfileName::OriginalMethod) => Ok(Profile::OriginalMethod),
            Some(ProfileName::ForwardedMethod) => Ok(Profile::ForwardedMethod),
            Some(ProfileName::MethodHeader) => Ok(Profile::MethodHeader),
            Some(ProfileName::OwnRequestLine) => Ok(Profile::OwnRequestLine),
            None => Err(SettingsError::bad(
                "forward-auth.profile",
                "say by --profile how the gateway names its client's method: original-method \
                 (nginx, HAProxy, Apache), forwarded-method (Caddy, Traefik), method-header (NGINX \
                 Gateway Fabric) or own-request-line (Envoy over HTTP)",
            )),
        }
    }

    pub(crate) fn listener(&self) -> Result<Option<ListenerConfig>, SettingsError> {
        self.listener.config("forward-auth")
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        self.listener()?;
        self.identity_headers().map(drop)
    }

    pub(crate) fn identity_headers(&self) -> Result<IdentityHeaders, SettingsError> {
        let default = IdentityHeaders::default();
        let user = header("forward-auth.user-header", &self.user_header, default.user())?;
        let slot = header("forward-auth.slot-header", &self.slot_header, default.slot())?;
        // What is wrong with both is told of the one that was chosen.
        let key = match (&self.user_header, &self.slot_header) {
            (None, Some(_)) => "forward-auth.slot-header",
            _ => "forward-auth.user-header",
        };
        // With its default beside it each is judged alone.
        for (key, name) in
            [("forward-auth.user-header", &user), ("forward-auth.slot-header", &slot)]
        {
            let beside = HeaderName::from_static("x-beside");
            let alone = IdentityHeaders::new(name.clone(), beside);
            alone.map_err(|error| SettingsError::bad(key, error))?;
        }
        IdentityHeaders::new(user, slot).map_err(|error| SettingsError::bad(key, error))
    }
}

fn header(
    key: &'static str,
    text: &Option<String>,
    default: &HeaderName,
) -> Result<HeaderName, SettingsError> {
    let Some(text) = text else { return Ok(default.clone()) };
    header_name(key, text)
}

/// The name of a header that a gateway sets or is told by.
pub(super) fn header_name(key: &'static str, text: &str) -> Result<HeaderName, SettingsError> {
    let problem = "the name of a header has letters, digits and -, such as X-Remote-User";
    let name: HeaderName = text.parse().map_err(|_| SettingsError::bad(key, problem))?;
    if name == GATEWAY_SECRET {
        let problem = "X-Gateway-Secret is the header of the shared secret: choose another name";
        return Err(SettingsError::bad(key, problem));
    }
    Ok(name)
}

/// The section `[ext-authz]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct ExtAuthzSettings {
    #[serde(flatten)]
    listener: ListenerSettings,
}

impl ExtAuthzSettings {
    pub(crate) fn listener(&self) -> Result<Option<ListenerConfig>, SettingsError> {
        self.listener.config("ext-authz")
    }
}

/// The section `[operations]`: health, readiness and metrics.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct OperationsSettings {
    #[serde(flatten)]
    listener: ListenerSettings,
}

impl OperationsSettings {
    pub(crate) fn listener(&self) -> Result<Option<ListenerConfig>, SettingsError> {
        self.listener.config("operations")
    }
}

/// The section `[log]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct LogSettings {
    pub(crate) filter: Option<String>,
    pub(crate) format: LogFormat,
}

impl LogSettings {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let Some(filter) = &self.filter else { return Ok(()) };
        EnvFilter::try_new(filter).map(drop).map_err(|error| {
            let form = "such as info, or warn,tower_api_token=debug";
            SettingsError::bad(
                "log.filter",
                format!("{error}: a filter is a level or more, {form}"),
            )
        })
    }
}

/// How log records are written.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}
