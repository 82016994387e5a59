//! Messages by mail.

mod error;
mod mailbox;
mod server;
mod session;
mod text;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lettre::Message;
use lettre::message::header::{
    ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue,
};
use lettre::message::{Body, MultiPart, SinglePart};
use zeroize::Zeroizing;

pub use self::error::{SmtpError, SmtpErrorKind};
pub use self::mailbox::{MailDirectory, Mailbox};
pub use self::server::SmtpServer;
use self::session::{MailObject, deliver};
use self::text::Text;
use super::{ConfirmationMessage, LinkBase, Notifier, NotifyError};
use crate::ValueError;
use crate::audit::AuditEntry;
use crate::token::{RandomSource, SystemRandom};
use crate::user::UserId;

/// Sends confirmation links and notices by mail.
///
/// ```
/// use tower_api_token::user::UserId;
/// use tower_api_token::notify::{LinkBase, Mailbox, SmtpNotifier, SmtpServer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let password = "from a secret store";
/// let server = SmtpServer::tls("mail.example.com")?.credentials("api", password);
/// let directory = |user: UserId| async move {
///     // Ask the host's own table of users here.
///     Ok(Some(Mailbox::new(&format!("{user}@example.com"))?))
/// };
/// let sender = Mailbox::new("api@example.com")?.name("Acme")?;
/// let links = LinkBase::new("https://example.com/profile/verify")?;
/// let notifier = SmtpNotifier::new(server, directory, sender, links);
/// # let _ = notifier;
/// # Ok(())
/// # }
/// ```
///
/// A message goes to the one address that the directory tells at that moment, as
/// plain text and as HTML without anything that is loaded from elsewhere. It
/// says what happened to which account, when, at whose request, and what to do
/// if that was wrong. The confirmation has the link and no other secret, a
/// notice has none; no message holds a token or a digest.
///
/// Each message is sent in a task of its own, so that a client that hangs up
/// does not end it half-way, over a connection of its own, and within a bound.
/// One that cannot be sent is not tried again: the pending token waits, and
/// [`resend_confirmation`](crate::manage::TokenManager::resend_confirmation)
/// sends another code. The cause is an [`SmtpError`].
///
/// It must be called inside a Tokio runtime with its I/O and time drivers. Do
/// not switch on the feature `tracing` of the crate `lettre`: it logs messages,
/// and with them the codes.
#[derive(Clone)]
pub struct SmtpNotifier {
    config: Arc<Config>,
}

/// What every message needs.
#[derive(Clone)]
struct Config {
    server: SmtpServer,
    directory: Arc<dyn MailDirectory>,
    sender: Mailbox,
    links: LinkBase,
    service: String,
    time_limit: Duration,
}

impl SmtpNotifier {
    /// Messages from `sender`, by way of `server`, to the addresses that
    /// `directory` tells, with links that begin with `links`.
    #[must_use]
    pub fn new(
        server: SmtpServer,
        directory: impl MailDirectory,
        sender: Mailbox,
        links: LinkBase,
    ) -> Self {
        let service = sender.domain().to_owned();
        let (directory, time_limit) = (Arc::new(directory), Duration::from_secs(30));
        let config = Config { server, directory, sender, links, service, time_limit };
        Self { config: Arc::new(config) }
    }

    /// What messages call the service that the tokens are for. Control
    /// characters become spaces. Default: the domain of the sender.
    #[must_use]
    pub fn service_name(self, name: &str) -> Self {
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        self.with(|config| config.service = name.chars().map(printable).collect())
    }

    /// How long a message may take, the look-up of its address included; then it
    /// counts as not sent. Default: 30 seconds.
    #[must_use]
    pub fn time_limit(self, limit: Duration) -> Self {
        self.with(|config| config.time_limit = limit)
    }

    fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }

    /// Sends what `write` makes, in a task that outlives the
    /// caller.
    async fn send<W>(&self, user: &UserId, write: W) -> Result<(), NotifyError>
    where
        W: FnOnce(&Config, &Mailbox) -> Result<Content, SmtpError> + Send + 'static,
    {
        let (config, user) = (Arc::clone(&self.config), user.clone());
        let sending = tokio::spawn(async move {
            let limit = config.time_limit;
            let sent = tokio::time::timeout(limit, config.send(&user, write)).await;
            sent.unwrap_or_else(|_| Err(SmtpError::new(SmtpErrorKind::TimedOut)))
        });
        // Only the end of the runtime, or a directory that panics, ends the task.
        let sent = sending.await.unwrap_or_else(|_| Err(SmtpError::new(SmtpErrorKind::Internal)));
        sent.map_err(SmtpError::into_notify_error)
    }
}

