//! Where the mail goes: to an SMTP server, or to files.

use std::error::Error;
use std::net::SocketAddr;

use tower_api_token::TokensBuilder;
use tower_api_token::notify::{DirectoryNotifier, LinkBase, Mailbox, SmtpNotifier, SmtpServer};
use tower_api_token::user::UserId;

use crate::{Options, TOKENS};

/// Makes the manager tell its users.
pub(crate) fn notified(
    builder: TokensBuilder,
    options: &Options,
    address: SocketAddr,
) -> Result<TokensBuilder, Box<dyn Error>> {
    // Links lead to where this program listens, whatever a request says.
    let links = LinkBase::new(&format!("http://{address}{TOKENS}/verify"))?;
    let Some(server) = options.smtp else {
        let directory = options.directory.join("mail");
        std::fs::create_dir_all(&directory)?;
        return Ok(builder.notifier(DirectoryNotifier::new(directory)?.link_base(links)));
    };
    let sender = Mailbox::new("tokens@fruit.example")?.name("Fruit API")?;
    let server = SmtpServer::loopback(server.port());
    let mail = SmtpNotifier::new(server, address_of, sender, links);
    Ok(builder.notifier(mail.service_name("Fruit API")))
}

/// A host would ask its own table of users.
async fn address_of(user: UserId) -> Result<Option<Mailbox>, Box<dyn Error + Send + Sync>> {
    Ok(Some(Mailbox::new(&format!("{user}@fruit.example"))?))
}
