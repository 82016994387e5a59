//! The profile: what there is, a token once more, and how to keep it safe.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::recent;
use crate::manage::{AccountView, Problem};
use crate::portal::Shared;
use crate::portal::fields::{Fields, Sent};
use crate::portal::layout::{Layout, Page};
use crate::portal::session::SignedIn;
use crate::portal::show::{Happened, Moment, PendingCard, TokenCard};
use crate::rotation::RotationError;
use crate::time::Length;
use crate::token::TokenId;

#[derive(Template)]
#[template(path = "portal/profile.html")]
struct Profile<'a> {
    layout: Layout<'a>,
    notice: Option<String>,
    tokens: Tokens,
    recent: Vec<Happened>,
}

#[derive(Template)]
#[template(path = "portal/no_access.html")]
struct NoAccess<'a> {
    layout: Layout<'a>,
}

/// A user's tokens, on a page.
pub(super) struct Tokens {
    pub(super) methods: String,
    pub(super) primary: Option<TokenCard>,
    pub(super) backup: Option<TokenCard>,
    /// Those that have expired since the last change.
    pub(super) expired: Vec<TokenCard>,
    /// Whether there is a backup that was used lately, or may have been.
    pub(super) is_backup_in_use: bool,
    pub(super) pending: Option<PendingCard>,
    /// How long tokens live, where the user's grant says so.
    pub(super) lifetime: Option<String>,
    pub(super) backup_lifetime: Option<String>,
    pub(super) suspended: Option<Moment>,
}

impl Tokens {
    /// Whether a new token can still be confirmed.
    fn is_one_waiting(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| !pending.is_expired)
    }

    fn is_some_unrevealable(&self) -> bool {
        self.suspended.is_none()
            && self.primary.iter().chain(&self.backup).any(|card| !card.is_revealable)
    }

    pub(super) fn of(view: &AccountView) -> Self {
        let card = |token| TokenCard::new(token, view);
        Self {
            methods: view.methods.to_string(),
            primary: view.primary.as_ref().map(card),
            backup: view.backup.as_ref().map(card),
            expired: view.expired.iter().map(card).collect(),
            is_backup_in_use: view.backup.as_ref().is_some_and(|backup| backup.in_use),
            pending: view.pending.as_ref().map(|pending| PendingCard::new(pending, view.now)),
            lifetime: view.lifetimes.token.map(|time| Length(time).to_string()),
            backup_lifetime: view.lifetimes.backup.map(|time| Length(time).to_string()),
            suspended: view.suspended_since.map(|since| Moment::new(since, view.now)),
        }
    }
}

pub(super) async fn show(
    State(portal): State<Arc<Shared>>,
    SignedIn(user): SignedIn,
    fields: Fields,
) -> Result<Response, Problem> {
    let layout = Layout::of(&portal, &user, "Profile", "profile");
    let view = match portal.manager.view(user.user()).await {
        Err(error) if error.refusal() == Some(RotationError::NoAccess) => {
            return Ok(Page(NoAccess { layout }).into_response());
        }
        view => view?,
    };
    let (recent, notice) = recent(&portal, user.user(), view.now, &fields, "you").await?;
    let tokens = Tokens::of(&view);
    Ok(Page(Profile { layout, notice, tokens, recent }).into_response())
}

/// A token once more.
#[derive(Template)]
#[template(path = "portal/revealed.html")]
struct Revealed<'a> {
    layout: Layout<'a>,
    token: &'a str,
    id: TokenId,
}

pub(super) async fn reveal(
    State(portal): State<Arc<Shared>>,
    sent: Sent,
) -> Result<Response, Problem> {
    let id = sent.fields.token("id")?.ok_or(Problem::STALE)?;
    let token = portal.reveal(sent.user.user(), id).await?;
    let layout = Layout::of(&portal, &sent.user, "Your token", "profile");
    Ok(Page(Revealed { layout, token: token.expose_secret(), id }).into_response())
}

#[derive(Template)]
#[template(path = "portal/advice.html")]
struct Advice<'a> {
    layout: Layout<'a>,
}

pub(super) async fn advice(
    State(portal): State<Arc<Shared>>,
    SignedIn(user): SignedIn,
) -> Response {
    let layout = Layout::of(&portal, &user, "Security advice", "advice");
    Page(Advice { layout }).into_response()
}
