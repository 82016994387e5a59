//! Verify: where the mailed link leads.
//!
//! Opening it changes nothing, so mail scanners and impatient browsers do no
//! harm: its button is a form that only the signed-in user's page can send. A
//! code pins its token exactly, so the form needs no id.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::saved;
use crate::audit::Event;
use crate::manage::{AccountView, Problem};
use crate::portal::Shared;
use crate::portal::fields::{Fields, Sent, code};
use crate::portal::layout::{Layout, Page};
use crate::portal::session::{PortalUser, SignedIn};
use crate::portal::show::PendingCard;
use crate::rotation::{Command, RotationError};
use crate::token::{ConfirmationCode, TokenId};

#[derive(Template)]
#[template(path = "portal/verify.html")]
struct Verify<'a> {
    layout: Layout<'a>,
    /// The code of the link; without it the page asks for one.
    code: Option<&'a str>,
    effects: Vec<String>,
}

pub(super) async fn show(
    State(portal): State<Arc<Shared>>,
    SignedIn(user): SignedIn,
    fields: Fields,
) -> Result<Response, Problem> {
    match fields.text("code")? {
        None => typing(&portal, &user).await,
        Some(text) => {
            let too_often = portal.limits.look.take(user.user()).is_err();
            let code = code(text)?;
            if too_often {
                Ok(unseen(&portal, &user, &code))
            } else {
                activation(&portal, &user, &code).await
            }
        }
    }
}

pub(super) async fn confirm(
    State(portal): State<Arc<Shared>>,
    sent: Sent,
) -> Result<Response, Problem> {
    let text = sent.fields.text("code")?.unwrap_or_default();
    portal.confirm(sent.user.user(), code(text)).await?;
    Ok(saved(&portal, "?saved").into_response())
}

/// The page with a code and what it will do.
pub(super) async fn activation(
    portal: &Shared,
    user: &PortalUser,
    code: &ConfirmationCode,
) -> Result<Response, Problem> {
    let confirm = Command::Confirm { code: code.digest(user.user()) };
    let event = portal.manager.preview(user.user(), confirm).await?;
    let view = portal.manager.view(user.user()).await?;
    let effects = effects(&event, &view);
    Ok(page(portal, user, Some(code.expose_secret()), effects))
}

/// The page with a code that nobody has looked at.
fn unseen(portal: &Shared, user: &PortalUser, code: &ConfirmationCode) -> Response {
    let effect = "You have opened many links lately, so this one has not been looked at. If the \
                  code is good, the button activates your new token.";
    page(portal, user, Some(code.expose_secret()), vec![effect.to_owned()])
}

/// The page that asks for a code.
async fn typing(portal: &Shared, user: &PortalUser) -> Result<Response, Problem> {
    let view = portal.manager.view(user.user()).await?;
    let Some(pending) = &view.pending else { return Err(Problem::NOTHING_PENDING) };
    if view.suspended_since.is_some() {
        return Err(RotationError::Suspended.into());
    }
    let card = PendingCard::new(pending, view.now);
    if card.is_expired {
        return Err(RotationError::ExpiredCode.into());
    }
    let [primary, backup] = [&view.primary, &view.backup].map(|slot| slot.as_ref().map(|t| t.id));
    let event = Event::PrimaryConfirmed { id: pending.id, backup: primary, replaced: backup };
    let mut effects = effects(&event, &view);
    effects.push(format!("The token can be activated until {}.", card.expires.text));
    Ok(page(portal, user, None, effects))
}

fn page(portal: &Shared, user: &PortalUser, code: Option<&str>, effects: Vec<String>) -> Response {
    let layout = Layout::of(portal, user, "Activate your new token", "profile");
    Page(Verify { layout, code, effects }).into_response()
}

fn effects(event: &Event, view: &AccountView) -> Vec<String> {
    let Event::PrimaryConfirmed { id, backup, replaced } = event else { return Vec::new() };
    let mut effects =
        vec![format!("{} becomes your primary and starts to work.", named(*id, view))];
    if let Some(backup) = backup {
        effects.push(format!(
            "{}, your present primary, becomes the backup. Whatever uses it goes on working until \
             you delete it, or its lifetime is over if it has one.",
            named(*backup, view)
        ));
    }
    if let Some(replaced) = replaced {
        effects.push(format!(
            "{}, your present backup, ends: whatever still uses it is refused from then on.",
            named(*replaced, view)
        ));
    }
    effects
}

/// Such as `Token 3 (tat_…x7Qz)`.
fn named(id: TokenId, view: &AccountView) -> String {
    let live = view.primary.iter().chain(&view.backup).map(|token| (token.id, &token.hint));
    let mut all = live.chain(view.pending.iter().map(|pending| (pending.id, &pending.hint)));
    match all.find(|(known, hint)| *known == id && !hint.as_str().is_empty()) {
        Some((_, hint)) => format!("Token {id} ({})", hint.as_str().replace("...", "\u{2026}")),
        None => format!("Token {id}"),
    }
}
