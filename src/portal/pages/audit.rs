//! The audit log: what has happened to all accounts, the latest first.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::admin::{encoded, link_to};
use super::saved;
use crate::account::Revision;
use crate::audit::AuditEntry;
use crate::manage::Problem;
use crate::portal::Shared;
use crate::portal::fields::{Fields, Sent, user_id};
use crate::portal::layout::{Layout, Page};
use crate::portal::session::Administrator;
use crate::portal::show::Happened;
use crate::store::{AuditItem, AuditPosition, PageSize};
use crate::time::Timestamp;
use crate::user::UserId;

/// Entries on a page.
const SHOWN: usize = 50;

/// How often the store is asked for [`PageSize::MAX`] entries before the page says how
/// far it has looked.
const READS: usize = 10;

#[derive(Template)]
#[template(path = "portal/audit.html")]
struct Log<'a> {
    layout: Layout<'a>,
    filter: &'a Filter,
    events: Vec<(&'static str, String)>,
    entries: Vec<Entry>,
    /// The link to what is earlier.
    next: Option<String>,
    /// Whether the page is as full as it gets.
    is_full: bool,
    /// The link to the latest, where these are not.
    latest: Option<String>,
}

struct Entry {
    happened: Happened,
    /// Whose account it is, with the link to it; nobody's if it was erased.
    user: Option<(UserId, String)>,
}

/// Which entries are looked for.
struct Filter {
    user: Option<UserId>,
    event: Option<&'static str>,
    /// A day, as in `2026-01-02`.
    since: Option<String>,
}

pub(super) async fn show(
    State(portal): State<Arc<Shared>>,
    admin: Administrator,
    fields: Fields,
) -> Result<Response, Problem> {
    let filter = Filter::of(&fields, fields.text("user")?.unwrap_or_default())?;
    let before = fields.number("before")?;
    let Found { entries, next } = filter.found(&portal, before).await?;
    let link =
        |before: Option<u64>| portal.address(&format!("/admin/audit{}", filter.query(before)));
    let now = Timestamp::now();
    let entry = |item: &AuditItem| Entry::of(&portal, item, now);
    let page = Log {
        layout: Layout::of(&portal, &admin.0, "Audit log", "admin"),
        events: AuditItem::names().map(|name| (name, words(name))).collect(),
        is_full: entries.len() == SHOWN,
        entries: entries.iter().map(entry).collect(),
        next: next.map(|next| link(Some(next))),
        latest: before.map(|_| link(None)),
        filter: &filter,
    };
    Ok(Page(page).into_response())
}

/// Turns the form into an address, unless what was typed looks like a secret.
pub(super) async fn find(
    State(portal): State<Arc<Shared>>,
    _: Administrator,
    sent: Sent,
) -> Result<Response, Problem> {
    let typed = sent.fields.text("user")?.unwrap_or_default().trim();
    let filter = Filter::of(&sent.fields, typed)?;
    Ok(saved(&portal, &format!("/admin/audit{}", filter.query(None))).into_response())
}

