//! What a user does with their own tokens.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::answer::{Generated, History, Resent, Revealed, Tokens};
use super::body::{Body, Integer};
use super::description::{OfChanging, OfLooking, Problem as Described};
use crate::account::Revision;
use crate::manage::{Guard, Problem};
use crate::portal::Shared;
use crate::portal::act::Shown;
use crate::portal::fields::{Fields, code};
use crate::portal::session::SignedIn;
use crate::token::TokenId;
use crate::user::Actor;

/// Both tokens and the pending one
#[utoipa::path(
    get,
    path = "/tokens",
    tag = "The user's own tokens",
    responses((status = 200, description = "What there is", body = Tokens), OfLooking),
)]
pub(super) async fn tokens(
    State(portal): State<Arc<Shared>>,
    SignedIn(user): SignedIn,
) -> Result<Json<Tokens>, Problem> {
    Ok(Json(Tokens::of(&portal.manager.view(user.user()).await?)))
}

/// What has happened, the latest first
#[utoipa::path(
    get,
    path = "/history",
    tag = "The user's own tokens",
    params(
        ("before" = Option<u64>, Query, description = "Entries with a smaller revision"),
        (
            "size" = Option<u16>,
            Query,
            description = "Entries on a page; 100 if not said",
            minimum = 1,
            maximum = 1000,
        ),
    ),
    responses((status = 200, description = "A page of entries", body = History), OfLooking),
)]
pub(super) async fn history(
    State(portal): State<Arc<Shared>>,
    SignedIn(user): SignedIn,
    fields: Fields,
) -> Result<Json<History>, Problem> {
    // Without access there is nothing to see, as everywhere.
    portal.manager.view(user.user()).await?;
    let before = fields.number("before")?.map(Revision::from_u64);
    let size = fields.size()?;
    Ok(Json(History::of(&portal.manager.history(user.user(), before, size).await?)))
}

/// The tokens that the caller has seen.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Generate {
    /// The primary as the caller knows it; null if there is none.
    #[serde(default)]
    primary: Option<Integer>,
    /// The backup that the confirmation shall end.
    #[serde(default)]
    replacing_backup: Option<Integer>,
}

/// Generate a new primary, which works when its code is confirmed
#[utoipa::path(
    post,
    path = "/generate",
    tag = "The user's own tokens",
    request_body = Generate,
    responses(
        (status = 201, description = "The token, this once", body = Generated),
        (status = 429, response = Described),
        OfChanging,
    ),
)]
pub(super) async fn generate(
    State(portal): State<Arc<Shared>>,
    SignedIn(user): SignedIn,
    Body(body): Body<Generate>,
) -> Result<(StatusCode, Json<Generated>), Problem> {
    let [primary, backup] = [body.primary, body.replacing_backup].map(token);
    let generated = portal.generate(&user, primary, backup).await?;
    Ok((StatusCode::CREATED, Json(Generated::of(&generated))))
}

/// One token, by its public name.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    id: Integer,
}

/// Send another code for the pending token
#[utoipa::path(
    post,
    path = "/resend",
    tag = "The user's own tokens",
    request_body = Named,
    responses(
        (status = 200, description = "What became of it", body = Resent),
        (status = 410, response = Described),
        (status = 429, response = Described),
        OfChanging,
    ),
)]
pub(super) async fn resend(
    State(portal): State<Arc<Shared>>,
    SignedIn(user): SignedIn,
    Body(body): Body<Named>,
) -> Result<Json<Resent>, Problem> {
    let (pending, delivery) = portal.resend(&user, TokenId::from_u64(body.id.0)).await?;
    Ok(Json(Resent::of(&pending, &delivery)))
}

/// The code of a pending token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Confirm {
    code: String,
}

