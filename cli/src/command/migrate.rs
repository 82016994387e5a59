//! `migrate`.

use clap::Args;
use serde_json::json;
use tower_api_token::notify::visible;

use crate::arguments::Common;
use crate::failure::Failure;
use crate::output::Output;
use crate::store::{Opened, StoreAddress};
use crate::world;

/// Make the store's tables, or bring them up to date.
///
/// Several machines may run it at once. For SQLite it makes the file, readable by
/// its owner alone.
///
/// SQLite and PostgreSQL: it may be run at every start. Redis: run it at set-up and
/// at upgrades only, for on a server that has lost its data it begins an empty
/// deployment, in which every token is unknown.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  tower-api-token migrate --store sqlite:tokens.db")]
pub(crate) struct MigrateArguments {}

pub(crate) async fn run(common: &Common, output: Output) -> Result<(), Failure> {
    let settings = world::settings(common)?;
    let opened = Opened::migrate(&settings).await.map_err(Failure::from);
    opened.map_err(|failure| failure.located(&settings.origins))??;
    let address = StoreAddress::of(&settings)?.to_string();
    output.done(format!("{} is ready", visible(&address)), &json!({ "store": address }))
}
