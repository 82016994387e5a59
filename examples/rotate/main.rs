//! A nightly job that rotates the token of a machine account without a person.
//!
//! ```sh
//! cargo run --example rotate --features sqlite,tokio -- tokens.db robot token.txt
//! ```
//!
//! It ends the former token if nothing has used it for a day, makes the next one,
//! writes it into the file and activates it. Run it again as often as you like,
//! also after a run that has failed or was killed half-way. A program that reads
//! the file takes up a new token when a request with it is answered, and goes on
//! with the old one until then.

mod nightly;

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::{env, fs, io};

use tower_api_token::TokenManager;
use tower_api_token::identity::UserId;
use tower_api_token::store::SqliteStore;
use tower_api_token::token::Token;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [database, robot, file] = &arguments[..] else {
        return Err("say the database, the user and the file for the token".into());
    };
    let robot = UserId::new(robot)?;
    // With the policy, the pepper and the usage recorder of your service.
    let manager = TokenManager::builder(SqliteStore::open(database)?);
    let manager = manager.confirmation(tower_api_token::manage::Confirmation::ByCaller);
    let manager = manager.build().await?;
    if nightly::end_former(&manager, &robot).await? {
        let keep = async |token: &Token| Ok(write_whole(Path::new(file), token)?);
        nightly::make_next(&manager, &robot, keep).await?;
    }
    Ok(())
}

/// Readers see the former content or the whole of the new.
fn write_whole(path: &Path, token: &Token) -> io::Result<()> {
    let next = path.with_extension("next");
    // What a run that was killed has left.
    let _ = fs::remove_file(&next);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next)?;
    io::Write::write_all(&mut file, token.expose_secret().as_bytes())?;
    file.sync_all()?;
    fs::rename(&next, path)
}
