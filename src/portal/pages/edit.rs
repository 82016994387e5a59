//! Edit: every change of a user's own tokens.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};

use super::plan::{Ask, IN_USE, NOT_AGREED, Plan};
use super::profile::Tokens;
use super::saved;
use super::verify::activation;
use crate::manage::{AccountView, Delivery, GeneratedPrimary, Guard, Problem, TokenView};
use crate::portal::Shared;
use crate::portal::act::Shown;
use crate::portal::fields::{Fields, Sent};
use crate::portal::layout::{Layout, Page};
use crate::portal::session::{PortalUser, SignedIn};
use crate::portal::show::Moment;
use crate::token::TokenId;
use crate::user::Actor;

#[derive(Template)]
#[template(path = "portal/edit.html")]
struct Edit<'a> {
    layout: Layout<'a>,
    tokens: Tokens,
}

/// The new token, shown this once.
#[derive(Template)]
#[template(path = "portal/new_token.html")]
struct NewToken<'a> {
    layout: Layout<'a>,
    token: &'a str,
    id: TokenId,
    expires: Moment,
    code_expires: Moment,
    /// Whether the mail is on its way.
    is_sent: bool,
    /// The code, where the host has chosen not to mail it.
    code: Option<&'a str>,
}

#[derive(Clone, Copy)]
enum Action {
    Generate,
    DeleteBackup,
    RollBack,
    CancelPending,
    RevokeAll,
}

impl Action {
    fn named(name: &str) -> Result<Self, Problem> {
        match name {
            "generate" => Ok(Self::Generate),
            "delete-backup" => Ok(Self::DeleteBackup),
            "roll-back" => Ok(Self::RollBack),
            "cancel-pending" => Ok(Self::CancelPending),
            "revoke-all" => Ok(Self::RevokeAll),
            _ => Err(Problem::NOT_FOUND),
        }
    }

    /// What it would do now.
    fn plan(self, view: &AccountView) -> Result<Plan, Problem> {
        let in_use = |token: &Option<TokenView>| token.as_ref().is_some_and(|token| token.in_use);
        match self {
            Self::Generate => Plan::generate(view),
            Self::DeleteBackup => Ok(Plan::delete_backup(view)?.in_use(in_use(&view.backup))),
            Self::RollBack => Ok(Plan::roll_back(view)?.in_use(in_use(&view.primary))),
            Self::CancelPending => Plan::cancel_pending(view),
            Self::RevokeAll => Plan::revoke_all(view),
        }
    }

    /// Does it, unless it has been done.
    async fn run(self, portal: &Shared, sent: &Sent) -> Result<Done, Problem> {
        let (user, fields) = (sent.user.user(), &sent.fields);
        let id = || fields.token("id").and_then(|id| id.ok_or(Problem::STALE));
        let waived = fields.ticked("even_if_in_use");
        let guard = if waived { Guard::EvenIfInUse } else { Guard::UnlessInUse };
        match self {
            Self::Generate => {
                let primary = fields.token("primary")?;
                let replacing = fields.token("replacing_backup")?;
                let generated = portal.generate(&sent.user, primary, replacing).await?;
                return Ok(Done::Generated(Box::new(generated)));
            }
            Self::DeleteBackup => portal.delete_backup(user, id()?, guard).await,
            Self::RollBack => portal.roll_back(user, id()?, guard).await,
            Self::CancelPending => portal.cancel(user, id()?).await,
            Self::RevokeAll => portal.revoke_all(&Actor::User, user, shown_in(fields)?).await,
        }?;
        Ok(Done::Saved)
    }
}

enum Done {
    Generated(Box<GeneratedPrimary>),
    Saved,
}

/// The tokens that a form was about.
pub(super) fn shown_in(fields: &Fields) -> Result<Shown, Problem> {
    Ok(Shown {
        primary: fields.token("primary")?,
        backup: fields.token("backup")?,
        pending: fields.token("pending")?,
    })
}

pub(super) async fn choose(
    State(portal): State<Arc<Shared>>,
    SignedIn(user): SignedIn,
) -> Result<Response, Problem> {
    let view = portal.manager.view(user.user()).await?;
    let tokens = Tokens::of(&view);
    let layout = Layout::of(&portal, &user, "Edit", "profile");
    Ok(Page(Edit { layout, tokens }).into_response())
}

pub(super) async fn ask(
    State(portal): State<Arc<Shared>>,
    SignedIn(user): SignedIn,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    page(&portal, &user, &name, None).await
}

pub(super) async fn save(
    State(portal): State<Arc<Shared>>,
    Path(name): Path<String>,
    sent: Sent,
) -> Result<Response, Problem> {
    let action = Action::named(&name)?;
    if !sent.fields.ticked("agree") {
        return page(&portal, &sent.user, &name, Some(NOT_AGREED)).await;
    }
    match action.run(&portal, &sent).await {
        Ok(Done::Generated(generated)) => Ok(new_token(&portal, &sent.user, &generated)),
        Ok(Done::Saved) => Ok(saved(&portal, "?saved").into_response()),
        Err(refusal) if refusal.code == "in_use" => {
            page(&portal, &sent.user, &name, Some(IN_USE)).await
        }
        Err(refusal) => Err(refusal),
    }
}

/// Sends the pending token's code once more.
pub(super) async fn resend(
    State(portal): State<Arc<Shared>>,
    sent: Sent,
) -> Result<Response, Problem> {
    let id = sent.fields.token("id")?.ok_or(Problem::STALE)?;
    let (_, delivery) = portal.resend(&sent.user, id).await?;
    match delivery {
        Delivery::Sent => Ok(saved(&portal, "?saved").into_response()),
        Delivery::NotSent(_) => Err(Problem::NOT_SENT),
        Delivery::ToCaller(code) => activation(&portal, &sent.user, &code).await,
    }
}

async fn page(
    portal: &Shared,
    user: &PortalUser,
    name: &str,
    problem: Option<&'static str>,
) -> Result<Response, Problem> {
    let action = Action::named(name)?;
    let view = portal.manager.view(user.user()).await?;
    let mut plan = action.plan(&view)?;
    if problem == Some(IN_USE) {
        // The store may not know yet of the use that this node knows of.
        plan = plan.in_use(true);
    }
    let layout = Layout::of(portal, user, "Edit", "profile");
    let save = layout.to(&format!("/edit/{name}"));
    let cancel = layout.to("/edit");
    Ok(Ask { layout, plan, save, cancel, problem }.response())
}

fn new_token(portal: &Shared, user: &PortalUser, generated: &GeneratedPrimary) -> Response {
    let GeneratedPrimary { token, id, expires_at, code_expires_at, delivery } = generated;
    let code = match delivery {
        Delivery::ToCaller(code) => Some(code.expose_secret()),
        _ => None,
    };
    let now = crate::time::Timestamp::from(std::time::SystemTime::now());
    let page = NewToken {
        layout: Layout::of(portal, user, "Your new token", "profile"),
        token: token.expose_secret(),
        id: *id,
        expires: Moment::new(*expires_at, now),
        code_expires: Moment::new(*code_expires_at, now),
        is_sent: matches!(delivery, Delivery::Sent),
        code,
    };
    Page(page).into_response()
}
