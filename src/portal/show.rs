//! Times and events in words.

use std::time::Duration;

use crate::audit::AuditEntry;
use crate::manage::{PendingView, TokenView};
use crate::time::{Length, Timestamp};
use crate::user::Actor;

/// A point in time, for people and for programs.
pub(super) struct Moment {
    pub(super) machine: String,
    pub(super) text: String,
    /// How far from now: `3 minutes ago`, `in 9 minutes`.
    pub(super) distance: String,
}

impl Moment {
    pub(super) fn new(at: Timestamp, now: Timestamp) -> Self {
        let machine = at.to_string();
        let minute = machine.rsplit_once(':').map_or(machine.as_str(), |(minute, _)| minute);
        let text = format!("{} UTC", minute.replacen('T', ", ", 1));
        let distance = match (now.since(at), at.since(now)) {
            (past, Duration::ZERO) if past.as_secs() < 60 => "just now".to_owned(),
            (past, Duration::ZERO) => format!("{} ago", Length(past)),
            (_, ahead) => format!("in {}", Length(to_nearest_unit(ahead))),
        };
        Self { machine, text, distance }
    }
}

/// What is still ahead, so that ten minutes do not become nine at once.
fn to_nearest_unit(ahead: Duration) -> Duration {
    let half = match ahead.as_secs() {
        ..3_600 => 30,
        3_600..172_800 => 1_800,
        _ => 43_200,
    };
    ahead + Duration::from_secs(half)
}

/// A token on a page.
pub(super) struct TokenCard {
    pub(super) id: u64,
    pub(super) hint: String,
    pub(super) made: Moment,
    pub(super) used: Option<Moment>,
    pub(super) client: Option<String>,
    pub(super) expires: Option<Moment>,
    pub(super) is_expired: bool,
    /// Whether the host can show the token itself.
    pub(super) is_revealable: bool,
}

impl TokenCard {
    pub(super) fn new(token: &TokenView, now: Timestamp) -> Self {
        let moment = |at| Moment::new(at, now);
        Self {
            id: token.id.as_u64(),
            hint: shown(token.hint.as_str()),
            made: moment(token.made_at),
            used: token.last_used_at.map(moment),
            client: token.client.as_ref().map(ToString::to_string),
            expires: token.expires_at.map(moment),
            is_expired: token.expires_at.is_some_and(|at| at <= now),
            is_revealable: token.revealable,
        }
    }
}

/// A pending token on a page.
pub(super) struct PendingCard {
    pub(super) id: u64,
    pub(super) hint: String,
    pub(super) made: Moment,
    pub(super) expires: Moment,
    pub(super) code_expires: Moment,
    pub(super) is_expired: bool,
    pub(super) is_code_expired: bool,
    pub(super) replacing_backup: Option<u64>,
}

impl PendingCard {
    pub(super) fn new(pending: &PendingView, now: Timestamp) -> Self {
        Self {
            id: pending.id.as_u64(),
            hint: shown(pending.hint.as_str()),
            made: Moment::new(pending.made_at, now),
            expires: Moment::new(pending.expires_at, now),
            code_expires: Moment::new(pending.code_expires_at, now),
            is_expired: pending.expires_at <= now,
            is_code_expired: pending.code_expires_at <= now,
            replacing_backup: pending.replacing_backup.map(crate::token::TokenId::as_u64),
        }
    }
}

fn shown(hint: &str) -> String {
    if hint.is_empty() { "not known".to_owned() } else { hint.replace("...", "\u{2026}") }
}

/// Something that has happened, on a page.
pub(super) struct Happened {
    pub(super) at: Moment,
    pub(super) what: String,
    pub(super) by: String,
}

impl Happened {
    /// `user` is what the user is called: `you`, to themselves.
    pub(super) fn new(entry: &AuditEntry, now: Timestamp, user: &str) -> Self {
        Self {
            at: Moment::new(entry.at, now),
            what: entry.event.to_string(),
            by: match &entry.actor {
                Actor::User => user.to_owned(),
                other => other.to_string(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_says_how_far_it_is() {
        let now = Timestamp::from_unix_millis(1_709_251_199_999);
        let distance = |at| Moment::new(at, now).distance;
        let ago = |seconds: u64| Timestamp::from_unix_millis(now.unix_millis() - seconds * 1_000);
        let cases = [
            (0, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (7_200, "2 hours ago"),
            (172_800, "2 days ago"),
        ];
        for (seconds, text) in cases {
            assert_eq!(distance(ago(seconds)), text);
        }
        assert_eq!(distance(now + Duration::from_secs(600)), "in 10 minutes");
        assert_eq!(distance(now + Duration::from_secs(599)), "in 10 minutes");
        assert_eq!(distance(now + Duration::from_secs(1)), "in less than a minute");
        assert_eq!(Moment::new(now, now).text, "2024-02-29, 23:59 UTC");
    }
}
