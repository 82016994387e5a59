//! What administrators do with the accounts of others.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::answer::{Account, AccountWithHistory, Accounts, History, Tokens};
use super::body::{Body, Integer};
use super::description::{OfChanging, OfLooking, Problem as Described};
use super::own::token;
use crate::account::{Lifetimes, Revision};
use crate::manage::Problem;
use crate::method::MethodSet;
use crate::portal::Shared;
use crate::portal::act::Shown;
use crate::portal::fields::{Fields, user_id};
use crate::portal::session::Administrator;
use crate::rotation::RotationError;
use crate::store::PageSize;

/// Accounts in the byte order of their users, or those of them of which everything holds that is asked for
#[utoipa::path(
    get,
    path = "/admin/users",
    tag = "Administration",
    params(
        ("after" = Option<String>, Query, description = "The user after whom to go on"),
        (
            "size" = Option<u16>,
            Query,
            description = "Accounts looked through for a page; 100 if not said",
            minimum = 1,
            maximum = 1000,
        ),
        (
            "expiring_within" = Option<String>,
            Query,
            description = "The first of the tokens in the slots ends within this time, such as 7d",
        ),
        (
            "unused_for" = Option<String>,
            Query,
            description = "No token in a slot was used for this time, such as 90d",
        ),
        ("on_backup" = Option<String>, Query, description = "`yes`: there is a backup; `no` by default"),
        (
            "pepper" = Option<u16>,
            Query,
            description = "A token was made under this version of the pepper; 0 for none",
        ),
        ("suspended" = Option<String>, Query, description = "`yes`: access is suspended; `no` by default"),
    ),
    responses(
        (status = 200, description = "A page of accounts", body = Accounts),
        (status = 501, response = Described),
        OfLooking,
    ),
)]
pub(super) async fn users(
    State(portal): State<Arc<Shared>>,
    _: Administrator,
    fields: Fields,
) -> Result<Json<Accounts>, Problem> {
    let after = fields.user("after")?;
    let size = fields.size()?;
    let page = portal.manager.list_where(&fields.filter()?, after.as_ref(), size).await?;
    Ok(Json(Accounts::of(&page)))
}

/// One account with its history
#[utoipa::path(
    get,
    path = "/admin/user",
    tag = "Administration",
    params(
        ("user" = String, Query, description = "Whose account"),
        ("before" = Option<u64>, Query, description = "Entries with a smaller revision"),
    ),
    responses(
        (status = 200, description = "The account", body = AccountWithHistory),
        (status = 404, response = Described),
        OfLooking,
    ),
)]
pub(super) async fn user(
    State(portal): State<Arc<Shared>>,
    _: Administrator,
    fields: Fields,
) -> Result<Json<AccountWithHistory>, Problem> {
    let user = fields.user("user")?;
    let user = user.ok_or_else(|| Problem::bad_request("Say which user is meant."))?;
    let account = portal.manager.summary(&user).await?.ok_or(Problem::NO_ACCOUNT)?;
    let view = match portal.manager.view(&user).await {
        Err(error) if error.refusal() == Some(RotationError::NoAccess) => None,
        view => Some(view?),
    };
    let before = fields.number("before")?.map(Revision::from_u64);
    let history = portal.manager.history(&user, before, PageSize::default()).await?;
    Ok(Json(AccountWithHistory {
        account: Account::of(&account),
        tokens: view.as_ref().map(Tokens::of),
        history: History::of(&history),
    }))
}

/// The methods that a user shall be granted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Methods {
    user: String,
    /// HTTP methods. Naming one twice makes no difference; TRACE, CONNECT, * and
    /// standard methods in lower case are refused; at most 32 beyond the standard
    /// ones.
    methods: Vec<String>,
    /// How long the user's tokens live; what there is stays if this is null.
    lifetimes: Option<GrantedLifetimes>,
    /// The account's revision as the caller knows it; null if there is no account.
    revision: Option<Integer>,
}

/// How long the tokens of one user live, in seconds, and no longer than the policy
/// says; null is as the policy says.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GrantedLifetimes {
    token: Option<Integer>,
    backup: Option<Integer>,
}

