//! The section `[policy]`: how long things last.

use std::time::Duration;

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

/// What [`Policy::default`] says.
const PENDING_LIFETIME: Time = Time(Duration::from_secs(24 * 3_600));
const USAGE_INTERVAL: Time = Time(Duration::from_secs(10));

type Setter = fn(Policy, Duration) -> Result<Policy, PolicyError>;

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
        self.check_together()?;
        Ok(policy)
    }

    /// Refuses what would silently count as something else, or could never
    /// happen.
    fn check_together(&self) -> Result<(), SettingsError> {
        let Time(pending) = self.pending_lifetime.unwrap_or(PENDING_LIFETIME);
        let too_long = |time: Option<Time>| time.is_some_and(|Time(time)| time > pending);
        if too_long(self.code_lifetime) {
            let problem = "a code must not live longer than the token that waits for it, which \
                           `policy.pending-lifetime` says (24h by default)";
            return Err(SettingsError::bad("policy.code-lifetime", problem));
        }
        if too_long(self.resend_interval) {
            let problem = "no code could be sent again while the token waits for it, which \
                           `policy.pending-lifetime` says (24h by default)";
            return Err(SettingsError::bad("policy.resend-interval", problem));
        }
        let Time(interval) = self.usage_interval.unwrap_or(USAGE_INTERVAL);
        let unknown = |Time(window): Time| !window.is_zero() && window < interval * 2;
        if self.guard_window.is_some_and(unknown) {
            let problem = "uses are known no sooner than after twice `policy.usage-interval` (10s \
                           by default): it must be that long at least, or 0s for no guard";
            return Err(SettingsError::bad("policy.guard-window", problem));
        }
        Ok(())
    }
}
