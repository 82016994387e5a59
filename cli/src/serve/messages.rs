//! Who sends codes, notices and webhooks, with the secrets that there are now.

use std::sync::Arc;

use async_trait::async_trait;
use tower_api_token::audit::AuditEntry;
use tower_api_token::delivery::{DeliveryError, Receiver, Webhook};
use tower_api_token::notify::{ConfirmationMessage, Notifier, NotifyError};
use tower_api_token::store::{AuditItem, AuditPosition};

use super::reload::{Current, Reloads};
use crate::failure::Failure;
use crate::settings::{Messenger, Settings, SettingsError};

/// Sends messages as the settings say.
pub(super) struct Messages(Current<Messenger>);

impl Messages {
    /// Whoever the settings name, if they do.
    pub(super) fn of(
        settings: &Arc<Settings>,
        reloads: &mut Reloads,
    ) -> Result<Option<Self>, Failure> {
        if !settings.notify.is_set() {
            return Ok(None);
        }
        let of = Arc::clone(settings);
        let needed = || SettingsError::Incomplete { key: "notify", with: "`smtp`" };
        let read = move || Ok(of.notify.messenger()?.ok_or_else(needed)?);
        let files = settings.notify.files();
        let messenger = reloads.read("notify.smtp-password-file", files, read)?;
        Ok(Some(Self(messenger)))
    }
}

#[async_trait]
impl Notifier for Messages {
    async fn confirmation(&self, message: &ConfirmationMessage) -> Result<(), NotifyError> {
        self.0.get().confirmation(message).await
    }

    async fn notice(&self, entry: &AuditEntry) -> Result<(), NotifyError> {
        self.0.get().notice(entry).await
    }
}

/// Tells another system what happens.
pub(super) struct Hook(Current<Webhook>);

impl Hook {
    /// Whoever the settings name, if they do.
    pub(super) fn of(
        settings: &Arc<Settings>,
        reloads: &mut Reloads,
    ) -> Result<Option<Self>, Failure> {
        if !settings.webhook.is_set() {
            return Ok(None);
        }
        let of = Arc::clone(settings);
        let read = move || Ok(of.webhook.webhook()?);
        let files = settings.webhook.files()?;
        Ok(Some(Self(reloads.read("webhook.secret-file", files, read)?)))
    }
}

#[async_trait]
impl Receiver for Hook {
    fn wants(&self, item: &AuditItem) -> bool {
        self.0.get().wants(item)
    }

    async fn receive(&self, at: AuditPosition, item: &AuditItem) -> Result<(), DeliveryError> {
        self.0.get().receive(at, item).await
    }
}
