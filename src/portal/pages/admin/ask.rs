//! What an administrator does after a page that says what will happen.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};

use super::{encoded, link_to, named, view};
use crate::account::Revision;
use crate::manage::Problem;
use crate::portal::Shared;
use crate::portal::fields::{Fields, Sent};
use crate::portal::layout::Layout;
use crate::portal::pages::edit::shown_in;
use crate::portal::pages::plan::{Ask, NOT_AGREED, Plan};
use crate::portal::pages::saved;
use crate::portal::session::{Administrator, PortalUser};
use crate::user::{Actor, UserId};

pub(in crate::portal::pages) async fn ask_revoke(
    State(portal): State<Arc<Shared>>,
    admin: Administrator,
    fields: Fields,
) -> Result<Response, Problem> {
    let user = named(&fields)?;
    end_of_tokens(&portal, &admin.0, &user, None).await
}

pub(in crate::portal::pages) async fn revoke(
    State(portal): State<Arc<Shared>>,
    admin: Administrator,
    sent: Sent,
) -> Result<Response, Problem> {
    let user = named(&sent.fields)?;
    if !sent.fields.ticked("agree") {
        return end_of_tokens(&portal, &sent.user, &user, Some(NOT_AGREED)).await;
    }
    portal.revoke_all(&admin.actor(), &user, shown_in(&sent.fields)?).await?;
    Ok(saved_of(&portal, &user))
}

/// A change of the account that was shown, which is made once somebody has agreed.
#[derive(Clone, Copy)]
pub(in crate::portal::pages) enum Change {
    Suspend,
    Resume,
    Erase,
}

impl Change {
    /// The page that asks, and what its form does.
    pub(in crate::portal::pages) fn page(self) -> MethodRouter<Arc<Shared>> {
        let ask = move |State(portal): State<Arc<Shared>>, admin: Administrator, fields: Fields| async move {
            let user = named(&fields)?;
            let revision = revision_of(&portal, &user).await?;
            self.ask(&portal, &admin.0, &user, revision, None).await
        };
        let make = move |State(portal): State<Arc<Shared>>, admin: Administrator, sent: Sent| async move {
            let (user, shown) = (named(&sent.fields)?, revision_in(&sent.fields)?);
            if !sent.fields.ticked("agree") {
                return self.ask(&portal, &sent.user, &user, shown, Some(NOT_AGREED)).await;
            }
            self.make(&portal, &admin.actor(), &user, shown).await
        };
        get(ask).post(make)
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Suspend => "/admin/suspend",
            Self::Resume => "/admin/resume",
            Self::Erase => "/admin/erase",
        }
    }

    /// Says what will happen, and asks whether it shall.
    async fn ask(
        self,
        portal: &Shared,
        admin: &PortalUser,
        user: &UserId,
        shown: Revision,
        problem: Option<&'static str>,
    ) -> Result<Response, Problem> {
        let plan = match self {
            Self::Suspend => Plan::suspend(&portal.manager.view(user).await?),
            Self::Resume => Plan::resume(user, view(portal, user).await?.as_ref()),
            Self::Erase => Plan::erase(user, view(portal, user).await?.as_ref()),
        };
        let plan = plan.with("user", user.as_str()).with("revision", shown.as_u64().to_string());
        Ok(asked(portal, admin, user, plan, self.path(), problem))
    }

    async fn make(
        self,
        portal: &Shared,
        actor: &Actor,
        user: &UserId,
        shown: Revision,
    ) -> Result<Response, Problem> {
        match self {
            Self::Suspend => portal.suspend(actor, user, shown).await?,
            Self::Resume => portal.resume(actor, user, shown).await?,
            Self::Erase => {
                portal.erase(actor, user, shown).await?;
                // Where the administrator goes on names nobody who is gone.
                return Ok(saved(portal, "/admin").into_response());
            }
        }
        Ok(saved_of(portal, user))
    }
}

/// Asks whether a user's access shall end.
pub(super) async fn revocation(
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

/// What is wrong with a form that revokes the access: nothing if nobody was asked yet.
pub(super) fn agreed_to_nothing(fields: &Fields) -> Option<&'static str> {
    fields.ticked("asked").then_some(NOT_AGREED)
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

async fn revision_of(portal: &Shared, user: &UserId) -> Result<Revision, Problem> {
    let account = portal.manager.summary(user).await?;
    account.map(|account| account.revision).ok_or(Problem::NO_ACCOUNT)
}

fn revision_in(fields: &Fields) -> Result<Revision, Problem> {
    Ok(fields.number("revision")?.map_or(Revision::ABSENT, Revision::from_u64))
}

/// To the user's page, which says what has changed.
fn saved_of(portal: &Shared, user: &UserId) -> Response {
    saved(portal, &format!("/admin/user?user={}&saved", encoded(user))).into_response()
}
