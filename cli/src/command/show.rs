//! How accounts, tokens and events are shown, to people and to machines.

use std::time::Duration;

use serde_json::{Value, json};
use tower_api_token::audit::{AccountErased, AuditEntry, Ended, Event};
use tower_api_token::manage::{AccountSummary, AccountView, PendingView, TokenView};
use tower_api_token::method::MethodSet;
use tower_api_token::notify::visible;
use tower_api_token::time::Timestamp;
use tower_api_token::token::TokenId;

use crate::output::table;

/// An account for people.
pub(crate) fn account(view: &AccountView) -> String {
    let mut text = format!("user      {}\n", visible(&view.user));
    text += &format!("methods   {}\n", methods(&view.methods));
    if let Some(since) = view.suspended_since {
        text += &format!("suspended since {since}\n");
    }
    for (slot, lifetime) in [("token", view.lifetimes.token), ("backup", view.lifetimes.backup)] {
        if let Some(lifetime) = lifetime {
            text += &format!("{slot} lifetime  {}\n", length(lifetime));
        }
    }
    text += &format!("revision  {}\n", view.revision.as_u64());
    let live = [("primary", &view.primary), ("backup", &view.backup)];
    let mut rows: Vec<_> = live
        .iter()
        .filter_map(|(slot, token)| token.as_ref().map(|token| row(slot, token)))
        .collect();
    rows.extend(view.expired.iter().map(|token| row("expired", token)));
    rows.extend(view.pending.as_ref().map(|pending| pending_row(pending, view.now)));
    if rows.is_empty() {
        return text + "no tokens\n";
    }
    text + "\n" + &table(&["SLOT", "ID", "TOKEN", "MADE", "LAST USED", "NOTE"], &rows)
}

fn row(slot: &str, token: &TokenView) -> Vec<String> {
    let client = token.client.as_ref().map(|client| format!(" by {}", visible(client)));
    let used = token.last_used_at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    let verb = if slot == "expired" { "expired" } else { "expires" };
    let unless = if token.ends_unless_used { " unless it is used" } else { "" };
    let ends = token.expires_at.map(|at| format!("{verb} {at}{unless}"));
    vec![
        slot.to_owned(),
        token.id.to_string(),
        hint(token.hint.as_str()),
        token.made_at.to_string(),
        used + &client.unwrap_or_default(),
        ends.unwrap_or_default(),
    ]
}

fn pending_row(pending: &PendingView, now: Timestamp) -> Vec<String> {
    let note = if pending.expires_at <= now {
        format!("expired {}", pending.expires_at)
    } else if pending.code_expires_at <= now {
        "its code has expired".to_owned()
    } else {
        format!("confirm before {}", pending.code_expires_at)
    };
    let replaces = pending.replacing_backup.map(|id| format!(", replaces backup {id}"));
    vec![
        "pending".to_owned(),
        pending.id.to_string(),
        hint(pending.hint.as_str()),
        pending.made_at.to_string(),
        "-".to_owned(),
        note + &replaces.unwrap_or_default(),
    ]
}

fn hint(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { visible(text).to_string() }
}

/// A length of time, as it is written in settings and arguments.
fn length(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds % 86_400 == 0 => format!("{}d", seconds / 86_400),
        seconds if seconds % 3_600 == 0 => format!("{}h", seconds / 3_600),
        seconds => format!("{seconds}s"),
    }
}

/// The methods for people.
pub(crate) fn methods(methods: &MethodSet) -> String {
    if methods.is_empty() { "none".to_owned() } else { methods.to_string() }
}

/// An account for machines.
pub(crate) fn account_value(view: &AccountView) -> Value {
    json!({
        "user": view.user.as_str(),
        "methods": view.methods.iter().collect::<Vec<_>>(),
        "primary": view.primary.as_ref().map(token_value),
        "backup": view.backup.as_ref().map(token_value),
        "pending": view.pending.as_ref().map(pending_value),
        "expired": view.expired.iter().map(token_value).collect::<Vec<_>>(),
        "token_lifetime": view.lifetimes.token.map(|time| time.as_secs()),
        "backup_lifetime": view.lifetimes.backup.map(|time| time.as_secs()),
        "suspended_since": view.suspended_since.map(|at| at.to_string()),
        "revision": view.revision.as_u64(),
        "now": view.now.to_string(),
    })
}