/// Activate the pending token of this code
#[utoipa::path(
    post,
    path = "/confirm",
    tag = "The user's own tokens",
    request_body = Confirm,
    responses(
        (status = 204, description = "Done, now or before"),
        (status = 404, response = Described),
        (status = 410, response = Described),
        (status = 429, response = Described),
        OfChanging,
    ),
)]
pub(super) async fn confirm(
    State(portal): State<Arc<Shared>>,
    SignedIn(user): SignedIn,
    Body(body): Body<Confirm>,
) -> Result<StatusCode, Problem> {
    portal.confirm(user.user(), code(&body.code)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give up the pending token
#[utoipa::path(
    post,
    path = "/cancel-pending",
    operation_id = "cancelPending",
    tag = "The user's own tokens",
    request_body = Named,
    responses((status = 204, description = "Done, now or before"), OfChanging),
)]
pub(super) async fn cancel(
    State(portal): State<Arc<Shared>>,
    SignedIn(user): SignedIn,
    Body(body): Body<Named>,
) -> Result<StatusCode, Problem> {
    portal.cancel(user.user(), TokenId::from_u64(body.id.0)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A token that shall end, perhaps although it is in use.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    id: Integer,
    /// End it although it is in use, or may be.
    #[serde(default)]
    even_if_in_use: bool,
}

impl End {
    const fn parts(&self) -> (TokenId, Guard) {
        let guard = if self.even_if_in_use { Guard::EvenIfInUse } else { Guard::UnlessInUse };
        (TokenId::from_u64(self.id.0), guard)
    }
}

/// End the backup
#[utoipa::path(
    post,
    path = "/delete-backup",
    operation_id = "deleteBackup",
    tag = "The user's own tokens",
    request_body = End,
    responses((status = 204, description = "Done, now or before"), OfChanging),
)]
pub(super) async fn delete_backup(
    State(portal): State<Arc<Shared>>,
    SignedIn(user): SignedIn,
    Body(body): Body<End>,
) -> Result<StatusCode, Problem> {
    let (id, guard) = body.parts();
    portal.delete_backup(user.user(), id, guard).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End the primary `id` and make the backup the primary again
#[utoipa::path(
    post,
    path = "/roll-back",
    operation_id = "rollBack",
    tag = "The user's own tokens",
    request_body = End,
    responses((status = 204, description = "Done, now or before"), OfChanging),
)]
pub(super) async fn roll_back(
    State(portal): State<Arc<Shared>>,
    SignedIn(user): SignedIn,
    Body(body): Body<End>,
) -> Result<StatusCode, Problem> {
    let (id, guard) = body.parts();
    portal.roll_back(user.user(), id, guard).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Show a token once more, where the host keeps tokens sealed; the history keeps that it was
#[utoipa::path(
    post,
    path = "/reveal",
    tag = "The user's own tokens",
    request_body = Named,
    responses(
        (status = 200, description = "The token", body = Revealed),
        (status = 429, response = Described),
        OfChanging,
    ),
)]
pub(super) async fn reveal(
    State(portal): State<Arc<Shared>>,
    SignedIn(user): SignedIn,
    Body(body): Body<Named>,
) -> Result<Json<Revealed>, Problem> {
    let token = portal.reveal(user.user(), TokenId::from_u64(body.id.0)).await?;
    Ok(Json(Revealed::of(body.id.0, &token)))
}

/// Every token that there is, as the caller has seen them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct All {
    /// The primary as the caller knows it; null if there is none.
    primary: Option<Integer>,
    /// The backup as the caller knows it; null if there is none.
    backup: Option<Integer>,
    /// The pending token as the caller knows it; null if there is none.
    pending: Option<Integer>,
}

/// End every token, if they are those that the caller has seen
#[utoipa::path(
    post,
    path = "/revoke-all",
    operation_id = "revokeAll",
    tag = "The user's own tokens",
    request_body = All,
    responses((status = 204, description = "Done, now or before"), OfChanging),
)]
pub(super) async fn revoke_all(
    State(portal): State<Arc<Shared>>,
    SignedIn(user): SignedIn,
    Body(All { primary, backup, pending }): Body<All>,
) -> Result<StatusCode, Problem> {
    let [primary, backup, pending] = [primary, backup, pending].map(token);
    let shown = Shown { primary, backup, pending };
    portal.revoke_all(&Actor::User, user.user(), shown).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn token(id: Option<Integer>) -> Option<TokenId> {
    id.map(|Integer(id)| TokenId::from_u64(id))
}
