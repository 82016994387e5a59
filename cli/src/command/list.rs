//! `user list`.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tower_api_token::manage::{AccountFilter, AccountSummary};
use tower_api_token::store::PageSize;
use tower_api_token::token::PepperVersion;

use super::show;
use crate::failure::Failure;
use crate::output::{Output, table};
use crate::settings::Time;
use crate::world::{World, user};

/// List the users in the byte order of their names, or those that something holds of.
///
/// Of several conditions all must hold. The table shows when the first of a user's
/// tokens ends.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  tower-api-token user list --after alice --limit 50\n  \
                        tower-api-token user list --expiring-within 7d --json")]
pub(crate) struct ListArguments {
    /// Begin behind this user.
    #[arg(long, value_name = "USER")]
    after: Option<String>,
    /// At most so many users.
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
    /// Only users of whom a token ends within this time, such as 7d.
    #[arg(long, value_name = "TIME")]
    expiring_within: Option<Length>,
    /// Only users who have tokens and have used none of them for this time, such as 90d.
    #[arg(long, value_name = "TIME")]
    unused_for: Option<Length>,
    /// Only users who have a backup.
    #[arg(long)]
    on_backup: bool,
    /// Only users of whom a token was made under this version of the pepper; 0 for
    /// none.
    #[arg(long, value_name = "VERSION")]
    pepper: Option<u16>,
    /// Only users whose access is suspended.
    #[arg(long)]
    suspended: bool,
}

impl ListArguments {
    fn filter(&self) -> AccountFilter {
        let mut filter = AccountFilter::default();
        filter.expiring_within = self.expiring_within.map(|Length(time)| time);
        filter.unused_for = self.unused_for.map(|Length(time)| time);
        filter.on_backup = self.on_backup;
        filter.pepper = self.pepper.map(PepperVersion::from_u16);
        filter.suspended = self.suspended;
        filter
    }
}

/// A length of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Length(pub(super) Duration);

impl FromStr for Length {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = "a time is a whole number and s, m, h or d, such as 7d";
        Time::parse(text).map(|Time(time)| Self(time)).ok_or(form)
    }
}

/// A page at a time, so that any number of users fits into memory.
pub(crate) async fn run(arguments: &ListArguments, world: &World) -> Result<(), Failure> {
    let filter = arguments.filter();
    let finds_all = filter == AccountFilter::default();
    let mut after = arguments.after.as_deref().map(user).transpose()?;
    let mut left = arguments.limit.unwrap_or(usize::MAX);
    let mut list = List::of(world.output, !finds_all);
    while left > 0 {
        let size = if finds_all { PageSize::clamped(left) } else { PageSize::MAX };
        let page = world.manager.list_where(&filter, after.as_ref(), size).await?;
        let found = page.items.get(..left).unwrap_or(&page.items);
        list.print(found)?;
        left -= found.len();
        after = page.next;
        if after.is_none() {
            break;
        }
        list.progress.inc(size.get() as u64);
    }
    list.progress.finish_and_clear();
    Ok(())
}

/// What is printed of it, and how far it has come.
struct List {
    output: Output,
    /// What stands above the first page.
    head: Option<[&'static str; 7]>,
    progress: ProgressBar,
}

impl List {
    /// Somebody who looks for few users among many is shown that it goes on: on a
    /// terminal, and nowhere else.
    fn of(output: Output, is_searching: bool) -> Self {
        let progress = match is_searching {
            true => ProgressBar::no_length(),
            false => ProgressBar::hidden(),
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} users looked at") {
            progress.set_style(style);
        }
        let head = ["USER", "METHODS", "PRIMARY", "BACKUP", "PENDING", "ENDS", "NOTE"];
        Self { output, head: Some(head), progress }
    }

    fn print(&mut self, accounts: &[AccountSummary]) -> Result<(), Failure> {
        if self.output.is_json() {
            let mut values = accounts.iter().map(show::summary_value);
            return values.try_for_each(|value| self.output.value("", &value));
        }
        let rows: Vec<_> = accounts.iter().map(show::summary).collect();
        let text = table(&self.head.take().unwrap_or_default(), &rows);
        let text = text.strip_prefix('\n').unwrap_or(&text);
        if text.is_empty() {
            return Ok(());
        }
        self.progress.suspend(|| self.output.value(text, &Value::Null))
    }
}
