//! What the program is told once and not with every command: a configuration
//! file, the environment over it, and flags over both.

mod address;
#[cfg(test)]
mod bad_values;
mod check;
mod environment;
mod error;
mod file;
mod groups;
mod holder;
mod host;
mod keys;
mod kind;
mod layers;
mod listener;
mod notify;
mod origin;
mod policy;
mod portal;
mod serve;
mod time;
mod tokens;
mod webhook;

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

pub(crate) use self::address::ListenAddress;
pub(crate) use self::error::SettingsError;
pub(crate) use self::groups::AdministratorGroups;
pub(crate) use self::holder::HolderSettings;
pub(crate) use self::host::HostName;
pub(crate) use self::keys::{DefaultValue, KEYS, Key};
pub(crate) use self::kind::Kind;
pub(crate) use self::layers::Layers;
use self::listener::ListenerSettings;
pub(crate) use self::listener::{
    Access, ClientFiles, ListenerConfig, SecretFiles, SocketOptions, TlsFiles,
};
pub(crate) use self::notify::{Messenger, NotifySettings};
pub(crate) use self::origin::Origins;
pub(crate) use self::policy::PolicySettings;
pub(crate) use self::portal::PortalSettings;
pub(crate) use self::serve::{
    CacheSettings, ExtAuthzSettings, ForwardAuthSettings, LogFormat, LogSettings,
    OperationsSettings, RequestSettings,
};
pub(crate) use self::time::Time;
pub(crate) use self::tokens::TokenSettings;
pub(crate) use self::webhook::WebhookSettings;

/// What the long help and the README say.
pub(crate) const PRECEDENCE: &str = "\
Settings:
  A flag wins over the environment, the environment over the configuration
  file, and the file over the default. The file is named by --config or
  TOWER_API_TOKEN_CONFIG; there is none by default. Each key KEY of its section
  [SECTION] has the variable TOWER_API_TOKEN_SECTION_KEY, in capitals and with _
  for -; lists are separated by commas. A variable that is empty counts as one
  that is not set. A key or variable that does not exist is refused, but for
  those that Kubernetes sets for Services (TOWER_API_TOKEN_..._SERVICE_HOST).";

/// Every setting.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Settings {
    pub(crate) store: Option<Hidden>,
    pub(crate) store_password_file: Option<PathBuf>,
    pub(crate) store_ca_file: Option<PathBuf>,
    pub(crate) store_timeout: Option<Time>,
    pub(crate) store_deployment: Option<String>,
    pub(crate) store_replicas: Option<u32>,
    pub(crate) tokens: TokenSettings,
    pub(crate) policy: PolicySettings,
    pub(crate) requests: RequestSettings,
    pub(crate) cache: CacheSettings,
    pub(crate) forward_auth: ForwardAuthSettings,
    pub(crate) ext_authz: ExtAuthzSettings,
    pub(crate) operations: OperationsSettings,
    pub(crate) portal: PortalSettings,
    pub(crate) holder: HolderSettings,
    pub(crate) notify: NotifySettings,
    pub(crate) webhook: WebhookSettings,
    pub(crate) audit: AuditSettings,
    pub(crate) log: LogSettings,
    pub(crate) shutdown_delay: Option<Time>,
    pub(crate) shutdown_grace: Option<Time>,
    pub(crate) head_timeout: Option<Time>,
    /// Where each of them was set.
    #[serde(skip)]
    pub(crate) origins: Origins,
}

/// A text that may hold a password, and is never shown.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct Hidden(pub(crate) String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(..)")
    }
}

/// The section `[audit]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct AuditSettings {
    /// The file to which each change is appended; none by default.
    pub(crate) file: Option<PathBuf>,
}