#[async_trait]
impl Notifier for SmtpNotifier {
    async fn confirmation(&self, message: &ConfirmationMessage) -> Result<(), NotifyError> {
        let confirmation = message.clone();
        self.send(&message.user, move |config, to| {
            let link = config.links.link(&confirmation.code);
            config.content(to, &Text::confirmation(&config.service, &confirmation, &link))
        })
        .await
    }

    async fn notice(&self, entry: &AuditEntry) -> Result<(), NotifyError> {
        let notice = entry.clone();
        self.send(&entry.user, move |config, to| {
            config.content(to, &Text::notice(&config.service, &notice))
        })
        .await
    }
}

/// What a mail holds, in the form of RFC 5322: as secret as its link.
type Content = Zeroizing<Vec<u8>>;

/// What it means that the directory failed.
fn no_address(cause: Box<dyn Error + Send + Sync>) -> SmtpError {
    let kind = match cause.downcast_ref() {
        Some(
            ValueError::MailAddress
            | ValueError::MailAddressNotAscii
            | ValueError::MailAddressTooLong
            | ValueError::MailNameControlCharacter,
        ) => SmtpErrorKind::Address,
        _ => SmtpErrorKind::Directory,
    };
    SmtpError::new(kind).with_source(cause)
}

impl Config {
    async fn send<W>(&self, user: &UserId, write: W) -> Result<(), SmtpError>
    where
        W: FnOnce(&Self, &Mailbox) -> Result<Content, SmtpError>,
    {
        let to = self.directory.address(user).await.map_err(no_address)?;
        let to = to.ok_or(SmtpError::new(SmtpErrorKind::NoAddress))?;
        let content = write(self, &to)?;
        let (from, to) = (self.sender.envelope(), to.envelope());
        let hello = self.server.hello(self.sender.domain());
        deliver(&self.server, &hello, MailObject { from, to, content: &content }).await
    }

    fn content(&self, to: &Mailbox, text: &Text<'_>) -> Result<Content, SmtpError> {
        let message = Message::builder()
            .from(self.sender.header())
            .to(to.header())
            .subject(&*text.subject)
            .message_id(Some(self.message_id()?))
            .date_now()
            .header(AutoSubmitted)
            .multipart(
                MultiPart::alternative()
                    .singlepart(part(ContentType::TEXT_PLAIN, text.plain()))
                    .singlepart(part(ContentType::TEXT_HTML, text.html())),
            )
            .map_err(|cause| SmtpError::new(SmtpErrorKind::Internal).with_source(cause))?;
        Ok(Zeroizing::new(message.formatted()))
    }

    fn message_id(&self) -> Result<String, SmtpError> {
        let mut random = [0; 16];
        let failed = |cause| SmtpError::new(SmtpErrorKind::Internal).with_source(cause);
        SystemRandom.fill(&mut random).map_err(failed)?;
        Ok(format!("<{:032x}@{}>", u128::from_ne_bytes(random), self.sender.domain()))
    }
}

/// The longest line of a message in bytes, without its end (RFC 5322 section
/// 2.1.1).
const LONGEST_LINE: usize = 998;

/// A part as it is, where every server takes it so: an encoding would break a
/// link into lines, and some programs lose it there.
fn part(kind: ContentType, text: String) -> SinglePart {
    let is_plain = text.is_ascii() && text.lines().all(|line| line.len() <= LONGEST_LINE);
    let builder = SinglePart::builder().header(kind);
    if is_plain {
        let encoding = ContentTransferEncoding::SevenBit;
        builder.body(Body::dangerous_pre_encoded(text.into_bytes(), encoding))
    } else {
        builder.body(text)
    }
}

/// Tells programs that answer mail by themselves not to (RFC 3834 section 5).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), String::from("auto-generated"))
    }
}

impl fmt::Debug for SmtpNotifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpNotifier")
            .field("server", &self.config.server)
            .field("sender", &self.config.sender)
            .field("links", &self.config.links)
            .field("time_limit", &self.config.time_limit)
            .finish_non_exhaustive()
    }
}
