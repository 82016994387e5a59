//! Messages to other systems over HTTP, signed in the form of Standard Webhooks 1.0.

mod address;
mod connection;
mod signature;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use http::Uri;
use http::uri::Scheme;
use serde_json::json;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use self::signature::Signed;
pub use self::signature::WebhookSecret;
use super::{DeliveryError, Receiver};
use crate::ConfigError;
use crate::audit::AccountErased;
use crate::store::{AuditItem, AuditPosition};
use crate::time::Timestamp;

/// Sends each entry of the audit log to one address, as a signed `POST` of a JSON
/// document.
///
/// ```text
/// POST /hooks/tokens HTTP/1.1
/// content-type: application/json
/// webhook-id: 4711-1767323045678
/// webhook-timestamp: 1767323046
/// webhook-signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=
///
/// {"type":"token_ended","timestamp":"2026-01-02T03:04:05.678Z","data":{"user":"alice","...":0}}
/// ```
///
/// `data` is the [`AuditEntry`](crate::audit::AuditEntry) in the form of the feature
/// `serde`, and its `position` in the log; `type` is the [name](crate::audit::Event::name) of its event, or
/// `account_erased`. It holds no secret. The signature is that of
/// [Standard Webhooks](https://www.standardwebhooks.com), for which there are libraries
/// in many languages; `webhook-id` is the same when a message is sent again.
///
/// Any status of 200 to 299 says that the message was taken. Everything else is tried
/// again later, redirects too, which are not followed.
///
/// ```
/// use tower_api_token::delivery::{Webhook, WebhookSecret};
///
/// let secret = WebhookSecret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
/// let webhook = Webhook::new("https://example.com/hooks/tokens", secret)?;
/// # Ok::<(), tower_api_token::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Webhook {
    uri: Uri,
    secrets: Vec<WebhookSecret>,
    private_addresses: bool,
    tls: Arc<ClientConfig>,
    wants: Arc<dyn Fn(&AuditItem) -> bool + Send + Sync>,
}

impl Webhook {
    /// Sends to `url`, signed with `secret`.
    ///
    /// The address is `https`, or `http` of this machine itself (`localhost`,
    /// `127.0.0.1`, `[::1]`), and holds no user name and no password.
    ///
    /// # Errors
    ///
    /// [`ConfigError::WebhookAddress`] if it is no such address.
    pub fn new(url: &str, secret: WebhookSecret) -> Result<Self, ConfigError> {
        let uri: Uri = url.parse().map_err(|_| ConfigError::WebhookAddress)?;
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or(ConfigError::WebhookAddress)?;
        let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        let is_secure = uri.scheme() == Some(&Scheme::HTTPS);
        let is_local = uri.scheme() == Some(&Scheme::HTTP) && address::is_this_machine(host);
        if has_user || !(is_secure || is_local) {
            return Err(ConfigError::WebhookAddress);
        }
        Ok(Self {
            uri,
            secrets: vec![secret],
            private_addresses: false,
            tls: Arc::new(connection::usual_tls()),
            wants: Arc::new(|_| true),
        })
    }

    /// Signs with this secret too, while one takes the place of the other: a receiver
    /// takes a message if it knows either.
    #[must_use]
    pub fn also_signed_with(mut self, secret: WebhookSecret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// Sends also to addresses that are not of the public Internet, such as those of a
    /// private network. Default: only to public ones, whatever a name resolves to, so
    /// that no name leads to a service that only this machine reaches.
    #[must_use]
    pub const fn allow_private_addresses(mut self, allow: bool) -> Self {
        self.private_addresses = allow;
        self
    }

    /// Which entries are sent. Default: all.
    #[must_use]
    pub fn only(mut self, wants: impl Fn(&AuditItem) -> bool + Send + Sync + 'static) -> Self {
        self.wants = Arc::new(wants);
        self
    }

    /// Trusts these certificate authorities, in place of those of Mozilla's programme.
    #[must_use]
    pub fn trust(mut self, authorities: RootCertStore) -> Self {
        self.tls = Arc::new(connection::tls(authorities));
        self
    }
}

/// Without the secrets, and without the path of the address, which may be one.
impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("host", &self.uri.host()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Receiver for Webhook {
    fn wants(&self, item: &AuditItem) -> bool {
        (self.wants)(item)
    }

    async fn receive(&self, at: AuditPosition, item: &AuditItem) -> Result<(), DeliveryError> {
        let message = Signed::new(id(at, item), Timestamp::now(), body(at, item), &self.secrets);
        let status = connection::post(&self.uri, self.private_addresses, &self.tls, message).await;
        match status.map_err(DeliveryError::later)? {
            status if status.is_success() => Ok(()),
            status => Err(DeliveryError::later(format!("it answered {}", status.as_u16()))),
        }
    }
}

/// The same for the same entry, and another for another, also where a store that was
/// restored gives a position to another entry.
fn id(at: AuditPosition, item: &AuditItem) -> String {
    format!("{}-{}", at.as_u64(), item.at().unix_millis())
}

fn body(at: AuditPosition, item: &AuditItem) -> String {
    let mut data = match item {
        AuditItem::Entry(entry) => json!(entry),
        AuditItem::Erased(AccountErased { at, actor, .. }) => json!({"at": at, "actor": actor}),
        AuditItem::Unreadable { user, at } => json!({"at": at, "user": user}),
    };
    data["position"] = json!(at.as_u64());
    json!({"type": item.name(), "timestamp": item.at(), "data": data}).to_string()
}