fn token_value(token: &TokenView) -> Value {
    json!({
        "id": token.id.as_u64(),
        "hint": token.hint.as_str(),
        "made_at": token.made_at.to_string(),
        "active_since": token.active_since.to_string(),
        "expires_at": token.expires_at.map(|at| at.to_string()),
        "ends_unless_used": token.ends_unless_used,
        "last_used_at": token.last_used_at.map(|at| at.to_string()),
        "client": token.client.as_ref().map(|client| client.as_str()),
    })
}

fn pending_value(pending: &PendingView) -> Value {
    json!({
        "id": pending.id.as_u64(),
        "hint": pending.hint.as_str(),
        "made_at": pending.made_at.to_string(),
        "expires_at": pending.expires_at.to_string(),
        "code_expires_at": pending.code_expires_at.to_string(),
        "replacing_backup": pending.replacing_backup.map(|id| id.as_u64()),
    })
}

/// An account in a list, for people.
pub(crate) fn summary(account: &AccountSummary) -> Vec<String> {
    let id = |id: Option<_>| id.map_or_else(|| "-".to_owned(), |id| format!("{id}"));
    vec![
        visible(&account.user).to_string(),
        methods(&account.methods),
        id(account.primary),
        id(account.backup),
        id(account.pending),
        account.expires_at.map_or_else(|| "-".to_owned(), |at| at.to_string()),
        account.suspended_since.map(|_| "suspended".to_owned()).unwrap_or_default(),
    ]
}

/// An account in a list, for machines.
pub(crate) fn summary_value(account: &AccountSummary) -> Value {
    json!({
        "user": account.user.as_str(),
        "methods": account.methods.iter().collect::<Vec<_>>(),
        "primary": account.primary.map(|id| id.as_u64()),
        "backup": account.backup.map(|id| id.as_u64()),
        "pending": account.pending.map(|id| id.as_u64()),
        "expired": account.expired.iter().map(|id| id.as_u64()).collect::<Vec<_>>(),
        "expires_at": account.expires_at.map(|at| at.to_string()),
        "suspended_since": account.suspended_since.map(|at| at.to_string()),
        "pepper_versions": account.pepper_versions.iter().map(|it| it.as_u16()).collect::<Vec<_>>(),
        "revision": account.revision.as_u64(),
    })
}

/// The entry for machines.
pub(crate) fn entry_value(entry: &AuditEntry) -> Value {
    let mut value = json!({
        "user": entry.user.as_str(),
        "revision": entry.revision.as_u64(),
        "at": entry.at.to_string(),
        "by": entry.actor.to_string(),
        "event": entry.event.name(),
    });
    add_event(&mut value, &entry.event);
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

fn add_event(value: &mut Value, event: &Event) {
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
        Event::AccessGranted { methods, lifetimes } => {
            value["methods"] = json!(methods.iter().collect::<Vec<_>>());
            add_lifetime(value, "token_lifetime", lifetimes.token);
            add_lifetime(value, "backup_lifetime", lifetimes.backup);
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
        Event::TokenEnded { promoted, .. } => {
            value["promoted"] = json!(promoted.map(|id| id.as_u64()));
        }
        Event::LeakReported { found, .. } => value["found"] = json!(found),
        Event::ExpiryAnnounced { expires_at, unless_used, .. } => {
            value["expires_at"] = json!(expires_at.to_string());
            value["unless_used"] = json!(unless_used);
        }
        Event::ExpiryLifted { expires_at, .. } => {
            value["expires_at"] = json!(expires_at.map(|end| end.to_string()));
        }
        Event::TokenImported { slot, .. } => value["slot"] = json!(slot.as_str()),
        _ => {}
    }
}

/// In seconds, where there is one.
fn add_lifetime(value: &mut Value, name: &str, lifetime: Option<Duration>) {
    if let Some(lifetime) = lifetime {
        value[name] = json!(lifetime.as_secs());
    }
}
