//! The log of all accounts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::Time;
use super::description::{OfLooking, Problem as Described};
use crate::manage::Problem;
use crate::portal::Shared;
use crate::portal::fields::Fields;
use crate::portal::session::Administrator;
use crate::store::{AuditItem, AuditPosition};
use crate::token::TokenId;

/// A page of the log of all accounts, the earliest first.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    entries: Vec<LogEntry>,
    /// The position after which to go on, now or when more has happened.
    next: u64,
}

/// Something that has happened to an account, or that one was erased: then it names
/// nobody. Of an entry that this version cannot read, `event` is `unreadable`.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LogEntry {
    position: u64,
    #[schema(required)]
    user: Option<String>,
    #[schema(required)]
    revision: Option<u64>,
    at: Time,
    /// None of an entry that cannot be read.
    #[schema(required)]
    actor: Option<String>,
    event: &'static str,
    #[schema(required)]
    token: Option<u64>,
}

/// The log of all accounts, the earliest entry first
#[utoipa::path(
    get,
    path = "/admin/audit",
    tag = "Administration",
    params(
        (
            "after" = Option<u64>,
            Query,
            description = "The position after which to go on; from the first entry if not said",
        ),
        (
            "size" = Option<u16>,
            Query,
            description = "Entries on a page; 100 if not said",
            minimum = 1,
            maximum = 1000,
        ),
    ),
    responses(
        (status = 200, description = "A page of the log", body = Log),
        (status = 501, response = Described),
        OfLooking,
    ),
)]
pub(super) async fn audit(
    State(portal): State<Arc<Shared>>,
    _: Administrator,
    fields: Fields,
) -> Result<Json<Log>, Problem> {
    let after = fields.number("after")?.map_or(AuditPosition::START, AuditPosition::from_u64);
    let items = portal.manager.audit(after, fields.size()?).await?;
    let next = items.last().map_or(after, |(last, _)| *last).as_u64();
    Ok(Json(Log { entries: items.iter().map(LogEntry::of).collect(), next }))
}

impl LogEntry {
    fn of((position, item): &(AuditPosition, AuditItem)) -> Self {
        let entry = if let AuditItem::Entry(entry) = item { Some(entry) } else { None };
        let actor = match item {
            AuditItem::Entry(entry) => Some(&entry.actor),
            AuditItem::Erased(erased) => Some(&erased.actor),
            AuditItem::Unreadable { .. } => None,
        };
        Self {
            position: position.as_u64(),
            user: item.user().map(ToString::to_string),
            revision: entry.map(|entry| entry.revision.as_u64()),
            at: Time(item.at()),
            actor: actor.map(ToString::to_string),
            event: item.name(),
            token: entry.and_then(|entry| entry.event.token()).map(TokenId::as_u64),
        }
    }
}
