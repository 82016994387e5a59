//! The profile: what there is.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::recent;
use crate::identity::UserId;
use crate::manage::AccountView;
use crate::portal::Shared;
use crate::portal::fields::Fields;
use crate::portal::layout::{Layout, Page};
use crate::portal::refusal::Refusal;
use crate::portal::session::SignedIn;
use crate::portal::show::{Happened, PendingCard, TokenCard};
use crate::rotation::{Command, RotationError};

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
    /// Whether a backup was used lately, or may have been.
    pub(super) is_backup_in_use: bool,
    pub(super) pending: Option<PendingCard>,
}

impl Tokens {
    fn is_some_unrevealable(&self) -> bool {
        self.primary.iter().chain(&self.backup).any(|card| !card.is_revealable)
    }

    pub(super) async fn of(portal: &Shared, view: &AccountView) -> Result<Self, Refusal> {
        let (primary, backup) = TokenCard::slots(view);
        Ok(Self {
            methods: view.methods.to_string(),
            primary,
            backup,
            is_backup_in_use: is_backup_in_use(portal, view).await?,
            pending: view.pending.as_ref().map(|pending| PendingCard::new(pending, view.now)),
        })
    }
}

/// Whether the rules would want to be told that the backup shall end all the
/// same.
async fn is_backup_in_use(portal: &Shared, view: &AccountView) -> Result<bool, Refusal> {
    let Some(backup) = &view.backup else { return Ok(false) };
    let delete = Command::DeleteBackup { id: backup.id, even_if_in_use: false };
    is_guarded(portal, &view.user, delete).await
}

/// Whether a change is refused only because a token is in use.
pub(super) async fn is_guarded(
    portal: &Shared,
    user: &UserId,
    command: Command,
) -> Result<bool, Refusal> {
    match portal.manager.preview(user, command).await.map_err(|error| (error.refusal(), error)) {
        Ok(_) => Ok(false),
        Err((Some(refusal), _)) => Ok(matches!(refusal, RotationError::InUse { .. })),
        Err((None, error)) => Err(error.into()),
    }
}

pub(in crate::portal) async fn show(
    State(portal): State<Arc<Shared>>,
    SignedIn(user): SignedIn,
    fields: Fields,
) -> Result<Response, Refusal> {
    let layout = Layout::of(&portal, &user, "Profile", "profile");
    let view = match portal.manager.view(user.user()).await {
        Err(error) if error.refusal() == Some(RotationError::NoAccess) => {
            return Ok(Page(NoAccess { layout }).into_response());
        }
        view => view?,
    };
    let (recent, notice) = recent(&portal, user.user(), view.now, &fields, "you").await?;
    let tokens = Tokens::of(&portal, &view).await?;
    Ok(Page(Profile { layout, notice, tokens, recent }).into_response())
}
