//! The section `[notify]`: how codes and notices reach users.

use std::path::PathBuf;

use async_trait::async_trait;
use serde::Deserialize;
use tower_api_token::identity::UserId;
use tower_api_token::notify::{
    ConfirmationMessage, DirectoryNotifier, LinkBase, Mailbox, Notice, Notifier, NotifyError,
    SmtpNotifier, SmtpServer,
};

use super::SettingsError;
use crate::secret;

/// By files in a directory, or by mail.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct NotifySettings {
    directory: Option<PathBuf>,
    link_base: Option<String>,
    smtp: Option<String>,
    smtp_user: Option<String>,
    smtp_password_file: Option<PathBuf>,
    smtp_ca_file: Option<PathBuf>,
    from: Option<String>,
    mail_domain: Option<String>,
    service: Option<String>,
}

impl NotifySettings {
    /// Who sends messages, if anybody does.
    pub(crate) fn messenger(&self) -> Result<Option<Messenger>, SettingsError> {
        let base = self.link_base.as_deref().map(LinkBase::new).transpose();
        let base = base.map_err(|error| SettingsError::bad("notify.link-base", error))?;
        match (&self.directory, &self.smtp) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => {
                Err(SettingsError::bad("notify.smtp", "say either a directory or a mail server"))
            }
            (Some(directory), None) => {
                let notifier = DirectoryNotifier::new(directory);
                let notifier =
                    notifier.map_err(|error| SettingsError::bad("notify.directory", error))?;
                Ok(Some(Messenger::Directory(match base {
                    Some(base) => notifier.link_base(base),
                    None => notifier,
                })))
            }
            (None, Some(server)) => {
                let needs = |key, with| SettingsError::Incomplete { key, with };
                let base = base.ok_or(needs("notify.smtp", "`link-base`"))?;
                let from = self.from.as_ref().ok_or(needs("notify.smtp", "`from`"))?;
                let from = Mailbox::new(from);
                let from = from.map_err(|error| SettingsError::bad("notify.from", error))?;
                let mut mail =
                    SmtpNotifier::new(self.server(server)?, self.addresses(), from, base);
                if let Some(service) = &self.service {
                    mail = mail.service_name(service);
                }
                Ok(Some(Messenger::Mail(Box::new(mail))))
            }
        }
    }

    fn server(&self, text: &str) -> Result<SmtpServer, SettingsError> {
        let mut server = server(text).ok_or_else(|| {
            SettingsError::bad(
                "notify.smtp",
                "a mail server is tls://HOST, starttls://HOST (both with :PORT if you like) or \
                 loopback:PORT",
            )
        })?;
        match (&self.smtp_user, &self.smtp_password_file) {
            (None, None) => {}
            (Some(user), Some(path)) => {
                server = server.credentials(user, &secret::of_file(path)?);
            }
            _ => {
                let (key, with) = ("notify.smtp-user", "`smtp-password-file`");
                return Err(SettingsError::Incomplete { key, with });
            }
        }
        if let Some(path) = &self.smtp_ca_file {
            let failed = |source| SettingsError::File { path: path.clone(), source };
            let pem = std::fs::read(path).map_err(failed)?;
            let trusted = server.trust_authorities(&pem);
            server = trusted.map_err(|error| SettingsError::bad("notify.smtp-ca-file", error))?;
        }
        Ok(server)
    }

    /// A user's address is their name, or stands under the one domain.
    fn addresses(&self) -> impl tower_api_token::notify::MailDirectory + use<> {
        let domain = self.mail_domain.clone();
        move |user: UserId| {
            let address = match &domain {
                Some(domain) => format!("{user}@{domain}"),
                None => user.to_string(),
            };
            // Whose name is no address has none.
            std::future::ready(Ok(Mailbox::new(&address).ok()))
        }
    }
}

fn server(text: &str) -> Option<SmtpServer> {
    if let Some(port) = text.strip_prefix("loopback:") {
        return port.parse().ok().map(SmtpServer::loopback);
    }
    let (scheme, place) = text.split_once("://")?;
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (place, None),
    };
    let server = match scheme {
        "tls" => SmtpServer::tls(host),
        "starttls" => SmtpServer::starttls(host),
        _ => return None,
    };
    let server = server.ok()?;
    Some(match port {
        Some(port) => server.port(port),
        None => server,
    })
}

/// Who sends messages.
pub(crate) enum Messenger {
    Directory(DirectoryNotifier),
    Mail(Box<SmtpNotifier>),
}

#[async_trait]
impl Notifier for Messenger {
    async fn confirmation(&self, message: &ConfirmationMessage) -> Result<(), NotifyError> {
        match self {
            Self::Directory(directory) => directory.confirmation(message).await,
            Self::Mail(mail) => mail.confirmation(message).await,
        }
    }

    async fn notice(&self, notice: &Notice) -> Result<(), NotifyError> {
        match self {
            Self::Directory(directory) => directory.notice(notice).await,
            Self::Mail(mail) => mail.notice(notice).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_server_is_named_with_its_security() {
        for good in ["tls://mail.example.com", "starttls://mail.example.com:2587", "loopback:25"] {
            assert!(server(good).is_some(), "{good}");
        }
        for bad in ["mail.example.com", "smtp://a", "tls://", "loopback:x", "tls://a:b", ""] {
            assert!(server(bad).is_none(), "{bad}");
        }
    }
}
