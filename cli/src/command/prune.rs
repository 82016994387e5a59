//! `prune`.

use clap::Args;
use serde_json::json;
use tower_api_token::time::Timestamp;

use super::list::Length;
use super::receiver::audit_log;
use crate::failure::Failure;
use crate::text::counted;
use crate::world::World;

/// Remove entries of all histories that are older than this, for good.
///
/// The last entry of each user stays, and what a receiver has not come past: see
/// `receiver list`. What is younger than an hour stays, too.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  tower-api-token prune --older-than 400d")]
pub(crate) struct PruneArguments {
    /// How old an entry must be, such as 400d.
    #[arg(long, value_name = "TIME")]
    older_than: Length,
}

pub(crate) async fn run(arguments: &PruneArguments, world: &World) -> Result<(), Failure> {
    let Length(age) = arguments.older_than;
    let before = Timestamp::now() - age;
    let log = audit_log(world)?;
    let mut removed = 0;
    loop {
        match log.prune_audit(before).await? {
            0 => break,
            some => removed += some,
        }
    }
    let text = format!("{} from before {before} removed", counted(removed, "entry", "entries"));
    world.output.done(text, &json!({ "removed": removed, "before": before.to_string() }))
}
