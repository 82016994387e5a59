//! Administration: accounts, their methods, and their end.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::edit::shown_in;
use super::plan::{Ask, NOT_AGREED, Plan};
use super::profile::Tokens;
use super::{recent, saved};
use crate::account::Revision;
use crate::manage::{AccountSummary, AccountView, Problem};
use crate::method::MethodSet;
use crate::portal::Shared;
use crate::portal::fields::{Fields, Sent, user_id};
use crate::portal::layout::{Layout, Page};
use crate::portal::session::{Administrator, PortalUser};
use crate::portal::show::Happened;
use crate::rotation::RotationError;
use crate::store::PageSize;
use crate::time::Timestamp;
use crate::user::UserId;

/// Accounts on a page.
const ACCOUNTS: usize = 25;

/// The methods that have a box of their own, in the order of their use.
const BOXES: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

#[derive(Template)]
#[template(path = "portal/admin.html")]
struct List<'a> {
    layout: Layout<'a>,
    find: Option<UserId>,
    rows: Vec<Row>,
    /// The link to the users after these.
    next: Option<String>,
    /// The link to the user who was looked for, if they have no account.
    absent: Option<String>,
}

struct Row {
    user: UserId,
    link: String,
    methods: String,
    tokens: String,
}

#[derive(Template)]
#[template(path = "portal/admin_user.html")]
struct User<'a> {
    layout: Layout<'a>,
    notice: Option<String>,
    user: &'a UserId,
    revision: String,
    boxes: Vec<(&'static str, bool)>,
    other_methods: String,
    has_account: bool,
    tokens: Option<Tokens>,
    /// The page that ends every token, if there is one.
    revoke: Option<String>,
    /// The page that ends the account, if there is one.
    erase: Option<String>,
    recent: Vec<Happened>,
}

