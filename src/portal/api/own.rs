//! What a user does with their own tokens.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::Body;
use super::number::Integer;
use super::show;
use crate::account::Revision;
use crate::identity::Actor;
use crate::manage::{Delivery, Guard, Problem};
use crate::portal::Shared;
use crate::portal::act::Shown;
use crate::portal::fields::{Fields, code};
use crate::portal::session::SignedIn;
use crate::token::TokenId;

pub(in crate::portal) async fn tokens(
    State(portal): State<Arc<Shared>>,
    SignedIn(user): SignedIn,
) -> Result<Json<Value>, Problem> {
    Ok(Json(show::view(&portal.manager.view(user.user()).await?)))
}

pub(in crate::portal) async fn history(
    State(portal): State<Arc<Shared>>,
    SignedIn(user): SignedIn,
    fields: Fields,
) -> Result<Json<Value>, Problem> {
    // Without access there is nothing to see, as everywhere.
    portal.manager.view(user.user()).await?;
    let before = fields.number("before")?.map(Revision::from_u64);
    let size = fields.size()?;
    Ok(Json(show::history(&portal.manager.history(user.user(), before, size).await?)))
}

/// The tokens that the caller has seen.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::portal) struct Generate {
    #[serde(default)]
    primary: Option<Integer>,
    #[serde(default)]
    replacing_backup: Option<Integer>,
}

pub(in crate::portal) async fn generate(
    State(portal): State<Arc<Shared>>,
    SignedIn(user): SignedIn,
    Body(body): Body<Generate>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let [primary, backup] = [body.primary, body.replacing_backup].map(token);
    let generated = portal.generate(&user, primary, backup).await?;
    let (delivery, code) = delivered(&generated.delivery);
    let answer = json!({
        "token": generated.token.expose_secret(),
        "id": generated.id.as_u64(),
        "expires_at": generated.expires_at.to_string(),
        "code_expires_at": generated.code_expires_at.to_string(),
        "delivery": delivery,
        "code": code,
    });
    Ok((StatusCode::CREATED, Json(answer)))
}

/// One token, by its public name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::portal) struct Named {
    id: Integer,
}

pub(in crate::portal) async fn resend(
    State(portal): State<Arc<Shared>>,
    SignedIn(user): SignedIn,
    Body(body): Body<Named>,
) -> Result<Json<Value>, Problem> {
    let resent = portal.resend(&user, TokenId::from_u64(body.id.0)).await?;
    let (delivery, code) = delivered(&resent.delivery);
    Ok(Json(json!({
        "id": resent.id.as_u64(),
        "expires_at": resent.expires_at.to_string(),
        "code_expires_at": resent.code_expires_at.to_string(),
        "delivery": delivery,
        "code": code,
    })))
}

/// The code of a pending token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::portal) struct Confirm {
    code: String,
}

pub(in crate::portal) async fn confirm(
    State(portal): State<Arc<Shared>>,
    SignedIn(user): SignedIn,
    Body(body): Body<Confirm>,
) -> Result<StatusCode, Problem> {
    portal.confirm(user.user(), code(&body.code)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(in crate::portal) async fn cancel(
    State(portal): State<Arc<Shared>>,
    SignedIn(user): SignedIn,
    Body(body): Body<Named>,
) -> Result<StatusCode, Problem> {
    portal.cancel(user.user(), TokenId::from_u64(body.id.0)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A token that shall end, perhaps although it is in use.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::portal) struct End {
    id: Integer,
    #[serde(default)]
    even_if_in_use: bool,
}

impl End {
    const fn parts(&self) -> (TokenId, Guard) {
        let guard = if self.even_if_in_use { Guard::EvenIfInUse } else { Guard::UnlessInUse };
        (TokenId::from_u64(self.id.0), guard)
    }
}

pub(in crate::portal) async fn delete_backup(
    State(portal): State<Arc<Shared>>,
    SignedIn(user): SignedIn,
    Body(body): Body<End>,
) -> Result<StatusCode, Problem> {
    let (id, guard) = body.parts();
    portal.delete_backup(user.user(), id, guard).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(in crate::portal) async fn roll_back(
    State(portal): State<Arc<Shared>>,
    SignedIn(user): SignedIn,
    Body(body): Body<End>,
) -> Result<StatusCode, Problem> {
    let (id, guard) = body.parts();
    portal.roll_back(user.user(), id, guard).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(in crate::portal) async fn reveal(
    State(portal): State<Arc<Shared>>,
    SignedIn(user): SignedIn,
    Body(body): Body<Named>,
) -> Result<Json<Value>, Problem> {
    let token = portal.reveal(user.user(), TokenId::from_u64(body.id.0)).await?;
    Ok(Json(json!({ "id": body.id.0, "token": token.expose_secret() })))
}

/// Every token that there is, as the caller has seen them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::portal) struct All {
    primary: Option<Integer>,
    backup: Option<Integer>,
    pending: Option<Integer>,
}

pub(in crate::portal) async fn revoke_all(
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

/// What became of a code; the code itself only where the host does not mail it.
fn delivered(delivery: &Delivery) -> (&'static str, Option<&str>) {
    match delivery {
        Delivery::Sent => ("sent", None),
        Delivery::NotSent(_) => ("not_sent", None),
        Delivery::ToCaller(code) => ("to_caller", Some(code.expose_secret())),
    }
}
