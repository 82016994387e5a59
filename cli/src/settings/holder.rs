//! The section `[holder]`: what whoever holds a token, or has found one, may ask.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use serde::Deserialize;
use tower_api_token::manage::LeakResponse;

use super::serve::header_name;
use super::{ListenerConfig, ListenerSettings, SettingsError, Time};

/// The section `[holder]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct HolderSettings {
    #[serde(flatten)]
    listener: ListenerSettings,
    address_header: Option<String>,
    requests_at_once: Option<NonZeroU32>,
    request_interval: Option<Time>,
    pub(crate) leak_keys_file: Option<PathBuf>,
    leak_response: LeakResponseName,
}

/// What is done about a leaked token, as it is written.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum LeakResponseName {
    Tell,
    #[default]
    EndToken,
    EndAll,
}

/// What the library has by default.
const AT_ONCE: NonZeroU32 = NonZeroU32::new(30).expect("30 is not 0");
const INTERVAL: Time = Time(Duration::from_secs(1));

impl HolderSettings {
    /// The header by which a reverse proxy names its client's address.
    pub(crate) fn address_header(&self) -> Result<Option<HeaderName>, SettingsError> {
        let name = self.address_header.as_ref();
        name.map(|name| header_name("holder.address-header", name)).transpose()
    }

    /// How many requests one address may make at once, and then in which interval one.
    pub(crate) fn rate_limit(&self) -> (NonZeroU32, Duration) {
        let Time(interval) = self.request_interval.unwrap_or(INTERVAL);
        (self.requests_at_once.unwrap_or(AT_ONCE), interval)
    }

    pub(crate) const fn leak_response(&self) -> LeakResponse {
        match self.leak_response {
            LeakResponseName::Tell => LeakResponse::Tell,
            LeakResponseName::EndToken => LeakResponse::EndToken,
            LeakResponseName::EndAll => LeakResponse::EndAll,
        }
    }

    pub(crate) fn listener(&self) -> Result<Option<ListenerConfig>, SettingsError> {
        self.listener.config("holder")
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        self.address_header()?;
        self.listener().map(drop)
    }
}
