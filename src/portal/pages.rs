//! The pages: a file for each, with what its template shows.

mod admin;
mod audit;
mod edit;
mod plan;
mod profile;
mod verify;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::response::Redirect;
use axum::routing::{any, get, post};

use super::Shared;
use super::fields::Fields;
use super::layout::Layout;
use super::show::Happened;
use crate::manage::Problem;
use crate::store::PageSize;
use crate::time::Timestamp;
use crate::user::UserId;

/// Entries of the history on a page.
const RECENT: usize = 10;

/// How long after a change a page may head itself with it, in seconds.
const FRESH: u64 = 120;

pub(super) fn routes(portal: &Shared) -> Router<Arc<Shared>> {
    let at = |path: &str| portal.address(path);
    let profile = portal.address("");
    let mut router = Router::new().route(&profile, get(profile::show));
    if profile != at("/") {
        let to_profile = move || async move { Redirect::permanent(&profile) };
        router = router.route(&at("/"), get(to_profile));
    }
    router
        .route(&at("/edit"), get(edit::choose))
        .route(&at("/edit/{action}"), get(edit::ask).post(edit::save))
        .route(&at("/resend"), post(edit::resend))
        .route(&at("/reveal"), post(profile::reveal))
        .route(&at("/verify"), get(verify::show).post(verify::confirm))
        .route(&at("/advice"), get(profile::advice))
        .route(&at("/admin"), get(admin::list))
        .route(&at("/admin/find"), post(admin::find))
        .route(&at("/admin/user"), get(admin::user))
        .route(&at("/admin/methods"), post(admin::grant))
        .route(&at("/admin/revoke"), get(admin::ask_revoke).post(admin::revoke))
        .route(&at("/admin/suspend"), admin::Change::Suspend.page())
        .route(&at("/admin/resume"), admin::Change::Resume.page())
        .route(&at("/admin/audit"), get(audit::show).post(audit::find))
        .route(&at("/admin/erase"), admin::Change::Erase.page())
        .route(&at("/{*rest}"), any(async || Problem::NOT_FOUND))
        .method_not_allowed_fallback(async || Problem::METHOD)
}

/// A request that was not done.
#[derive(Template)]
#[template(path = "portal/refused.html")]
pub(super) struct Refused<'a> {
    pub(super) layout: Layout<'a>,
    pub(super) problem: &'a Problem,
}

/// To where a change shows, so that a reload repeats nothing.
fn saved(portal: &Shared, path_and_query: &str) -> Redirect {
    Redirect::to(&portal.address(path_and_query))
}

/// What has happened lately, and, for a page that follows a change, that
/// change: from the history and never from the address, which anybody can make.
/// `called` is what the user is called.
async fn recent(
    portal: &Shared,
    user: &UserId,
    now: Timestamp,
    fields: &Fields,
    called: &str,
) -> Result<(Vec<Happened>, Option<String>), Problem> {
    let history = portal.manager.history(user, None, PageSize::clamped(RECENT)).await?;
    let fresh = |at| now.since(at).as_secs() < FRESH;
    let last = history.items.first().filter(|entry| fresh(entry.at));
    let last = last.filter(|_| fields.all("saved").next().is_some());
    let notice = last.map(|entry| entry.event.to_string());
    let recent = history.items.iter().map(|entry| Happened::new(entry, now, called));
    Ok((recent.collect(), notice))
}
