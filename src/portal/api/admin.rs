//! What administrators do with the accounts of others.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::Body;
use super::number::Integer;
use super::own::token;
use super::show;
use crate::account::Revision;
use crate::identity::UserId;
use crate::manage::Problem;
use crate::method::MethodSet;
use crate::portal::Shared;
use crate::portal::act::Shown;
use crate::portal::fields::{Fields, user_id};
use crate::portal::session::Administrator;
use crate::rotation::RotationError;
use crate::store::PageSize;

pub(in crate::portal) async fn users(
    State(portal): State<Arc<Shared>>,
    _: Administrator,
    fields: Fields,
) -> Result<Json<Value>, Problem> {
    let after = fields.user("after")?;
    let size = fields.size()?;
    let page = portal.manager.list(after.as_ref(), size).await?;
    Ok(Json(json!({
        "users": page.accounts.iter().map(show::summary).collect::<Vec<_>>(),
        "next": page.next.as_ref().map(UserId::as_str),
    })))
}

pub(in crate::portal) async fn user(
    State(portal): State<Arc<Shared>>,
    _: Administrator,
    fields: Fields,
) -> Result<Json<Value>, Problem> {
    let user = fields.user("user")?;
    let user = user.ok_or_else(|| Problem::bad_request("Say which user is meant."))?;
    let account = portal.manager.summary(&user).await?.ok_or(Problem::NO_ACCOUNT)?;
    let view = match portal.manager.view(&user).await {
        Err(error) if error.refusal() == Some(RotationError::NoAccess) => None,
        view => Some(view?),
    };
    let before = fields.number("before")?.map(Revision::from_u64);
    let history = portal.manager.history(&user, before, PageSize::default()).await?;
    Ok(Json(json!({
        "account": show::summary(&account),
        "tokens": view.as_ref().map(show::view),
        "history": show::history(&history),
    })))
}

/// The methods that a user shall be granted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::portal) struct Methods {
    user: String,
    methods: Vec<String>,
    /// The account's revision that the caller has seen; none for no account.
    revision: Option<Integer>,
}

pub(in crate::portal) async fn grant(
    State(portal): State<Arc<Shared>>,
    admin: Administrator,
    Body(Methods { user, methods, revision }): Body<Methods>,
) -> Result<StatusCode, Problem> {
    let (user, methods) = (user_id(&user)?, MethodSet::new(methods).map_err(Problem::no_methods)?);
    let shown = revision.map(|Integer(revision)| Revision::from_u64(revision));
    portal.grant(&admin.actor(), &user, methods, shown).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A user's tokens, as the caller has seen them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::portal) struct All {
    user: String,
    primary: Option<Integer>,
    backup: Option<Integer>,
    pending: Option<Integer>,
}

pub(in crate::portal) async fn revoke_all(
    State(portal): State<Arc<Shared>>,
    admin: Administrator,
    Body(All { user, primary, backup, pending }): Body<All>,
) -> Result<StatusCode, Problem> {
    let [primary, backup, pending] = [primary, backup, pending].map(token);
    let shown = Shown { primary, backup, pending };
    portal.revoke_all(&admin.actor(), &user_id(&user)?, shown).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A user to erase, as the caller has seen them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::portal) struct Erased {
    user: String,
    /// The account's revision that the caller has seen.
    revision: Integer,
}

pub(in crate::portal) async fn erase(
    State(portal): State<Arc<Shared>>,
    admin: Administrator,
    Body(Erased { user, revision: Integer(revision) }): Body<Erased>,
) -> Result<StatusCode, Problem> {
    portal.erase(&admin.actor(), &user_id(&user)?, Revision::from_u64(revision)).await?;
    Ok(StatusCode::NO_CONTENT)
}
