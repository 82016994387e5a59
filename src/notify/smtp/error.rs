//! Why a message was not sent.

use std::error::Error;
use std::{fmt, io};

use crate::notify::NotifyError;

/// A message was not handed over to the mail server; it is the
/// [`source`](Error::source) of a [`NotifyError`](crate::notify::NotifyError).
///
/// It never holds the message. What a server says once it has the message, or
/// the password, is not kept either: some servers repeat what they refuse.
#[derive(Debug)]
pub struct SmtpError {
    kind: SmtpErrorKind,
    reply: Option<u16>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What went wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SmtpErrorKind {
    /// The directory has no address of this user.
    NoAddress,
    /// The user has an address that mail cannot be sent to: the directory failed
    /// with the [`ValueError`](crate::ValueError) of a mail address, the
    /// [`source`](Error::source) of this.
    Address,
    /// The directory could not tell the address.
    Directory,
    /// The server cannot be reached, or does not speak SMTP.
    Connection,
    /// The server does not encrypt, or its certificate is not one that is
    /// trusted for its name.
    Encryption,
    /// The server does not accept the credentials.
    Authentication,
    /// The server does not accept mail from this sender.
    Sender,
    /// The server does not accept mail for this recipient.
    Recipient,
    /// The server does not accept the message, or the connection was lost
    /// before it had.
    Message,
    /// The server took longer than the notifier waits.
    TimedOut,
    /// There was no randomness for the message's id, or it was interrupted by
    /// the end of the program.
    Internal,
}

impl SmtpError {
    pub(super) const fn new(kind: SmtpErrorKind) -> Self {
        Self { kind, reply: None, source: None }
    }

    pub(super) fn with_source(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// As the notifier says it: a user without an address has none later either, and a
    /// server that refuses a recipient for good (RFC 5321 section 4.2.1) goes on to.
    pub(super) fn into_notify_error(self) -> NotifyError {
        let refused = self.reply.is_some_and(|reply| (500..600).contains(&reply));
        let is_permanent = match self.kind {
            SmtpErrorKind::NoAddress | SmtpErrorKind::Address => true,
            SmtpErrorKind::Recipient | SmtpErrorKind::Message => refused,
            _ => false,
        };
        if is_permanent { NotifyError::permanent(self) } else { NotifyError::new(self) }
    }

    /// The failure with the server's answer, if it was one.
    pub(super) fn answered(kind: SmtpErrorKind, error: lettre::transport::smtp::Error) -> Self {
        Self { reply: reply(&error), ..Self::new(kind).with_source(error) }
    }

    /// The same when the server knows a secret that it could repeat: of the
    /// cause only the kind of an operating system's error is kept.
    pub(super) fn silenced(kind: SmtpErrorKind, error: &lettre::transport::smtp::Error) -> Self {
        let mut cause: Option<&(dyn Error + 'static)> = Some(error);
        let mut failure = Self { reply: reply(error), ..Self::new(kind) };
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                failure = failure.with_source(io::Error::from(error.kind()));
            }
            cause = error.source();
        }
        failure
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> SmtpErrorKind {
        self.kind
    }

    /// The code of the server's answer, such as 550, if it was one that failed
    /// the message (RFC 5321 section 4.2). From 500 on another attempt gets the
    /// same answer.
    #[must_use]
    pub const fn reply(&self) -> Option<u16> {
        self.reply
    }
}

fn reply(error: &lettre::transport::smtp::Error) -> Option<u16> {
    error.status().map(u16::from)
}

impl fmt::Display for SmtpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            SmtpErrorKind::NoAddress => "the user has no mail address",
            SmtpErrorKind::Address => {
                "the user's mail address is not supported: only plain addresses in ASCII are"
            }
            SmtpErrorKind::Directory => "the user's mail address could not be found out",
            SmtpErrorKind::Connection => "the mail server could not be reached",
            SmtpErrorKind::Encryption => "the mail server could not be trusted",
            SmtpErrorKind::Authentication => "the mail server did not accept the credentials",
            SmtpErrorKind::Sender => "the mail server did not accept the sender",
            SmtpErrorKind::Recipient => "the mail server did not accept the recipient",
            SmtpErrorKind::Message => "the mail server did not accept the message",
            SmtpErrorKind::TimedOut => "the mail server took too long",
            SmtpErrorKind::Internal => "the message could not be made",
        })?;
        self.reply.map_or(Ok(()), |reply| write!(f, " (answer {reply})"))
    }
}

impl Error for SmtpError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