pub(super) async fn list(
    State(portal): State<Arc<Shared>>,
    admin: Administrator,
    fields: Fields,
) -> Result<Response, Problem> {
    let find = fields.user("find")?;
    let after = fields.user("after")?;
    let exact = match &find {
        Some(find) if after.is_none() => portal.manager.summary(find).await?,
        _ => None,
    };
    let begins =
        |user: &UserId| find.as_ref().is_none_or(|find| user.as_str().starts_with(find.as_str()));
    let from = after.as_ref().or(find.as_ref());
    let page = portal.manager.list(from, PageSize::clamped(ACCOUNTS)).await?;
    let next = page.next.filter(&begins).map(|next| {
        let find = find.as_ref().map(|find| format!("find={}&", encoded(find)));
        format!("{}/admin?{}after={}", portal.path, find.unwrap_or_default(), encoded(&next))
    });
    let found = page.items.into_iter().filter(|account| begins(&account.user));
    let is_absent = exact.is_none() && after.is_none();
    let absent = find.as_ref().filter(|_| is_absent).map(|find| link_to(&portal, find));
    let rows = exact.into_iter().chain(found).map(|account| Row::new(&portal, account)).collect();
    let layout = Layout::of(&portal, &admin.0, "Administration", "admin");
    Ok(Page(List { layout, find, rows, next, absent }).into_response())
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

pub(super) async fn user(
    State(portal): State<Arc<Shared>>,
    admin: Administrator,
    fields: Fields,
) -> Result<Response, Problem> {
    let user = named(&fields)?;
    let account = portal.manager.summary(&user).await?;
    let view = view(&portal, &user).await?;
    let now = view.as_ref().map_or_else(node_time, |view| view.now);
    let (recent, notice) = recent(&portal, &user, now, &fields, user.as_str()).await?;
    let tokens = view.as_ref().map(Tokens::of);
    let has_tokens = account.as_ref().is_some_and(has_tokens);
    let methods = account.as_ref().map(|account| account.methods.clone()).unwrap_or_default();
    let other = methods.iter().filter(|method| !BOXES.contains(method)).collect::<Vec<_>>();
    let page = User {
        layout: Layout::of(&portal, &admin.0, "Administration", "admin"),
        notice,
        user: &user,
        revision: revision_text(account.as_ref()),
        boxes: BOXES.map(|name| (name, methods.iter().any(|granted| granted == name))).to_vec(),
        other_methods: other.join(" "),
        has_account: account.is_some(),
        tokens,
        revoke: has_tokens.then(|| format!("{}/admin/revoke?user={}", portal.path, encoded(&user))),
        erase: account.map(|_| format!("{}/admin/erase?user={}", portal.path, encoded(&user))),
        recent,
    };
    Ok(Page(page).into_response())
}

pub(super) async fn grant(
    State(portal): State<Arc<Shared>>,
    admin: Administrator,
    sent: Sent,
) -> Result<Response, Problem> {
    let fields = &sent.fields;
    let user = named(fields)?;
    let typed = fields.text("other_methods")?.unwrap_or_default();
    let typed = typed.split([' ', ',', '\t', '\r', '\n']).filter(|method| !method.is_empty());
    let methods = MethodSet::new(fields.all("method").chain(typed)).map_err(Problem::no_methods)?;
    let shown = fields.number("revision")?.map(Revision::from_u64);
    let revokes = methods.is_empty() && portal.manager.summary(&user).await?.is_some();
    if revokes && !fields.ticked("agree") {
        let problem = fields.ticked("asked").then_some(NOT_AGREED);
        return revocation(&portal, &sent.user, &user, shown, problem).await;
    }
    portal.grant(&admin.actor(), &user, methods, shown).await?;
    Ok(saved(&portal, &format!("/admin/user?user={}&saved", encoded(&user))).into_response())
}

pub(super) async fn ask(
    State(portal): State<Arc<Shared>>,
    admin: Administrator,
    fields: Fields,
) -> Result<Response, Problem> {
    let user = named(&fields)?;
    end_of_tokens(&portal, &admin.0, &user, None).await
}

pub(super) async fn revoke(
    State(portal): State<Arc<Shared>>,
    admin: Administrator,
    sent: Sent,
) -> Result<Response, Problem> {
    let user = named(&sent.fields)?;
    if !sent.fields.ticked("agree") {
        return end_of_tokens(&portal, &sent.user, &user, Some(NOT_AGREED)).await;
    }
    portal.revoke_all(&admin.actor(), &user, shown_in(&sent.fields)?).await?;
    Ok(saved(&portal, &format!("/admin/user?user={}&saved", encoded(&user))).into_response())
}

pub(super) async fn ask_erase(
    State(portal): State<Arc<Shared>>,
    admin: Administrator,
    fields: Fields,
) -> Result<Response, Problem> {
    let user = named(&fields)?;
    let account = portal.manager.summary(&user).await?.ok_or(Problem::NO_ACCOUNT)?;
    erasure(&portal, &admin.0, &user, account.revision, None).await
}

pub(super) async fn erase(
    State(portal): State<Arc<Shared>>,
    admin: Administrator,
    sent: Sent,
) -> Result<Response, Problem> {
    let user = named(&sent.fields)?;
    let shown = sent.fields.number("revision")?.map_or(Revision::ABSENT, Revision::from_u64);
    if !sent.fields.ticked("agree") {
        return erasure(&portal, &sent.user, &user, shown, Some(NOT_AGREED)).await;
    }
    portal.erase(&admin.actor(), &user, shown).await?;
    // Where the administrator goes on names nobody who is gone.
    Ok(saved(&portal, "/admin").into_response())
}

/// Asks whether a user shall be erased.
async fn erasure(
    portal: &Shared,
    admin: &PortalUser,
    user: &UserId,
    shown: Revision,
    problem: Option<&'static str>,
) -> Result<Response, Problem> {
    let view = view(portal, user).await?;
    let plan = Plan::erase(user, view.as_ref())
        .with("user", user.as_str())
        .with("revision", shown.as_u64().to_string());
    Ok(asked(portal, admin, user, plan, "/admin/erase", problem))
}

/// Asks whether a user's access shall end.
async fn revocation(
    portal: &Shared,
    admin: &PortalUser,
    user: &UserId,
    shown: Option<Revision>,
    problem: Option<&'static str>,
) -> Result<Response, Problem> {
    let view = view(portal, user).await?;
    let revision = shown.map(|shown| shown.as_u64().to_string()).unwrap_or_default();
    let plan = Plan::revoke_access(user, view.as_ref())
        .with("user", user.as_str())
        .with("revision", revision)
        .with("asked", "yes");
    Ok(asked(portal, admin, user, plan, "/admin/methods", problem))
}

/// Asks whether a user's tokens shall end.
async fn end_of_tokens(
    portal: &Shared,
    admin: &PortalUser,
    user: &UserId,
    problem: Option<&'static str>,
) -> Result<Response, Problem> {
    let view = portal.manager.view(user).await?;
    let mut plan = Plan::revoke_all(&view)?.with("user", user.as_str());
    plan.heading = format!("Revoke every token of {user}");
    Ok(asked(portal, admin, user, plan, "/admin/revoke", problem))
}

fn asked(
    portal: &Shared,
    admin: &PortalUser,
    user: &UserId,
    plan: Plan,
    save: &str,
    problem: Option<&'static str>,
) -> Response {
    let layout = Layout::of(portal, admin, "Administration", "admin");
    let (save, cancel) = (layout.to(save), link_to(portal, user));
    Ask { layout, plan, save, cancel, problem }.response()
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

const fn has_tokens(account: &AccountSummary) -> bool {
    account.primary.is_some() || account.backup.is_some() || account.pending.is_some()
}

fn revision_text(account: Option<&AccountSummary>) -> String {
    account.map(|account| account.revision.as_u64().to_string()).unwrap_or_default()
}

fn link_to(portal: &Shared, user: &UserId) -> String {
    format!("{}/admin/user?user={}", portal.path, encoded(user))
}

fn encoded(user: &UserId) -> String {
    utf8_percent_encode(user.as_str(), NON_ALPHANUMERIC).to_string()
}

fn node_time() -> Timestamp {
    std::time::SystemTime::now().into()
}
