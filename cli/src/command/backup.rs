//! `backup`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tower_api_token::notify::visible;

use crate::arguments::Common;
use crate::failure::Failure;
use crate::output::Output;
use crate::store::{Opened, StoreAddress};
use crate::world;

/// Copy a SQLite store, as it is at one moment, while others use it.
///
/// The copy is its owner's alone and marked as a backup: nothing serves from it
/// until it was restored. For PostgreSQL and Redis there are tools of theirs.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  tower-api-token backup tokens-$(date +%F).db")]
pub(crate) struct BackupArguments {
    /// The copy. A file that exists is not overwritten.
    file: PathBuf,
}

pub(crate) async fn run(
    arguments: &BackupArguments,
    common: &Common,
    output: Output,
) -> Result<(), Failure> {
    let settings = world::settings(common)?;
    match StoreAddress::of(&settings)? {
        StoreAddress::Sqlite(_) => {}
        StoreAddress::Postgres(_) => return Err(Failure::NoBackup(POSTGRES)),
        StoreAddress::Redis(_) => return Err(Failure::NoBackup(REDIS)),
    }
    if let Opened::Sqlite(store) = Opened::open_small(&settings).await? {
        store.backup(&arguments.file).await?;
    }
    let file = arguments.file.display().to_string();
    output.done(format!("backup written to {}", visible(&file)), &json!({ "backup": file }))
}

const POSTGRES: &str = "PostgreSQL's own tools back it up: pg_dump --format=custom \
                        --schema=tower_api_token --file=FILE DATABASE, or archive its log";

const REDIS: &str = "Redis's own tools back it up: redis-cli -h HOST --rdb FILE, or copy its \
                     append-only directory as its documentation says";
