//! The section `[webhook]`: which other system is told what happens.

use std::path::PathBuf;

use serde::Deserialize;
use tower_api_token::ConfigError;
use tower_api_token::delivery::{Webhook, WebhookSecret};
use tower_api_token::store::AuditItem;

use super::{SecretFiles, SettingsError};
use crate::{certificates, secret};

const URL: &str = "webhook.url";
const SECRET: &str = "webhook.secret-file";
const CA: &str = "webhook.ca-file";
const EVENTS: &str = "webhook.events";

/// The section `[webhook]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct WebhookSettings {
    url: Option<String>,
    secret_file: Option<PathBuf>,
    former_secret_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    allow_private_addresses: bool,
    events: Vec<String>,
}

impl WebhookSettings {
    pub(crate) const fn is_set(&self) -> bool {
        self.url.is_some()
    }

    /// The files that [`webhook`](Self::webhook) reads.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>, SettingsError> {
        let secrets = self.secrets()?.map(|files| files.paths());
        Ok(secrets.into_iter().flatten().chain(self.ca_file.clone()).collect())
    }

    /// Whom the settings name, with the secrets that there are now.
    pub(crate) fn webhook(&self) -> Result<Webhook, SettingsError> {
        let needed = || SettingsError::Incomplete { key: "webhook", with: "`url`" };
        let (url, secrets) = self.url.as_ref().zip(self.secrets()?).ok_or_else(needed)?;
        let secrets = secrets.read_by(|setting, path| {
            let secret = WebhookSecret::new(&secret::password(setting, path)?);
            secret.map_err(|error| SettingsError::bad(setting, error))
        })?;
        let (first, former) = secrets.split_first().ok_or_else(needed)?;
        let webhook = address(url, first.clone())?;
        let webhook = former.iter().cloned().fold(webhook, Webhook::also_signed_with);
        let events = self.events.clone();
        let mut webhook = webhook
            .allow_private_addresses(self.allow_private_addresses)
            .only(move |item| events.is_empty() || events.iter().any(|name| name == item.name()));
        if let Some(path) = &self.ca_file {
            webhook = webhook.trust(certificates::trusted(CA, path)?);
        }
        Ok(webhook)
    }

    /// What can be told before a file is read.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let beside = [
            (SECRET, self.secret_file.is_some()),
            (CA, self.ca_file.is_some()),
            ("webhook.allow-private-addresses", self.allow_private_addresses),
            (EVENTS, !self.events.is_empty()),
        ];
        match (&self.url, self.secrets()?) {
            (None, _) => match beside.into_iter().find(|(_, is_set)| *is_set) {
                Some((key, _)) => Err(SettingsError::Incomplete { key, with: "`url`" }),
                None => Ok(()),
            },
            (Some(_), None) => Err(SettingsError::Incomplete { key: URL, with: "`secret-file`" }),
            (Some(url), Some(_)) => {
                // The address alone is judged, by any secret.
                let any = WebhookSecret::new("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
                address(url, any.map_err(|error| SettingsError::bad(URL, error))?)?;
                self.check_events()
            }
        }
    }

    fn check_events(&self) -> Result<(), SettingsError> {
        let is_event = |name: &&String| !AuditItem::names().any(|known| known == name.as_str());
        let Some(unknown) = self.events.iter().find(is_event) else { return Ok(()) };
        let known = AuditItem::names().collect::<Vec<_>>().join(", ");
        Err(SettingsError::bad(EVENTS, format!("there is no event {unknown:?}, but {known}")))
    }

    fn secrets(&self) -> Result<Option<SecretFiles>, SettingsError> {
        let settings = [SECRET, "webhook.former-secret-file"];
        SecretFiles::of(settings, &self.secret_file, &self.former_secret_file)
    }
}

fn address(url: &str, secret: WebhookSecret) -> Result<Webhook, SettingsError> {
    Webhook::new(url, secret).map_err(|error: ConfigError| SettingsError::bad(URL, error))
}
