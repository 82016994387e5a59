//! What can be found out about the settings before any file is read or any
//! server asked. A value that can never work is refused by every command, not
//! only by the one that would need it.

use super::{Hidden, Settings, SettingsError, Time};
use crate::store::StoreAddress;

impl Settings {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        self.check_store()?;
        self.tokens.check()?;
        self.policy.policy()?;
        self.requests.check()?;
        self.cache.check()?;
        self.forward_auth.check()?;
        self.ext_authz.listener()?;
        self.operations.listener()?;
        self.portal.check()?;
        self.holder.check()?;
        self.notify.check()?;
        self.webhook.check()?;
        if self.portal.show_codes && self.notify.is_set() {
            let problem = "codes are shown or sent, and not both: leave it out, or the section \
                           `notify`";
            return Err(SettingsError::bad("portal.show-codes", problem));
        }
        if self.head_timeout == Some(Time::ZERO) {
            let problem = "without any time no request could come in: say 30s or so";
            return Err(SettingsError::bad("head-timeout", problem));
        }
        self.log.check()
    }

    fn check_store(&self) -> Result<(), SettingsError> {
        if self.store_timeout == Some(Time::ZERO) {
            let problem = "without any time no answer of the store could come in: say 2s or so";
            return Err(SettingsError::bad("store-timeout", problem));
        }
        // Without one the command says so, if it needs a store.
        if self.store.is_none() {
            return Ok(());
        }
        let store = StoreAddress::of(self)?;
        store.check()?;
        let is_redis = matches!(store, StoreAddress::Redis(_));
        let is_file = matches!(store, StoreAddress::Sqlite(_));
        let has_password =
            self.store.as_ref().is_some_and(|Hidden(text)| StoreAddress::has_password(text));
        let for_a_server = "only a store that is a server has it: leave it out";
        let for_redis = "only a store that is Redis has it: leave it out";
        let twice = "a password stands in the address `store`, too: leave one of them out";
        let unverified = store.unverified();
        let unusable = [
            ("store-password-file", self.store_password_file.is_some() && is_file, for_a_server),
            ("store-password-file", self.store_password_file.is_some() && has_password, twice),
            (
                "store-ca-file",
                self.store_ca_file.is_some() && unverified.is_some(),
                unverified.unwrap_or_default(),
            ),
            ("store-deployment", self.store_deployment.is_some() && !is_redis, for_redis),
            ("store-replicas", self.store_replicas.is_some() && !is_redis, for_redis),
        ];
        match unusable.into_iter().find(|(_, is_unusable, _)| *is_unusable) {
            Some((key, _, problem)) => Err(SettingsError::bad(key, problem)),
            None => self.check_deployment(),
        }
    }

    fn check_deployment(&self) -> Result<(), SettingsError> {
        let Some(name) = &self.store_deployment else { return Ok(()) };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if (1..=64).contains(&name.len()) && name.bytes().all(allowed) {
            return Ok(());
        }
        let problem = "a deployment's name must be 1 to 64 of the characters A-Z a-z 0-9 - _";
        Err(SettingsError::bad("store-deployment", problem))
    }
}

/// A text that is shown on one line.
pub(super) fn one_line(key: &'static str, text: Option<&String>) -> Result<(), SettingsError> {
    match text {
        Some(text) if text.chars().any(char::is_control) => {
            Err(SettingsError::bad(key, "it must be one line of text, without control characters"))
        }
        _ => Ok(()),
    }
}