/// The name of an event for people.
fn words(name: &str) -> String {
    let mut words = name.replace('_', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

impl Entry {
    fn of(portal: &Shared, item: &AuditItem, now: Timestamp) -> Self {
        let happened = match item {
            AuditItem::Entry(entry) => Happened::new(entry, now, "the user"),
            AuditItem::Erased(erased) => Happened::erased(erased, now),
            AuditItem::Unreadable { at, .. } => Happened::unreadable(*at, now),
        };
        let user = item.user().map(|user| (user.clone(), link_to(portal, user)));
        Self { happened, user }
    }
}

impl Filter {
    fn of(fields: &Fields, user: &str) -> Result<Self, Problem> {
        let event = fields.given("event")?;
        let event = event.map(|event| AuditItem::names().find(|name| *name == event));
        let since = fields.given("since")?.map(str::to_owned);
        if event == Some(None) {
            return Err(Problem::bad_request("There is no such event."));
        }
        if since.as_deref().is_some_and(|since| !is_day(since)) {
            return Err(Problem::bad_request("The field since must be a day, such as 2026-01-02."));
        }
        let user = (!user.is_empty()).then(|| user_id(user)).transpose()?;
        Ok(Self { user, event: event.flatten(), since })
    }

    fn is_empty(&self) -> bool {
        self.user.is_none() && self.event.is_none() && self.since.is_none()
    }

    /// As the query of an address.
    fn query(&self, before: Option<u64>) -> String {
        let user = self.user.as_ref().map(|user| format!("user={}", encoded(user)));
        let event = self.event.map(|event| format!("event={event}"));
        let since = self.since.as_ref().map(|since| format!("since={since}"));
        let before = before.map(|before| format!("before={before}"));
        let parts: Vec<_> = [user, event, since, before].into_iter().flatten().collect();
        if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) }
    }

    fn takes(&self, item: &AuditItem) -> bool {
        self.event.is_none_or(|event| event == item.name()) && self.is_recent(item)
    }

    /// Whether it is of that day or later. A time is written so that the order of texts
    /// is that of times.
    fn is_recent(&self, item: &AuditItem) -> bool {
        self.since.as_ref().is_none_or(|since| item.at().to_string() >= *since)
    }

    /// What the filter takes of the entries before `before`, the latest first.
    async fn found(&self, portal: &Shared, before: Option<u64>) -> Result<Found, Problem> {
        let source = Source::new(portal, self.user.as_ref()).await?;
        let mut found = Found { entries: Vec::new(), next: before };
        for _ in 0..READS {
            let (items, next) = source.read(portal, found.next).await?;
            let is_past = !items.is_empty() && !items.iter().any(|(_, item)| self.is_recent(item));
            for (place, item) in items.into_iter().filter(|(_, item)| self.takes(item)) {
                if found.entries.len() == SHOWN {
                    return Ok(found);
                }
                found.entries.push(item);
                found.next = Some(place);
            }
            found.next = next.filter(|_| !is_past);
            if found.next.is_none() {
                break;
            }
        }
        Ok(found)
    }
}

struct Found {
    entries: Vec<AuditItem>,
    /// Before what to go on, unless there is no more.
    next: Option<u64>,
}

/// Where entries come from.
enum Source<'a> {
    /// The log of the store, by its positions, of which this is the first.
    Log { first: u64 },
    /// The history of one user, by its revisions.
    Of(&'a UserId),
}

impl<'a> Source<'a> {
    async fn new(portal: &Shared, user: Option<&'a UserId>) -> Result<Self, Problem> {
        if let Some(user) = user {
            return Ok(Self::Of(user));
        }
        let first = portal.manager.audit(AuditPosition::START, PageSize::clamped(1)).await?;
        Ok(Self::Log { first: first.first().map_or(u64::MAX, |(first, _)| first.as_u64()) })
    }

    /// The next entries before `before`, the latest first, each with its place, and
    /// before what to go on.
    async fn read(
        &self,
        portal: &Shared,
        before: Option<u64>,
    ) -> Result<(Vec<(u64, AuditItem)>, Option<u64>), Problem> {
        match self {
            Self::Of(user) => {
                let before = before.map(Revision::from_u64);
                let page = portal.manager.history(user, before, PageSize::MAX).await?;
                let place = |entry: AuditEntry| (entry.revision.as_u64(), AuditItem::Entry(entry));
                let items = page.items.into_iter().map(place).collect();
                Ok((items, page.next.map(Revision::as_u64)))
            }
            Self::Log { first } => {
                let end = match before {
                    Some(before) => before,
                    None => portal.manager.audit_end().await?.as_u64().saturating_add(1),
                };
                let after = end.saturating_sub(PageSize::MAX.get() as u64 + 1);
                let items = between(portal, after, end).await?;
                Ok((items, (*first <= after).then_some(after + 1)))
            }
        }
    }
}

/// The entries of the log behind `after` and before `end`, the latest first: no more
/// than there are positions between.
async fn between(
    portal: &Shared,
    mut after: u64,
    end: u64,
) -> Result<Vec<(u64, AuditItem)>, Problem> {
    let mut items = Vec::new();
    while after.saturating_add(1) < end {
        let read = portal.manager.audit(AuditPosition::from_u64(after), PageSize::MAX).await?;
        let Some((last, _)) = read.last() else { break };
        after = last.as_u64();
        let read = read.into_iter().map(|(position, item)| (position.as_u64(), item));
        items.extend(read.filter(|(position, _)| *position < end));
    }
    items.reverse();
    Ok(items)
}

/// Whether a text is a day as `<input type="date">` sends it.
fn is_day(text: &str) -> bool {
    let is_digit = |place: usize, byte: u8| match place {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    text.len() == 10 && text.bytes().enumerate().all(|(place, byte)| is_digit(place, byte))
}