impl GrantedLifetimes {
    fn read(self) -> Result<Lifetimes, Problem> {
        let read = |name: &str, seconds: Option<Integer>| match seconds {
            Some(Integer(0)) => Err(Problem::bad_request(format!(
                "The lifetime of a {name} is at least a second. Nothing has changed."
            ))),
            seconds => Ok(seconds.map(|Integer(seconds)| Duration::from_secs(seconds))),
        };
        Ok(Lifetimes { token: read("token", self.token)?, backup: read("backup", self.backup)? })
    }
}

/// Grant exactly these methods and lifetimes; no method ends the user's access and every token
#[utoipa::path(
    post,
    path = "/admin/methods",
    tag = "Administration",
    request_body = Methods,
    responses(
        (status = 204, description = "Done, now or before"),
        (status = 422, response = Described),
        OfChanging,
    ),
)]
pub(super) async fn grant(
    State(portal): State<Arc<Shared>>,
    admin: Administrator,
    Body(Methods { user, methods, lifetimes, revision }): Body<Methods>,
) -> Result<StatusCode, Problem> {
    let (user, methods) = (user_id(&user)?, MethodSet::new(methods).map_err(Problem::no_methods)?);
    let shown = revision.map(|Integer(revision)| Revision::from_u64(revision));
    let lifetimes = lifetimes.map(GrantedLifetimes::read).transpose()?;
    portal.grant(&admin.actor(), &user, methods, lifetimes, shown).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A user's tokens, as the caller has seen them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AllOf {
    user: String,
    /// The primary as the caller knows it; null if there is none.
    primary: Option<Integer>,
    /// The backup as the caller knows it; null if there is none.
    backup: Option<Integer>,
    /// The pending token as the caller knows it; null if there is none.
    pending: Option<Integer>,
}

/// End every token of a user, if they are those that the caller has seen
#[utoipa::path(
    post,
    path = "/admin/revoke-all",
    operation_id = "revokeAllOf",
    tag = "Administration",
    request_body = AllOf,
    responses((status = 204, description = "Done, now or before"), OfChanging),
)]
pub(super) async fn revoke_all(
    State(portal): State<Arc<Shared>>,
    admin: Administrator,
    Body(AllOf { user, primary, backup, pending }): Body<AllOf>,
) -> Result<StatusCode, Problem> {
    let [primary, backup, pending] = [primary, backup, pending].map(token);
    let shown = Shown { primary, backup, pending };
    portal.revoke_all(&admin.actor(), &user_id(&user)?, shown).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A user, as the caller has seen their account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Seen {
    user: String,
    /// The account's revision that the caller has seen.
    revision: Integer,
}

/// Erase a user for good, with tokens, history and last uses, if the account is as the caller has seen it
#[utoipa::path(
    post,
    path = "/admin/erase",
    tag = "Administration",
    request_body = Seen,
    responses((status = 204, description = "Done, now or before"), OfChanging),
)]
pub(super) async fn erase(
    State(portal): State<Arc<Shared>>,
    admin: Administrator,
    Body(Seen { user, revision: Integer(revision) }): Body<Seen>,
) -> Result<StatusCode, Problem> {
    portal.erase(&admin.actor(), &user_id(&user)?, Revision::from_u64(revision)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Refuse every request of a user until the access is resumed, if the account is as the caller has seen it
#[utoipa::path(
    post,
    path = "/admin/suspend",
    tag = "Administration",
    request_body = Seen,
    responses((status = 204, description = "Done, now or before"), OfChanging),
)]
pub(super) async fn suspend(
    State(portal): State<Arc<Shared>>,
    admin: Administrator,
    Body(Seen { user, revision: Integer(revision) }): Body<Seen>,
) -> Result<StatusCode, Problem> {
    portal.suspend(&admin.actor(), &user_id(&user)?, Revision::from_u64(revision)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Accept a user's requests again, if the account is as the caller has seen it
#[utoipa::path(
    post,
    path = "/admin/resume",
    tag = "Administration",
    request_body = Seen,
    responses((status = 204, description = "Done, now or before"), OfChanging),
)]
pub(super) async fn resume(
    State(portal): State<Arc<Shared>>,
    admin: Administrator,
    Body(Seen { user, revision: Integer(revision) }): Body<Seen>,
) -> Result<StatusCode, Problem> {
    portal.resume(&admin.actor(), &user_id(&user)?, Revision::from_u64(revision)).await?;
    Ok(StatusCode::NO_CONTENT)
}
