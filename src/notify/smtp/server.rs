//! The server that takes the mail.

use crate::ConfigError;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{SUBMISSION_PORT, SUBMISSIONS_PORT};

/// A mail server, and how to speak to it.
///
/// ```
/// use tower_api_token::notify::SmtpServer;
///
/// # let password = "from a secret store";
/// let server = SmtpServer::tls("mail.example.com")?.credentials("api", password);
/// # Ok::<(), tower_api_token::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct SmtpServer {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    hello_name: Option<ClientId>,
    pub(super) credentials: Option<Credentials>,
    roots: Vec<Certificate>,
}

#[derive(Clone)]
pub(super) enum Security {
    Tls(TlsParameters),
    StartTls(TlsParameters),
    None,
}

impl SmtpServer {
    /// A server that is encrypted from the first byte on (RFC 8314), at port
    /// 465: the best choice.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if this is not the name or the address of a host.
    pub fn tls(host: &str) -> Result<Self, ConfigError> {
        let security = Security::Tls(trusted(host, &[])?);
        Ok(Self::new(host, SUBMISSIONS_PORT, security))
    }

    /// A server that is asked to encrypt at the start (STARTTLS, RFC 3207), at
    /// port 587. One that will not gets no mail and no credentials. Prefer
    /// [`tls`](Self::tls) where there is a choice: whoever stands between can
    /// slip in answers before the encryption begins, and have a message count as
    /// sent that the server has refused.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if this is not the name or the address of a host.
    pub fn starttls(host: &str) -> Result<Self, ConfigError> {
        let security = Security::StartTls(trusted(host, &[])?);
        Ok(Self::new(host, SUBMISSION_PORT, security))
    }

    /// A mail program on this machine (127.0.0.1), not encrypted.
    #[must_use]
    pub fn loopback(port: u16) -> Self {
        Self::new(&Ipv4Addr::LOCALHOST.to_string(), port, Security::None)
    }

    fn new(host: &str, port: u16, security: Security) -> Self {
        let host = host.to_owned();
        Self { host, port, security, hello_name: None, credentials: None, roots: Vec::new() }
    }

    /// The port. Default: the standard one.
    #[must_use]
    pub const fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Signs in with this name and password. Default: no signing in.
    #[must_use]
    pub fn credentials(mut self, name: &str, password: &str) -> Self {
        self.credentials = Some(Credentials::new(name.to_owned(), password.to_owned()));
        self
    }

    /// What this machine calls itself. Default: its host name, if that is a full
    /// one, which some servers insist on; else the domain of the sender.
    ///
    /// # Errors
    ///
    /// [`ConfigError::MailServerHost`] if this is not the name of a host.
    pub fn hello_name(mut self, name: &str) -> Result<Self, ConfigError> {
        if !crate::notify::link::is_host_name(name) {
            return Err(ConfigError::MailServerHost);
        }
        self.hello_name = Some(ClientId::Domain(name.to_owned()));
        Ok(self)
    }

    /// Trusts certificates that these authorities have signed, in PEM form, too.
    /// Default: only the authorities that Mozilla trusts. The name in the
    /// server's certificate is always checked.
    ///
    /// # Errors
    ///
    /// [`ConfigError::MailServerCertificate`] if there is none in it, or one that
    /// cannot be read.
    pub fn trust_authorities(mut self, pem: &[u8]) -> Result<Self, ConfigError> {
        let is_any = pem.windows(PEM_START.len()).any(|window| window == PEM_START);
        let roots = Certificate::from_pem(pem).ok().filter(|_| is_any);
        self.roots.push(roots.ok_or(ConfigError::MailServerCertificate)?);
        let trusted = trusted(&self.host, &self.roots)?;
        self.security = match self.security {
            Security::Tls(_) => Security::Tls(trusted),
            Security::StartTls(_) => Security::StartTls(trusted),
            Security::None => Security::None,
        };
        Ok(self)
    }
}

impl SmtpServer {
    /// What this machine calls itself to the server, for mail of a sender in
    /// that domain.
    pub(super) fn hello(&self, sender: &str) -> ClientId {
        let host = || match ClientId::default() {
            ClientId::Domain(name) => name,
            _ => String::new(),
        };
        self.hello_name.clone().unwrap_or_else(|| full_name(&host(), sender))
    }
}

/// A name with a dot in it, or an address literal (RFC 5321 section 4.1.3).
fn full_name(host: &str, sender: &str) -> ClientId {
    let is_full = |name: &&str| name.contains('.') && crate::notify::link::is_host_name(name);
    let name = [host, sender].into_iter().find(is_full);
    name.map_or(ClientId::Ipv4(Ipv4Addr::LOCALHOST), |name| ClientId::Domain(name.to_owned()))
}

const PEM_START: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// How long to wait for the connection alone, so that a dead address leaves
/// time for the next one of the same name.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(10);

fn trusted(host: &str, roots: &[Certificate]) -> Result<TlsParameters, ConfigError> {
    if host.parse::<IpAddr>().is_err() && !crate::notify::link::is_host_name(host) {
        return Err(ConfigError::MailServerHost);
    }
    let parameters = TlsParameters::builder(host.to_owned());
    let add = |parameters: lettre::transport::smtp::client::TlsParametersBuilder,
               root: &Certificate| { parameters.add_root_certificate(root.clone()) };
    roots.iter().fold(parameters, add).build().map_err(|_| ConfigError::MailServerCertificate)
}

impl fmt::Debug for SmtpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let security = match self.security {
            Security::Tls(_) => "TLS",
            Security::StartTls(_) => "STARTTLS",
            Security::None => "none",
        };
        f.debug_struct("SmtpServer")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("security", &security)
            .field("credentials", &self.credentials.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_names_the_rule_it_breaks() {
        for bad in ["", "a b", "mail.example.com\r\nQUIT", "smtps://mail.example.com", "a:25"] {
            assert_eq!(SmtpServer::tls(bad).unwrap_err(), ConfigError::MailServerHost, "{bad:?}");
            assert_eq!(SmtpServer::starttls(bad).unwrap_err(), ConfigError::MailServerHost);
            let hello = SmtpServer::loopback(25).hello_name(bad);
            assert_eq!(hello.unwrap_err(), ConfigError::MailServerHost);
        }
        for good in ["mail.example.com", "192.0.2.1", "::1", "localhost"] {
            let server = SmtpServer::tls(good).unwrap();
            for bad in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n"] {
                let error = server.clone().trust_authorities(bad.as_bytes()).unwrap_err();
                assert_eq!(error, ConfigError::MailServerCertificate, "{bad}");
            }
        }
    }

    #[test]
    fn a_server_is_greeted_by_a_full_name() {
        for (host, sender, name) in [
            ("mail.acme.example", "api.example", "mail.acme.example"),
            ("vm", "api.example", "api.example"),
            ("4f1d2c3b4a59", "api.example", "api.example"),
            ("vm.", "api.example", "api.example"),
            ("a_b.example", "api.example", "api.example"),
            ("", "localhost", "[127.0.0.1]"),
            ("vm", "localhost", "[127.0.0.1]"),
        ] {
            assert_eq!(full_name(host, sender).to_string(), name, "{host} {sender}");
        }
        let named = SmtpServer::loopback(25).hello_name("node1").unwrap();
        assert_eq!(named.hello("api.example").to_string(), "node1");
    }

    #[test]
    fn debug_shows_no_credentials() {
        let server = SmtpServer::tls("mail.example.com").unwrap().credentials("api", "hunter2");
        let shown = format!("{server:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("api"), "{shown}");
    }
}
