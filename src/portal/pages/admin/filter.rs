//! Which accounts the list shows.

use std::time::Duration;

use super::ACCOUNTS;
use crate::manage::{AccountFilter, AccountSummary, Problem};
use crate::portal::Shared;
use crate::portal::fields::Fields;
use crate::portal::length;
use crate::store::{Page, PageSize};
use crate::time::Length as Words;
use crate::user::UserId;

/// Accounts that are read from the store at once, and how often at most for one page: it
/// looks through ten thousand.
const READ: usize = 200;
const READS: usize = 50;

/// What can be chosen without typing, in days.
const EXPIRING: [u64; 4] = [1, 7, 30, 90];
const UNUSED: [u64; 4] = [30, 90, 180, 365];

/// A filter, as an address has it.
pub(super) struct Filter(AccountFilter);

/// A length of time that can be chosen.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) words: String,
    pub(super) is_chosen: bool,
}

impl Filter {
    pub(super) fn of(fields: &Fields) -> Result<Self, Problem> {
        Ok(Self(fields.filter()?))
    }

    pub(super) fn is_set(&self) -> bool {
        self.0 != AccountFilter::default()
    }

    pub(super) fn expiring(&self) -> Vec<Choice> {
        choices(EXPIRING, self.0.expiring_within)
    }

    pub(super) fn unused(&self) -> Vec<Choice> {
        choices(UNUSED, self.0.unused_for)
    }

    pub(super) const fn on_backup(&self) -> bool {
        self.0.on_backup
    }

    pub(super) const fn suspended(&self) -> bool {
        self.0.suspended
    }

    pub(super) fn pepper(&self) -> String {
        self.0.pepper.map(|version| version.as_u16().to_string()).unwrap_or_default()
    }

    /// As the query of an address, to which more can be added.
    pub(super) fn query(&self) -> String {
        let times =
            [("expiring_within", self.0.expiring_within), ("unused_for", self.0.unused_for)];
        let times = times.into_iter().filter_map(|(name, time)| Some((name, length::text(time?))));
        let ticks = [("on_backup", self.0.on_backup), ("suspended", self.0.suspended)];
        let ticks = ticks.into_iter().filter(|(_, ticked)| *ticked);
        let ticks = ticks.map(|(name, _)| (name, "yes".to_owned()));
        let pepper = self.0.pepper.map(|_| ("pepper", self.pepper()));
        times.chain(ticks).chain(pepper).map(|(name, value)| format!("{name}={value}&")).collect()
    }

    /// The accounts of which it holds, as many as fit on a page, among those after
    /// `after`.
    pub(super) async fn found(
        &self,
        portal: &Shared,
        after: Option<UserId>,
    ) -> Result<Page<AccountSummary>, Problem> {
        let mut found = Page { items: Vec::new(), next: after };
        let size = PageSize::clamped(if self.is_set() { READ } else { ACCOUNTS });
        for _ in 0..READS {
            let page = portal.manager.list_where(&self.0, found.next.as_ref(), size).await?;
            for account in page.items {
                if found.items.len() == ACCOUNTS {
                    return Ok(found);
                }
                found.next = Some(account.user.clone());
                found.items.push(account);
            }
            found.next = page.next;
            if found.next.is_none() || found.items.len() == ACCOUNTS {
                break;
            }
        }
        Ok(found)
    }
}

/// Those that can be chosen, and the one that is.
fn choices(days: [u64; 4], chosen: Option<Duration>) -> Vec<Choice> {
    let mut times: Vec<_> = days.map(|days| Duration::from_secs(days * 86_400)).to_vec();
    times.extend(chosen.filter(|chosen| !times.contains(chosen)));
    times.sort();
    let choice = |time| Choice {
        value: length::text(time),
        words: Words(time).to_string(),
        is_chosen: chosen == Some(time),
    };
    times.into_iter().map(choice).collect()
}
