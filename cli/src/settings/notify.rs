//! The section `[notify]`: how codes and notices reach users.

use std::num::NonZeroU16;
use std::path::PathBuf;

use async_trait::async_trait;
use serde::Deserialize;
use tower_api_token::audit::AuditEntry;
use tower_api_token::notify::{
    ConfirmationMessage, DirectoryNotifier, LinkBase, Mailbox, Notifier, NotifyError, SmtpNotifier,
    SmtpServer,
};
use tower_api_token::user::UserId;

use super::check::one_line;
use super::{HostName, SettingsError};
use crate::secret;

/// Names the file with the password of the mail server.
const PASSWORD: &str = "notify.smtp-password-file";

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
    hello_name: Option<String>,
}

impl NotifySettings {
    /// Whether anybody sends messages.
    pub(crate) const fn is_set(&self) -> bool {
        self.directory.is_some() || self.smtp.is_some()
    }

    /// The files that [`messenger`](Self::messenger) reads.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let files = [&self.smtp_password_file, &self.smtp_ca_file];
        files.into_iter().flatten().cloned().collect()
    }

    /// The host of the mailed links.
    pub(crate) fn link_host(&self) -> Result<Option<HostName>, SettingsError> {
        let Some(base) = self.link_base()? else { return Ok(None) };
        let host = base.as_str().parse().ok();
        Ok(host.and_then(|base: http::Uri| HostName::parse(base.host()?)))
    }

    /// Who sends messages, if anybody does.
    pub(crate) fn messenger(&self) -> Result<Option<Messenger>, SettingsError> {
        let base = self.link_base()?;
        if let Some(directory) = &self.directory {
            let notifier = DirectoryNotifier::new(directory);
            let notifier =
                notifier.map_err(|error| SettingsError::bad("notify.directory", error))?;
            return Ok(Some(Messenger::Directory(match base {
                Some(base) => notifier.link_base(base),
                None => notifier,
            })));
        }
        let (Some(server), Some(base), Some(from)) = (self.server()?, base, self.from()?) else {
            return Ok(None);
        };
        let server = self.with_files(server)?;
        let mut mail = SmtpNotifier::new(server, self.addresses(), from, base);
        if let Some(service) = &self.service {
            mail = mail.service_name(service);
        }
        Ok(Some(Messenger::Mail(Box::new(mail))))
    }

    /// What can be told before a file is read.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        self.check_together()?;
        self.link_base()?;
        self.server()?;
        self.from()?;
        if let Some(domain) = &self.mail_domain {
            let problem = "the domain of mail addresses is the name of a host in ASCII, such as \
                           example.com, without an @";
            let is_one = !domain.contains('@') && Mailbox::new(&format!("a@{domain}")).is_ok();
            if !is_one {
                return Err(SettingsError::bad("notify.mail-domain", problem));
            }
        }
        one_line("notify.service", self.service.as_ref())
    }

    /// Refuses what has no effect beside the others, or needs another.
    fn check_together(&self) -> Result<(), SettingsError> {
        if self.directory.is_some() && self.smtp.is_some() {
            let problem = "messages go into a directory or to a mail server, and not both: leave \
                           it out, or `notify.directory`";
            return Err(SettingsError::bad("notify.smtp", problem));
        }
        let needs = |key, with| Err(SettingsError::Incomplete { key, with });
        if self.smtp.is_some() {
            match (&self.link_base, &self.from) {
                (None, _) => return needs("notify.smtp", "`link-base`"),
                (_, None) => return needs("notify.smtp", "`from`"),
                _ => {}
            }
        }
        match (&self.smtp_user, &self.smtp_password_file) {
            (Some(_), None) => return needs("notify.smtp-user", "`smtp-password-file`"),
            (None, Some(_)) => return needs("notify.smtp-password-file", "`smtp-user`"),
            _ => {}
        }
        let is_plain = self.smtp.as_ref().is_some_and(|smtp| smtp.starts_with("loopback:"));
        if is_plain && self.smtp_ca_file.is_some() {
            let problem = "loopback: in `notify.smtp` asks for no certificate: leave it out";
            return Err(SettingsError::bad("notify.smtp-ca-file", problem));
        }
        let of_mail = [
            ("notify.smtp-user", self.smtp_user.is_some()),
            ("notify.smtp-ca-file", self.smtp_ca_file.is_some()),
            ("notify.from", self.from.is_some()),
            ("notify.mail-domain", self.mail_domain.is_some()),
            ("notify.service", self.service.is_some()),
            ("notify.hello-name", self.hello_name.is_some()),
        ];
        match of_mail.into_iter().find(|(_, is_set)| self.smtp.is_none() && *is_set) {
            Some((key, _)) => needs(key, "`smtp`"),
            None => Ok(()),
        }
    }

    fn link_base(&self) -> Result<Option<LinkBase>, SettingsError> {
        let base = self.link_base.as_deref().map(LinkBase::new).transpose();
        base.map_err(|error| SettingsError::bad("notify.link-base", error))
    }

    fn from(&self) -> Result<Option<Mailbox>, SettingsError> {
        let from = self.from.as_deref().map(Mailbox::new).transpose();
        from.map_err(|error| SettingsError::bad("notify.from", error))
    }

    fn server(&self) -> Result<Option<SmtpServer>, SettingsError> {
        let Some(text) = &self.smtp else { return Ok(None) };
        let server = server(text).ok_or_else(|| {
            SettingsError::bad(
                "notify.smtp",
                "a mail server is tls://HOST, starttls://HOST (both with :PORT if you like) or \
                 loopback:PORT, where PORT is from 1 to 65535",
            )
        })?;
        let Some(name) = &self.hello_name else { return Ok(Some(server)) };
        let named = server.hello_name(name);
        named.map(Some).map_err(|error| SettingsError::bad("notify.hello-name", error))
    }

    fn with_files(&self, mut server: SmtpServer) -> Result<SmtpServer, SettingsError> {
        if let (Some(user), Some(path)) = (&self.smtp_user, &self.smtp_password_file) {
            server = server.credentials(user, &secret::password(PASSWORD, path)?);
        }
        if let Some(path) = &self.smtp_ca_file {
            let bad = |problem: String| SettingsError::bad("notify.smtp-ca-file", problem);
            let pem = std::fs::read(path).map_err(|error| {
                bad(format!("the file {} cannot be read: {error}", path.display()))
            })?;
            let trusted = server.trust_authorities(&pem);
            server = trusted.map_err(|error| bad(format!("{}: {error}", path.display())))?;
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
            let is_one = address.contains('@');
            let address = is_one.then(|| Mailbox::new(&address)).transpose();
            std::future::ready(address.map_err(Into::into))
        }
    }
}

fn server(text: &str) -> Option<SmtpServer> {
    if let Some(port) = text.strip_prefix("loopback:") {
        return port_number(port).map(SmtpServer::loopback);
    }
    let (scheme, place) = text.split_once("://")?;
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) => (host, Some(port_number(port)?)),
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

/// The number of a port that can be connected to.
fn port_number(text: &str) -> Option<u16> {
    text.parse::<NonZeroU16>().ok().map(NonZeroU16::get)
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

    async fn notice(&self, entry: &AuditEntry) -> Result<(), NotifyError> {
        match self {
            Self::Directory(directory) => directory.notice(entry).await,
            Self::Mail(mail) => mail.notice(entry).await,
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
        for bad in ["loopback:0", "tls://a:0", "starttls://a.example:0"] {
            assert!(server(bad).is_none(), "{bad}");
        }
    }
}
