//! Accounts and their histories as JSON.

use serde_json::{Value, json};

use crate::audit::AuditEntry;
use crate::manage::{AccountSummary, AccountView, PendingView, TokenView};
use crate::method::MethodSet;
use crate::store::HistoryPage;
use crate::token::TokenId;

pub(super) fn view(view: &AccountView) -> Value {
    json!({
        "user": view.user.as_str(),
        "methods": methods(&view.methods),
        "primary": view.primary.as_ref().map(token),
        "backup": view.backup.as_ref().map(token),
        "pending": view.pending.as_ref().map(pending),
        "expired": view.expired.iter().map(token).collect::<Vec<_>>(),
        "revision": view.revision.as_u64(),
        "now": view.now.to_string(),
    })
}

pub(super) fn summary(account: &AccountSummary) -> Value {
    json!({
        "user": account.user.as_str(),
        "methods": methods(&account.methods),
        "primary": account.primary.map(TokenId::as_u64),
        "backup": account.backup.map(TokenId::as_u64),
        "pending": account.pending.map(TokenId::as_u64),
        "expired": account.expired.iter().map(|id| id.as_u64()).collect::<Vec<_>>(),
        "revision": account.revision.as_u64(),
    })
}

pub(super) fn history(page: &HistoryPage) -> Value {
    json!({
        "entries": page.entries.iter().map(entry).collect::<Vec<_>>(),
        "next": page.next.map(crate::account::Revision::as_u64),
    })
}

fn entry(entry: &AuditEntry) -> Value {
    json!({
        "revision": entry.revision.as_u64(),
        "at": entry.at.to_string(),
        "actor": entry.actor.to_string(),
        "event": entry.event.name(),
        "token": entry.event.token().map(TokenId::as_u64),
    })
}

fn methods(methods: &MethodSet) -> Vec<&str> {
    methods.iter().collect()
}

fn token(token: &TokenView) -> Value {
    json!({
        "id": token.id.as_u64(),
        "hint": token.hint.as_str(),
        "made_at": token.made_at.to_string(),
        "active_since": token.active_since.to_string(),
        "expires_at": token.expires_at.map(|at| at.to_string()),
        "last_used_at": token.last_used_at.map(|at| at.to_string()),
        "client": token.client.as_ref().map(ToString::to_string),
        "in_use": token.in_use,
        "revealable": token.revealable,
    })
}

fn pending(pending: &PendingView) -> Value {
    json!({
        "id": pending.id.as_u64(),
        "hint": pending.hint.as_str(),
        "made_at": pending.made_at.to_string(),
        "expires_at": pending.expires_at.to_string(),
        "code_expires_at": pending.code_expires_at.to_string(),
        "replacing_backup": pending.replacing_backup.map(TokenId::as_u64),
        "revealable": pending.revealable,
    })
}
