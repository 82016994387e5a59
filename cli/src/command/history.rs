//! `history`.

use clap::Args;
use serde_json::Value;
use tower_api_token::account::Revision;
use tower_api_token::audit::AuditEntry;
use tower_api_token::notify::visible;
use tower_api_token::store::PageSize;

use super::show;
use crate::failure::Failure;
use crate::output::table;
use crate::world::{World, user};

/// Show what has happened to a user's account, the latest first.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  tower-api-token history alice --limit 20")]
pub(crate) struct HistoryArguments {
    /// The user.
    user: String,
    /// At most so many entries.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: usize,
    /// Only entries older than this revision.
    #[arg(long, value_name = "REVISION")]
    before: Option<u64>,
}

pub(crate) async fn run(arguments: &HistoryArguments, world: &World) -> Result<(), Failure> {
    let user = user(&arguments.user)?;
    let (mut left, mut before) = (arguments.limit, arguments.before.map(Revision::from_u64));
    let mut entries = Vec::new();
    while left > 0 {
        let page = world.manager.history(&user, before, PageSize::clamped(left)).await?;
        left = left.saturating_sub(page.items.len());
        entries.extend(page.items);
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    if entries.is_empty() && world.store_has_no(&user).await? {
        return Err(Failure::NoSuchUser);
    }
    if world.output.is_json() {
        return entries
            .iter()
            .try_for_each(|entry| world.output.value("", &show::entry_value(entry)));
    }
    let rows: Vec<_> = entries.iter().map(row).collect();
    world.output.value(&table(&["REVISION", "AT", "BY", "EVENT"], &rows), &Value::Null)
}

fn row(entry: &AuditEntry) -> Vec<String> {
    let actor = visible(&entry.actor).to_string();
    vec![entry.revision.as_u64().to_string(), entry.at.to_string(), actor, entry.event.to_string()]
}
