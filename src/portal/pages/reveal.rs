//! A token once more.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use crate::manage::Problem;
use crate::portal::Shared;
use crate::portal::fields::Sent;
use crate::portal::layout::{Layout, Page};
use crate::token::TokenId;

#[derive(Template)]
#[template(path = "portal/revealed.html")]
struct Revealed<'a> {
    layout: Layout<'a>,
    token: &'a str,
    id: TokenId,
}

pub(in crate::portal) async fn show(
    State(portal): State<Arc<Shared>>,
    sent: Sent,
) -> Result<Response, Problem> {
    let id = sent.fields.token("id")?.ok_or(Problem::STALE)?;
    let token = portal.reveal(sent.user.user(), id).await?;
    let layout = Layout::of(&portal, &sent.user, "Your token", "profile");
    Ok(Page(Revealed { layout, token: token.expose_secret(), id }).into_response())
}
