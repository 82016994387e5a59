//! A nightly job that rotates the token of a machine account without a person.
//!
//! ```sh
//! cargo run --example rotate --features sqlite,tokio -- tokens.db robot token.txt
//! ```
//!
//! It ends the former token if nothing has used it for a day, makes the next one,
//! keeps it in a file of its own beside `token.txt`, activates it and then gives that
//! file the name. So whatever a program reads there is accepted, for a day at least.
//! It may run more often, though not twice at once, and after a run that has failed
//! or was killed half-way. A program that goes on with the former token holds up the
//! rotation and not itself, if it makes a request a day and the service writes last
//! uses. The database is the service's: migrated, with methods granted to the robot.

mod nightly;
mod token_file;

use std::env;

use tower_api_token::TokenManager;
use tower_api_token::manage::Confirmation;
use tower_api_token::store::SqliteStore;
use tower_api_token::time::Timestamp;
use tower_api_token::user::UserId;

use self::token_file::TokenFile;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [database, robot, file] = &arguments[..] else {
        return Err("say the database, the user and the file for the token".into());
    };
    let robot = UserId::new(robot)?;
    // With the policy, the pepper and the usage recorder of your service.
    let manager = TokenManager::builder(SqliteStore::open(database)?);
    let manager = manager.confirmation(Confirmation::ByCaller).build().await?;
    let now = Timestamp::now();
    let rotated = nightly::rotate(&manager, &robot, &TokenFile::new(file), now).await?;
    println!(
        "{}",
        if rotated { "a new token is published" } else { "the former token may be in use" }
    );
    Ok(())
}
