//! The section `[policy]`: how long things last.

use std::time::Duration;

use serde::Deserialize;
use tower_api_token::ConfigError;
use tower_api_token::rotation::Policy;

use super::{SettingsError, Time};

/// As [`Policy`] documents each of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct PolicySettings {
    code_lifetime: Option<Time>,
    pending_lifetime: Option<Time>,
    resend_interval: Option<Time>,
    guard_window: Option<Time>,
    usage_interval: Option<Time>,
    retired_lifetime: Option<Time>,
    token_lifetime: Option<Time>,
    backup_lifetime: Option<Time>,
    unused_lifetime: Option<Time>,
    expiry_notices: Option<Vec<Time>>,
}

/// What [`Policy::default`] says.
const CODE_LIFETIME: Time = Time(Duration::from_secs(10 * 60));
const PENDING_LIFETIME: Time = Time(Duration::from_secs(24 * 3_600));
const RESEND_INTERVAL: Time = Time(Duration::from_secs(60));
const GUARD_WINDOW: Time = Time(Duration::from_secs(24 * 3_600));
const USAGE_INTERVAL: Time = Time(Duration::from_secs(10));

type Setter = fn(Policy, Duration) -> Result<Policy, ConfigError>;

impl PolicySettings {
    /// How often last uses are written.
    pub(crate) fn usage_interval(&self) -> Duration {
        let Time(interval) = self.usage_interval.unwrap_or(USAGE_INTERVAL);
        interval
    }

    pub(crate) fn policy(&self) -> Result<Policy, SettingsError> {
        let chosen: [(&'static str, Option<Time>, Setter); 9] = [
            ("policy.code-lifetime", self.code_lifetime, Policy::code_lifetime),
            ("policy.pending-lifetime", self.pending_lifetime, Policy::pending_lifetime),
            ("policy.resend-interval", self.resend_interval, Policy::resend_interval),
            ("policy.guard-window", self.guard_window, Policy::guard_window),
            ("policy.usage-interval", self.usage_interval, Policy::usage_interval),
            ("policy.retired-lifetime", self.retired_lifetime, Policy::retired_lifetime),
            ("policy.token-lifetime", self.token_lifetime, Policy::token_lifetime),
            ("policy.backup-lifetime", self.backup_lifetime, Policy::backup_lifetime),
            ("policy.unused-lifetime", self.unused_lifetime, Policy::unused_lifetime),
        ];
        let mut policy = Policy::default();
        for (key, time, set) in chosen {
            if let Some(Time(time)) = time {
                policy = set(policy, time).map_err(|error| SettingsError::bad(key, error))?;
            }
        }
        if let Some(notices) = &self.expiry_notices {
            let notices = policy.expiry_notices(notices.iter().map(|Time(time)| *time));
            policy = notices.map_err(|error| SettingsError::bad("policy.expiry-notices", error))?;
        }
        self.check_together()?;
        Ok(policy)
    }

    /// Refuses what would silently count as something else, or could never
    /// happen, also beside a default.
    fn check_together(&self) -> Result<(), SettingsError> {
        let or = |time: Option<Time>, Time(default)| time.map_or(default, |Time(time)| time);
        let pending = or(self.pending_lifetime, PENDING_LIFETIME);
        if or(self.code_lifetime, CODE_LIFETIME) > pending {
            let problem = "a code must not live longer (`policy.code-lifetime`, 10m by default) than \
                           the token that waits for it (`policy.pending-lifetime`, 24h by default)";
            let keys = ["policy.code-lifetime", "policy.pending-lifetime"];
            return Err(SettingsError::bad(set_one(self.code_lifetime, keys), problem));
        }
        if or(self.resend_interval, RESEND_INTERVAL) >= pending {
            let problem = "no code could be sent again (`policy.resend-interval`, 1m by default) while \
                           the token waits for it (`policy.pending-lifetime`, 24h by default)";
            let keys = ["policy.resend-interval", "policy.pending-lifetime"];
            return Err(SettingsError::bad(set_one(self.resend_interval, keys), problem));
        }
        let window = or(self.guard_window, GUARD_WINDOW);
        if !window.is_zero() && window < self.usage_interval() * 2 {
            let problem = "uses are known no sooner than after twice `policy.usage-interval` (10s by \
                           default): `policy.guard-window` (24h by default) must be that long at \
                           least, or 0s for no guard";
            let keys = ["policy.guard-window", "policy.usage-interval"];
            return Err(SettingsError::bad(set_one(self.guard_window, keys), problem));
        }
        Ok(())
    }
}

/// Of two keys, one of which is set, the first if it is.
fn set_one(first: Option<Time>, [one, other]: [&'static str; 2]) -> &'static str {
    if first.is_some() { one } else { other }
}
