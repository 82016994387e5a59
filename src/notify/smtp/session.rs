//! One conversation with a mail server, for one message.
//!
//! Each message has a connection of its own. A conversation that is given up
//! half-way leaves the server in a state which nobody knows: on a connection
//! that is used again, the next message could get its answers, or end up behind
//! the half that was sent.

use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::authentication::Mechanism;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Severity;

use super::server::{CONNECT_LIMIT, Security};
use super::{SmtpError, SmtpErrorKind, SmtpServer};

/// How long to wait for a server's farewell, while nobody else waits.
const FAREWELL_LIMIT: Duration = Duration::from_secs(5);

/// What is handed over: envelope and content (RFC 5321 section 2.3.1).
pub(super) struct MailObject<'a> {
    pub(super) from: Address,
    pub(super) to: Address,
    pub(super) content: &'a [u8],
}

/// Hands over the message. It is only done when the server has said that it
/// takes responsibility for it.
pub(super) async fn deliver(
    server: &SmtpServer,
    hello: &ClientId,
    mail: MailObject<'_>,
) -> Result<(), SmtpError> {
    let mut connection = open(server, hello).await?;
    let MailObject { from, to, content } = mail;
    let told = connection.command(Mail::new(Some(from), Vec::new())).await;
    told.map_err(|error| SmtpError::answered(SmtpErrorKind::Sender, error))?;
    let told = connection.command(Rcpt::new(to, Vec::new())).await;
    told.map_err(|error| SmtpError::answered(SmtpErrorKind::Recipient, error))?;
    let told = connection.command(Data).await;
    told.map_err(|error| SmtpError::answered(SmtpErrorKind::Message, error))?;
    let told = connection.message(content).await;
    let told = told.map_err(|error| SmtpError::silenced(SmtpErrorKind::Message, &error))?;
    if told.code().severity != Severity::PositiveCompletion {
        return Err(SmtpError::new(SmtpErrorKind::Message));
    }
    // The message is the server's now, whatever becomes of the farewell.
    drop(tokio::spawn(farewell(connection)));
    Ok(())
}

async fn farewell(mut connection: AsyncSmtpConnection) {
    let _ = tokio::time::timeout(FAREWELL_LIMIT, connection.quit()).await;
}

async fn open(server: &SmtpServer, hello: &ClientId) -> Result<AsyncSmtpConnection, SmtpError> {
    let address = (&*server.host, server.port);
    let (tls, upgrade) = match server.security.clone() {
        Security::Tls(parameters) => (Some(parameters), None),
        Security::StartTls(parameters) => (None, Some(parameters)),
        Security::None => (None, None),
    };
    let connecting =
        AsyncSmtpConnection::connect_tokio1(address, Some(CONNECT_LIMIT), hello, tls, None);
    let mut connection = connecting.await.map_err(not_connected)?;
    if let Some(parameters) = upgrade {
        let upgraded = connection.starttls(parameters, hello).await;
        upgraded.map_err(|error| SmtpError::answered(SmtpErrorKind::Encryption, error))?;
    }
    if let Some(credentials) = &server.credentials {
        let mechanisms = [Mechanism::Plain, Mechanism::Login];
        let signed_in = connection.auth(&mechanisms, credentials).await;
        signed_in.map_err(|error| SmtpError::silenced(SmtpErrorKind::Authentication, &error))?;
    }
    Ok(connection)
}

fn not_connected(error: lettre::transport::smtp::Error) -> SmtpError {
    let kind =
        if is_distrust(&error) { SmtpErrorKind::Encryption } else { SmtpErrorKind::Connection };
    SmtpError::answered(kind, error)
}

/// An error of TLS comes as one of input and output: `InvalidData`.
fn is_distrust(error: &lettre::transport::smtp::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let failure = error.downcast_ref::<std::io::Error>();
        if failure.is_some_and(|failure| failure.kind() == std::io::ErrorKind::InvalidData) {
            return true;
        }
        cause = error.source();
    }
    error.is_tls()
}
