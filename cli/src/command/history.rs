//! `history`.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::time::sleep;
use tower_api_token::account::Revision;
use tower_api_token::audit::AuditEntry;
use tower_api_token::notify::visible;
use tower_api_token::store::{AuditItem, AuditPosition, PageSize};
use tower_api_token::user::UserId;

use super::show;
use crate::failure::Failure;
use crate::output::table;
use crate::world::{World, user};

/// Show what has happened to a user's account, the latest first; or to all accounts,
/// in order.
///
/// With --all each entry has its position, by which a later run goes on: what was read
/// is never skipped or given twice, whatever is changed at the same time. With --json
/// each line is one entry, ready to be shipped to a log system.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  tower-api-token history alice --limit 20\n  \
                        tower-api-token history --all --since 4711 --follow --json")]
pub(crate) struct HistoryArguments {
    /// The user.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    user: Option<String>,
    /// At most so many entries; with --all all of them by default.
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
    /// Only entries older than this revision.
    #[arg(long, value_name = "REVISION", conflicts_with = "all")]
    before: Option<u64>,
    /// What has happened to all accounts, the earliest first.
    #[arg(long)]
    all: bool,
    /// Only what stands behind this position.
    #[arg(long, value_name = "POSITION", conflicts_with = "user")]
    since: Option<u64>,
    /// Go on with what happens from now on, until the program is stopped.
    #[arg(long, conflicts_with_all = ["user", "limit"])]
    follow: bool,
}

/// How often the log is looked at for more.
const POLL: Duration = Duration::from_secs(1);

pub(crate) async fn run(arguments: &HistoryArguments, world: &World) -> Result<(), Failure> {
    match &arguments.user {
        Some(name) => of_user(&user(name)?, arguments, world).await,
        None => of_all(arguments, world).await,
    }
}

/// The log of the store, a page at a time, so that any number of entries fits into
/// memory.
async fn of_all(arguments: &HistoryArguments, world: &World) -> Result<(), Failure> {
    let mut after = AuditPosition::from_u64(arguments.since.unwrap_or_default());
    let mut left = arguments.limit.unwrap_or(usize::MAX);
    while left > 0 {
        let page = world.manager.audit(after, PageSize::clamped(left)).await?;
        left = left.saturating_sub(page.len());
        for (position, item) in &page {
            after = *position;
            let (text, value) = logged(*position, item);
            world.output.value(&text, &value)?;
        }
        match page.is_empty() {
            true if arguments.follow => sleep(POLL).await,
            true => break,
            false => {}
        }
    }
    Ok(())
}

/// One line of the log, for people and for programs.
fn logged(position: AuditPosition, item: &AuditItem) -> (String, Value) {
    let position = position.as_u64();
    let (text, mut value) = match item {
        AuditItem::Entry(entry) => {
            let (user, actor) = (visible(&entry.user), visible(&entry.actor));
            (
                format!("{position} {} {user}: {}, by {actor}\n", entry.at, entry.event),
                show::entry_value(entry),
            )
        }
        AuditItem::Erased(erased) => {
            let actor = visible(&erased.actor);
            let text = format!("{position} {} A user was erased, by {actor}\n", erased.at);
            (text, show::erased_value(erased))
        }
        AuditItem::Unreadable { user, at } => {
            let whose = user.as_ref().map(|user| format!(" {}:", visible(user)));
            let text = format!(
                "{position} {at}{} An entry that this version cannot read\n",
                whose.unwrap_or_default()
            );
            (text, json!({"at": at, "user": user, "event": item.name()}))
        }
        // A version that knows more has written it.
        _ => (format!("{position}\n"), Value::Null),
    };
    if let Value::Object(members) = &mut value {
        members.insert("position".to_owned(), position.into());
    }
    (text, value)
}

async fn of_user(
    user: &UserId,
    arguments: &HistoryArguments,
    world: &World,
) -> Result<(), Failure> {
    let mut left = arguments.limit.unwrap_or(100);
    let mut before = arguments.before.map(Revision::from_u64);
    let mut entries = Vec::new();
    while left > 0 {
        let page = world.manager.history(user, before, PageSize::clamped(left)).await?;
        left = left.saturating_sub(page.items.len());
        entries.extend(page.items);
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    if entries.is_empty() && world.store_has_no(user).await? {
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
