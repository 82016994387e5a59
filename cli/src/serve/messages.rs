//! Who sends codes and notices, with the password that there is now.

use std::sync::Arc;

use async_trait::async_trait;
use tower_api_token::audit::AuditEntry;
use tower_api_token::notify::{ConfirmationMessage, Notifier, NotifyError};

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
