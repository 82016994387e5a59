//! When a token ends, and when its user is told.
//!
//! A token has up to three ends, the earliest of which counts: that of its lifetime,
//! fixed when it becomes active and never moved back; that of a backup, which goes
//! when the backup becomes the primary again; and that of a token which nobody uses,
//! which goes when somebody does.

use std::time::Duration;

use super::change::Change;
use super::{Facts, Policy, RotationError};
use crate::account::{Account, Ending, Expiry, Slot, TokenRecord, UnusedEnd};
use crate::audit::Event;
use crate::time::Timestamp;
use crate::token::TokenId;

/// Gives the token other ends. A later one than its user was told of has not been
/// announced; of a sooner one the notices that come too late are not given.
pub(super) fn set_ends(
    token: &mut TokenRecord,
    Facts { now, policy, .. }: Facts<'_>,
    set: impl FnOnce(&mut Expiry),
) {
    let mut expiry = details(token);
    set(&mut expiry);
    let end = expiry.earliest();
    match (token.expires_at, end) {
        (before, Some(end)) if before.is_none_or(|before| end < before) => {
            let too_late = policy.notices.iter().filter(|notice| **notice > end.since(now));
            let done = expiry.notices_done.into_iter().chain(too_late.copied());
            expiry.notices_done = done.min();
        }
        (before, end) if before != end => {
            expiry.notices_done = None;
            expiry.announced = false;
        }
        _ => {}
    }
    token.expires_at = end;
    keep(token, expiry);
}

/// What is known of the token's end, whether or not it has a record of that.
fn details(token: &TokenRecord) -> Expiry {
    let by_lifetime = Expiry { of_lifetime: token.expires_at, ..Expiry::default() };
    token.expiry.as_deref().copied().unwrap_or(by_lifetime)
}

/// A token whose end is that of its lifetime alone needs no record of it.
fn keep(token: &mut TokenRecord, expiry: Expiry) {
    let by_lifetime = Expiry { of_lifetime: token.expires_at, ..Expiry::default() };
    token.expiry = (expiry != by_lifetime).then(|| Box::new(expiry));
}

/// How long the tokens of the account live in that slot: as its grant says, and never
/// longer than the policy does.
pub(super) fn lifetime(account: &Account, slot: Slot, policy: &Policy) -> Option<Duration> {
    let (granted, longest) = match slot {
        Slot::Primary => (account.lifetimes().token, policy.token_lifetime),
        Slot::Backup => (account.lifetimes().backup, policy.backup_lifetime),
    };
    granted.into_iter().chain(longest).min()
}

pub(super) fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    a.into_iter().chain(b).min()
}

/// Since when the token is unused, as far as is recorded.
fn unused_since(token: &TokenRecord, used: Option<Timestamp>) -> Timestamp {
    let counted = token.expiry.as_ref().and_then(|expiry| expiry.unused_since);
    token.active_since.max(counted.max(used).unwrap_or_default())
}

/// The end of a token that goes on being unused, and how long before it the user is
/// told first. Time suspended does not count, nor does anything where no uses are
/// kept; a token that was given such an end has no other, and one that ends sooner
/// needs none.
fn unused_end(
    account: &Account,
    token: &TokenRecord,
    slot: Slot,
    facts: &Facts<'_>,
) -> Option<(Timestamp, Duration)> {
    let (life, notice) = facts.policy.unused_lifetime_and_notice()?;
    let counts = facts.uses_are_kept && account.suspended_since().is_none();
    let end = unused_since(token, facts.used(slot)) + life;
    let is_first = !token.ends_unless_used() && token.expires_at.is_none_or(|other| end < other);
    (counts && is_first).then_some((end, notice))
}

/// Whether a token that was to end unless it is used stays: it was used, or the policy
/// lets tokens live that nobody uses. A use may be recorded only when its user has been
/// told already.
fn is_kept(end: UnusedEnd, slot: Slot, facts: &Facts<'_>) -> bool {
    let Some(life) = facts.policy.unused_lifetime else { return true };
    facts.used(slot).is_some_and(|used| used > end.announced_at || used + life > end.at)
}

