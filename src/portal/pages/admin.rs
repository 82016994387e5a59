//! Administration: the list of accounts, and what its other pages share.

mod account;
mod ask;
mod filter;

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

pub(super) use self::account::{grant, user};
pub(super) use self::ask::{Change, ask_revoke, revoke};
use self::filter::Filter;
use super::saved;
use crate::manage::{AccountSummary, AccountView, Problem};
use crate::portal::Shared;
use crate::portal::fields::{Fields, Sent, user_id};
use crate::portal::layout::{Layout, Page};
use crate::portal::session::Administrator;
use crate::portal::show::Moment;
use crate::rotation::RotationError;
use crate::store::{self, PageSize};
use crate::time::Timestamp;
use crate::user::UserId;

/// Accounts on a page.
const ACCOUNTS: usize = 25;

#[derive(Template)]
#[template(path = "portal/admin.html")]
struct List<'a> {
    layout: Layout<'a>,
    find: Option<UserId>,
    filter: Filter,
    rows: Vec<Row>,
    /// The link to the users after these.
    next: Option<String>,
    /// Whether the page is as full as it gets.
    is_full: bool,
    /// The link to the user who was looked for, if they have no account.
    absent: Option<String>,
}

struct Row {
    user: UserId,
    link: String,
    methods: String,
    tokens: String,
    end: Option<Moment>,
    is_suspended: bool,
}

pub(super) async fn list(
    State(portal): State<Arc<Shared>>,
    admin: Administrator,
    fields: Fields,
) -> Result<Response, Problem> {
    let (filter, after) = (Filter::of(&fields)?, fields.user("after")?);
    let find = fields.user("find")?.filter(|_| !filter.is_set());
    let page = match &find {
        Some(find) => named_like(&portal, find, after.as_ref()).await?,
        None => filter.found(&portal, after.clone()).await?,
    };
    let begin = find.as_ref().map(|find| format!("find={}&", encoded(find)));
    let begin = begin.unwrap_or_else(|| filter.query());
    let next =
        page.next.map(|next| format!("{}/admin?{begin}after={}", portal.path, encoded(&next)));
    let is_absent = after.is_none() && page.items.first().map(|first| &first.user) != find.as_ref();
    let absent = find.as_ref().filter(|_| is_absent).map(|find| link_to(&portal, find));
    let rows: Vec<_> = page.items.into_iter().map(|account| Row::new(&portal, account)).collect();
    let is_full = find.is_some() || rows.len() == ACCOUNTS;
    let layout = Layout::of(&portal, &admin.0, "Administration", "admin");
    Ok(Page(List { layout, find, filter, rows, next, is_full, absent }).into_response())
}

/// The accounts whose names begin so, that of the very name first.
async fn named_like(
    portal: &Shared,
    find: &UserId,
    after: Option<&UserId>,
) -> Result<store::Page<AccountSummary>, Problem> {
    let exact = match after {
        None => portal.manager.summary(find).await?,
        Some(_) => None,
    };
    let size = PageSize::clamped(ACCOUNTS);
    let mut page = portal.manager.list(after.or(Some(find)), size).await?;
    let begins = |user: &UserId| user.as_str().starts_with(find.as_str());
    page.next = page.next.filter(&begins);
    let found = page.items.into_iter().filter(|account| begins(&account.user));
    page.items = exact.into_iter().chain(found).collect();
    Ok(page)
}

/// Turns what was typed into an address, unless it looks like a secret.
pub(super) async fn find(
    State(portal): State<Arc<Shared>>,
    _: Administrator,
    sent: Sent,
) -> Result<Response, Problem> {
    let query = match sent.fields.text("find")?.unwrap_or_default().trim() {
        "" => String::new(),
        typed => format!("?find={}", encoded(&user_id(typed)?)),
    };
    Ok(saved(&portal, &format!("/admin{query}")).into_response())
}

impl Row {
    fn new(portal: &Shared, account: AccountSummary) -> Self {
        let slots = [
            ("primary", account.primary),
            ("backup", account.backup),
            ("pending", account.pending),
        ];
        let held = slots.iter().filter(|(_, id)| id.is_some()).map(|(slot, _)| *slot);
        Self {
            link: link_to(portal, &account.user),
            methods: account.methods.to_string(),
            tokens: held.collect::<Vec<_>>().join(", "),
            end: account.expires_at.map(|at| Moment::new(at, Timestamp::now())),
            is_suspended: account.suspended_since.is_some(),
            user: account.user,
        }
    }
}

fn named(fields: &Fields) -> Result<UserId, Problem> {
    fields.user("user")?.ok_or_else(|| Problem::bad_request("Say which user is meant."))
}

/// What there is to see of a user; `None` without access.
async fn view(portal: &Shared, user: &UserId) -> Result<Option<AccountView>, Problem> {
    match portal.manager.view(user).await {
        Err(error) if error.refusal() == Some(RotationError::NoAccess) => Ok(None),
        view => Ok(Some(view?)),
    }
}

pub(super) fn link_to(portal: &Shared, user: &UserId) -> String {
    about(portal, "user", user)
}

/// The address of a page of administration that is about a user.
fn about(portal: &Shared, page: &str, user: &UserId) -> String {
    format!("{}/admin/{page}?user={}", portal.path, encoded(user))
}

pub(super) fn encoded(user: &UserId) -> String {
    utf8_percent_encode(user.as_str(), NON_ALPHANUMERIC).to_string()
}
