//! Times and events in words.

use std::time::Duration;

use crate::audit::{AccountErased, AuditEntry};
use crate::manage::{AccountView, PendingView, TokenView};
use crate::time::{Length, Minute, Timestamp};
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
        let distance = match (now.since(at), at.since(now)) {
            (past, Duration::ZERO) if past.as_secs() < 60 => "just now".to_owned(),
            (past, Duration::ZERO) => format!("{} ago", Length(past)),
            (_, ahead) => format!("in {}", Length(to_nearest_unit(ahead))),
        };
        Self { machine: at.to_string(), text: Minute(at).to_string(), distance }
    }
}

/// When a token ends, or has ended.
pub(super) struct End {
    pub(super) machine: String,
    /// Such as `2026-12-07 09:00 UTC, in 6 days, unless it is used before`.
    pub(super) text: String,
    pub(super) is_over: bool,
}

impl End {
    pub(super) fn of(token: &TokenView, now: Timestamp) -> Option<Self> {
        let at = token.expires_at?;
        let Moment { machine, text, distance } = Moment::new(at, now);
        let is_over = at <= now;
        let unless = if token.ends_unless_used && !is_over { UNLESS_USED } else { "" };
        Some(Self { machine, text: format!("{text}, {distance}{unless}"), is_over })
    }
}

const UNLESS_USED: &str = ", unless it is used before";

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
    pub(super) end: Option<End>,
    pub(super) is_suspended: bool,
    /// Whether its user can have the token itself shown.
    pub(super) is_revealable: bool,
}

impl TokenCard {
    pub(super) fn new(token: &TokenView, view: &AccountView) -> Self {
        let moment = |at| Moment::new(at, view.now);
        let is_suspended = view.suspended_since.is_some();
        Self {
            id: token.id.as_u64(),
            hint: shown(token.hint.as_str()),
            made: moment(token.made_at),
            used: token.last_used_at.map(moment),
            client: token.client.as_ref().map(ToString::to_string),
            end: End::of(token, view.now),
            is_suspended,
            is_revealable: token.revealable && !is_suspended,
        }
    }

    pub(super) fn is_expired(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.is_over)
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
        let (at, by) = (Moment::new(entry.at, now), called(&entry.actor, user));
        Self { at, what: entry.event.to_string(), by }
    }

    /// The end of an account that is not named any more.
    pub(super) fn erased(erased: &AccountErased, now: Timestamp) -> Self {
        let (at, by) = (Moment::new(erased.at, now), called(&erased.actor, "the user"));
        Self { at, what: "A user was erased".to_owned(), by }
    }

    /// An entry of which nothing but the time is known.
    pub(super) fn unreadable(at: Timestamp, now: Timestamp) -> Self {
        let what = "An entry that this version cannot read".to_owned();
        Self { at: Moment::new(at, now), what, by: "unknown".to_owned() }
    }
}

fn called(actor: &Actor, user: &str) -> String {
    match actor {
        Actor::User => user.to_owned(),
        other => other.to_string(),
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
        assert_eq!(Moment::new(now, now).text, "2024-02-29 23:59 UTC");
    }
}
