//! Where the mail goes: to files, or to an SMTP server.

use std::error::Error;
use std::net::SocketAddr;

use tower_api_token::manage::TokenManagerBuilder;
use tower_api_token::notify::DirectoryNotifier;

use crate::Options;

pub(crate) fn notified(
    builder: TokenManagerBuilder,
    options: &Options,
    address: SocketAddr,
) -> Result<TokenManagerBuilder, Box<dyn Error>> {
    let _ = address;
    let directory = options.directory.join("mail");
    std::fs::create_dir_all(&directory)?;
    Ok(builder.notifier(DirectoryNotifier::new(directory)?))
}