/// The notices that are still to be given before the token ends.
fn notices_left<'a>(
    token: &TokenRecord,
    policy: &'a Policy,
) -> impl Iterator<Item = Duration> + 'a {
    let done = token.expiry.as_ref().and_then(|expiry| expiry.notices_done);
    let notices = policy.notices.iter().copied();
    notices.filter(move |notice| done.is_none_or(|done| *notice < done))
}

/// When something is to be done about the account that nobody has to ask for: a
/// user to be told, or a token to be retired. `None` if never.
///
/// It is early rather than late where a use is not among the facts.
#[must_use]
pub fn due_at(account: &Account, facts: &Facts<'_>) -> Option<Timestamp> {
    let due = |(slot, token): (Slot, &TokenRecord)| {
        let notice = token
            .expires_at
            .map(|end| notices_left(token, facts.policy).max().map_or(end, |notice| end - notice));
        let unused = unused_end(account, token, slot, facts).map(|(end, notice)| end - notice);
        earlier(notice, unused)
    };
    account.slots().filter_map(due).min()
}

/// The notice that is due for the token now: the shortest, if several are.
fn due_notice(token: &TokenRecord, facts: &Facts<'_>) -> Option<Duration> {
    let left = token.expires_at?.since(facts.now);
    notices_left(token, facts.policy).filter(|notice| left <= *notice).min()
}

/// The tokens in the slots whose user is to be told now that they are going to end, or
/// that they are not.
pub(crate) fn to_announce(account: &Account, facts: &Facts<'_>) -> Vec<TokenId> {
    let is_due = |(slot, token): &(Slot, &TokenRecord)| {
        let unused = unused_end(account, token, *slot, facts);
        let unused = unused.is_some_and(|(end, notice)| end - notice <= facts.now);
        let lifted = token.expiry.as_ref().and_then(|expiry| expiry.unless_used);
        let lifted = lifted.is_some_and(|end| is_kept(end, *slot, facts));
        !token.is_expired(facts.now) && (unused || lifted || due_notice(token, facts).is_some())
    };
    account.slots().filter(is_due).map(|(_, token)| token.id).collect()
}

