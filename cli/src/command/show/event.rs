//! What has happened, for machines.

use serde_json::{Value, json};
use tower_api_token::audit::{AccountErased, AuditEntry, Ended, Event};
use tower_api_token::token::TokenId;

/// The entry for machines.
pub(crate) fn entry_value(entry: &AuditEntry) -> Value {
    let mut value = json!({
        "user": entry.user.as_str(),
        "revision": entry.revision.as_u64(),
        "at": entry.at.to_string(),
        "by": entry.actor.to_string(),
        "event": entry.event.name(),
    });
    add(&mut value, &entry.event);
    value
}

/// The end of an account for machines; it names no user.
pub(crate) fn erased_value(erased: &AccountErased) -> Value {
    json!({
        "at": erased.at.to_string(),
        "by": erased.actor.to_string(),
        "event": AccountErased::NAME,
    })
}

fn add(value: &mut Value, event: &Event) {
    if let Some(id) = event.token() {
        value["token"] = json!(id.as_u64());
    }
    match event.ended() {
        Ended::All => value["ended"] = json!("all"),
        Ended::Tokens(ids) if ids.is_empty() => {}
        Ended::Tokens(ids) => {
            value["ended"] = ids.into_iter().map(TokenId::as_u64).collect();
        }
    }
    match event {
        Event::AccessRevoked => value["methods"] = json!([]),
        Event::AccessGranted { methods } => {
            value["methods"] = json!(methods.iter().collect::<Vec<_>>());
        }
        Event::PrimaryGenerated { superseded: Some(id), .. } => {
            value["superseded"] = json!(id.as_u64());
        }
        Event::PrimaryConfirmed { backup, replaced, .. } => {
            value["backup"] = json!(backup.map(|id| id.as_u64()));
            value["replaced"] = json!(replaced.map(|id| id.as_u64()));
        }
        Event::RolledBack { primary, .. } => value["primary"] = json!(primary.as_u64()),
        Event::TokenExpired { expired_at, promoted, .. } => {
            value["expired_at"] = json!(expired_at.to_string());
            value["promoted"] = json!(promoted.map(|id| id.as_u64()));
        }
        Event::TokenImported { slot, .. } => value["slot"] = json!(slot.as_str()),
        _ => {}
    }
}
