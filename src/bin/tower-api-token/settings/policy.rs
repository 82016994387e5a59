//! The section `[policy]`: how long things last.

use serde::Deserialize;
use tower_api_token::rotation::{Policy, PolicyError};

use super::{SettingsError, Time};

/// As [`Policy`] documents each of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct PolicySettings {
    code_lifetime: Option<Time>,
    pending_lifetime: Option<Time>,
    resend_interval: Option<Time>,
    guard_window: Option<Time>,
    pub(crate) usage_interval: Option<Time>,
    retired_lifetime: Option<Time>,
    token_lifetime: Option<Time>,
    backup_lifetime: Option<Time>,
}

type Setter = fn(Policy, std::time::Duration) -> Result<Policy, PolicyError>;

impl PolicySettings {
    pub(crate) fn policy(&self) -> Result<Policy, SettingsError> {
        let chosen: [(&'static str, Option<Time>, Setter); 8] = [
            ("policy.code-lifetime", self.code_lifetime, Policy::code_lifetime),
            ("policy.pending-lifetime", self.pending_lifetime, Policy::pending_lifetime),
            ("policy.resend-interval", self.resend_interval, Policy::resend_interval),
            ("policy.guard-window", self.guard_window, Policy::guard_window),
            ("policy.usage-interval", self.usage_interval, Policy::usage_interval),
            ("policy.retired-lifetime", self.retired_lifetime, Policy::retired_lifetime),
            ("policy.token-lifetime", self.token_lifetime, Policy::token_lifetime),
            ("policy.backup-lifetime", self.backup_lifetime, Policy::backup_lifetime),
        ];
        let mut policy = Policy::default();
        for (key, time, set) in chosen {
            if let Some(Time(time)) = time {
                policy = set(policy, time).map_err(|error| SettingsError::bad(key, error))?;
            }
        }
        Ok(policy)
    }
}