impl Change<'_> {
    /// Retires the tokens in the slots that have come to their end: the backup first,
    /// so that it takes no expired primary's place. One that was to end unless it is
    /// used, and was used, stays.
    pub(super) fn retire_expired(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        if self.account.has_expired(self.facts.now) {
            for slot in [Slot::Backup, Slot::Primary] {
                events.extend(self.lift_used(slot));
                events.extend(self.expire(slot));
            }
        }
        self.earlier_events = events.len() as u64;
        events
    }

    /// The last of what time has done, if it has done anything.
    pub(super) fn only_retired(&mut self, events: &mut Vec<Event>) -> Result<Event, RotationError> {
        let last = events.pop().ok_or(RotationError::AlreadyDone)?;
        self.earlier_events = events.len() as u64;
        Ok(last)
    }

    fn expire(&mut self, slot: Slot) -> Option<Event> {
        let token = self.account.slot(slot)?;
        let expired_at = token.expires_at.filter(|_| token.is_expired(self.facts.now))?;
        let id = self.retire_slot(slot, Ending::Expired)?;
        let promoted = if slot == Slot::Primary { self.promote_backup() } else { None };
        Some(Event::TokenExpired { id, expired_at, promoted })
    }

    /// Makes the backup the primary, in the place of one that has ended without its
    /// user's choice. It keeps the end that it has: no token lives longer because
    /// another has ended.
    pub(super) fn promote_backup(&mut self) -> Option<TokenId> {
        let facts = *self.facts;
        let mut backup = *self.account.backup.take()?;
        let id = backup.id;
        let life = lifetime(&self.account, Slot::Primary, facts.policy);
        set_ends(&mut backup, facts, |expiry| {
            expiry.of_lifetime = earlier(expiry.of_lifetime, life.map(|life| facts.now + life));
        });
        self.account.primary = Some(backup);
        Some(id)
    }

    fn lift_used(&mut self, slot: Slot) -> Option<Event> {
        let token = self.account.slot(slot)?;
        let end = token.expiry.as_ref()?.unless_used?;
        let id = token.id;
        is_kept(end, slot, self.facts).then(|| self.lift_expiry(id).ok()).flatten()
    }

    /// Keeps a token that was to end unless it is used.
    pub(super) fn lift_expiry(&mut self, id: TokenId) -> Result<Event, RotationError> {
        let facts = *self.facts;
        let Some(token) = self.live_token(id) else {
            return Err(self.not_there(id, Ending::Expired));
        };
        if !token.ends_unless_used() {
            return Err(RotationError::AlreadyDone);
        }
        set_ends(token, facts, |expiry| {
            expiry.unless_used = None;
            expiry.unused_since = Some(facts.now);
        });
        Ok(Event::ExpiryLifted { id, expires_at: token.expires_at })
    }

    /// Notes that the user is told of a token's end. To one that nobody has used for
    /// long enough it gives that end; from one that was used since it takes it away.
    pub(super) fn announce_expiry(&mut self, id: TokenId) -> Result<Event, RotationError> {
        let facts = *self.facts;
        let found = self.account.slots().find(|(_, token)| token.id == id);
        let (slot, token) = found.ok_or_else(|| self.not_there(id, Ending::Expired))?;
        let unused = unused_end(&self.account, token, slot, &facts);
        let unused = unused.filter(|(end, notice)| *end - *notice <= facts.now);
        if let Some(lifted) = self.lift_used(slot) {
            return Ok(lifted);
        }
        let token = self.slot_mut(slot).ok_or(RotationError::Stale)?;
        let mut notice = due_notice(token, &facts);
        if let Some((end, first)) = unused {
            // Whoever is told late still has all the time that a notice gives.
            let end = UnusedEnd::new(end.max(facts.now + first), facts.now);
            set_ends(token, facts, |expiry| expiry.unless_used = Some(end));
            notice = Some(first);
        }
        let notice = notice.ok_or(RotationError::AlreadyDone)?;
        let mut expiry = details(token);
        expiry.notices_done = Some(notice);
        expiry.announced = true;
        keep(token, expiry);
        let expires_at = token.expires_at.ok_or(RotationError::Stale)?;
        let unless_used = expiry.unless_used.is_some_and(|end| end.at == expires_at);
        Ok(Event::ExpiryAnnounced { id, expires_at, notice, unless_used })
    }

    /// Takes away the ends of tokens that nobody uses: while their user is suspended
    /// nobody can.
    pub(super) fn stop_counting_unused(&mut self) {
        let facts = *self.facts;
        for token in self.live_tokens() {
            set_ends(token, facts, |expiry| expiry.unless_used = None);
        }
    }

    /// Goes on counting how long tokens are unused where it was stopped.
    pub(super) fn count_unused_since(&mut self, suspended_since: Timestamp) {
        let facts = *self.facts;
        for slot in [Slot::Primary, Slot::Backup] {
            let used = facts.used(slot);
            let Some(token) = self.slot_mut(slot) else { continue };
            let counted = suspended_since.since(unused_since(token, used));
            set_ends(token, facts, |expiry| expiry.unused_since = Some(facts.now - counted));
        }
    }

    /// Shortens the ends of the tokens in the slots to what is granted from now on.
    pub(super) fn shorten_lifetimes(&mut self) {
        let facts = *self.facts;
        let end = |slot| lifetime(&self.account, slot, facts.policy).map(|life| facts.now + life);
        let (of_lifetime, as_backup) = (end(Slot::Primary), end(Slot::Backup));
        for slot in [Slot::Primary, Slot::Backup] {
            let Some(token) = self.slot_mut(slot) else { continue };
            set_ends(token, facts, |expiry| {
                expiry.of_lifetime = earlier(expiry.of_lifetime, of_lifetime);
                if slot == Slot::Backup {
                    expiry.as_backup = earlier(expiry.as_backup, as_backup);
                }
            });
        }
    }

    fn slot_mut(&mut self, slot: Slot) -> Option<&mut TokenRecord> {
        match slot {
            Slot::Primary => self.account.primary.as_mut(),
            Slot::Backup => self.account.backup.as_deref_mut(),
        }
    }

    fn live_tokens(&mut self) -> impl Iterator<Item = &mut TokenRecord> {
        let backup = self.account.backup.as_deref_mut();
        self.account.primary.iter_mut().chain(backup)
    }

    fn live_token(&mut self, id: TokenId) -> Option<&mut TokenRecord> {
        self.live_tokens().find(|token| token.id == id)
    }
}
