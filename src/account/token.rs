//! What an account keeps of its tokens: of those in use, of one that waits for its
//! confirmation, and of those at their end.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::time::Timestamp;
use crate::token::{CodeDigest, SealedToken, StoredDigest, TokenHint, TokenId};
use crate::user::ClientLabel;

/// What an account keeps of one token.
// In this order, so that what a request reads is one cache line.
#[repr(C)]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenRecord {
    /// Its public name.
    pub id: TokenId,
    /// Its digest, and the key that made it.
    pub digest: StoredDigest,
    pub(crate) mark: UseMark,
    /// From when on it is refused; `None` for never. The earliest of the ends that
    /// it has; see [`Expiry`].
    pub expires_at: Option<Timestamp>,
    /// What a view may show of it.
    pub hint: TokenHint,
    /// When it was generated, or the time that its importer gave.
    pub made_at: Timestamp,
    /// When it became usable: confirmed, issued or imported. For a pending
    /// token the same as `made_at`.
    pub active_since: Timestamp,
    /// The token itself, encrypted, if the host has chosen to keep it; see
    /// [`sealing`](crate::sealing). A store keeps it as it is.
    pub sealed: Option<SealedToken>,
    /// What else is known of its end. Boxed and mostly absent, since millions of
    /// accounts stand in memory.
    pub expiry: Option<Box<Expiry>>,
}

impl TokenRecord {
    /// The record of a token that was made and is active from `made_at` on,
    /// without an end, and is not kept sealed.
    #[must_use]
    pub const fn new(
        id: TokenId,
        digest: StoredDigest,
        hint: TokenHint,
        made_at: Timestamp,
    ) -> Self {
        Self {
            id,
            digest,
            hint,
            made_at,
            active_since: made_at,
            expires_at: None,
            sealed: None,
            expiry: None,
            mark: UseMark::new(),
        }
    }

    /// Whether its lifetime, if it has one, has ended at `now`.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Its end, if its user has been told of it.
    #[must_use]
    pub fn announced_end(&self) -> Option<Timestamp> {
        let announced = self.expiry.as_ref().is_some_and(|expiry| expiry.announced);
        self.expires_at.filter(|_| announced)
    }

    /// Whether a use of it must be written at once, since it would end otherwise.
    pub(crate) fn ends_unless_used(&self) -> bool {
        self.expiry.as_ref().is_some_and(|expiry| expiry.unless_used.is_some())
    }
}

/// What an account keeps of one token's end beside the moment itself: where it comes
/// from, and what its user has been told.
///
/// A token has none while its end, if any, is that of its lifetime alone and its
/// user has been told nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Expiry {
    /// The end of its lifetime, which it has in either slot.
    pub of_lifetime: Option<Timestamp>,
    /// The end that it has as the backup.
    pub as_backup: Option<Timestamp>,
    /// The end that it has unless it is used before.
    pub unless_used: Option<UnusedEnd>,
    /// From when on it counts as unused, if that is later than its last use: time
    /// in which its user was suspended does not count.
    pub unused_since: Option<Timestamp>,
    /// The notices of this length and of longer ones that are given no more: they
    /// have been, or there was less time left when it got its end.
    pub notices_done: Option<Duration>,
    /// Whether its user has been told of its end.
    pub announced: bool,
}

/// The end of a token that nobody uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnusedEnd {
    /// When it ends.
    pub at: Timestamp,
    /// When its user was first told of it. A use after this keeps the token.
    pub announced_at: Timestamp,
}

impl UnusedEnd {
    /// The token ends at `at`, which its user was told of at `announced_at`.
    #[must_use]
    pub const fn new(at: Timestamp, announced_at: Timestamp) -> Self {
        Self { at, announced_at }
    }
}

impl Expiry {
    /// The earliest of the ends.
    #[must_use]
    pub fn earliest(&self) -> Option<Timestamp> {
        let unless_used = self.unless_used.map(|end| end.at);
        [self.of_lifetime, self.as_backup, unless_used].into_iter().flatten().min()
    }
}

/// The interval in which a token's use was last noted; 0 for none.
///
/// It stands in the record itself, where the request that has just found the
/// record reads it at no cost: one relaxed load, and a store once an interval.
/// It is no part of the account's state: a copy starts unmarked, and all marks
/// are equal.
pub(crate) struct UseMark(AtomicU32);

impl UseMark {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Marks the token as used in `interval`; `true` if it was not yet.
    #[inline]
    pub(crate) fn set(&self, interval: u32) -> bool {
        // Two threads may both see it clear and both note the use: they are
        // coalesced where they are noted.
        let clear = self.0.load(Ordering::Relaxed) != interval;
        if clear {
            self.0.store(interval, Ordering::Relaxed);
        }
        clear
    }
}

impl Clone for UseMark {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl PartialEq for UseMark {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for UseMark {}

impl fmt::Debug for UseMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UseMark")
    }
}

/// When, and by which client, a token was last used, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastUse {
    /// The token.
    pub id: TokenId,
    /// When it was used, by the clock of the node that saw it; later uses
    /// within the flush interval may not show.
    pub at: Timestamp,
    /// What used it, if the host could tell.
    pub client: Option<ClientLabel>,
}

impl LastUse {
    /// The token `id` was used at `at`.
    #[must_use]
    pub const fn new(id: TokenId, at: Timestamp, client: Option<ClientLabel>) -> Self {
        Self { id, at, client }
    }
}

/// A generated primary that is not active yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pending {
    /// The token that waits; refused until it is confirmed.
    pub token: TokenRecord,
    /// Until when it can be confirmed at all, with whichever code.
    pub expires_at: Timestamp,
    /// The digest of the one code that activates it.
    pub code: CodeDigest,
    /// When that code was made: what its lifetime and the pause before the
    /// next one count from.
    pub code_made_at: Timestamp,
    /// From when on that code is dead.
    pub code_expires_at: Timestamp,
    /// The backup whose end the caller has agreed to.
    pub replacing_backup: Option<TokenId>,
}

impl Pending {
    /// `token` can be confirmed until `expires_at`, with a code of this digest
    /// that was made at `code_made_at` and is dead from `code_expires_at` on;
    /// no backup is to be replaced.
    #[must_use]
    pub const fn new(
        token: TokenRecord,
        expires_at: Timestamp,
        code: CodeDigest,
        code_made_at: Timestamp,
        code_expires_at: Timestamp,
    ) -> Self {
        Self { token, expires_at, code, code_made_at, code_expires_at, replacing_backup: None }
    }

    /// Whether its time has run out at `now`, so that no code can activate it.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }
}

/// The last confirmation that took effect, so that the same link opened again
/// is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Confirmed {
    /// The token that it activated.
    pub id: TokenId,
    /// The digest of its code.
    pub code: CodeDigest,
}

impl Confirmed {
    /// The code activated the token `id`.
    #[must_use]
    pub const fn new(id: TokenId, code: CodeDigest) -> Self {
        Self { id, code }
    }
}

/// How a token came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// A pending token gave way to one generated later.
    Superseded,
    /// A pending token was cancelled.
    Cancelled,
    /// A backup gave way to the former primary, as its user had agreed.
    Replaced,
    /// A backup was deleted.
    Deleted,
    /// A primary was given up for the backup.
    RolledBack,
    /// All tokens were revoked at once.
    Revoked,
    /// The user's access was revoked.
    AccessRevoked,
    /// The token's lifetime was over, or it was not used for too long.
    Expired,
    /// Who held the token ended it, or somebody found it where it was not secret.
    Ended,
}

impl Ending {
    /// Whether the token could be used before it came to this end.
    pub(crate) const fn is_of_a_live_token(self) -> bool {
        !matches!(self, Self::Superseded | Self::Cancelled)
    }
}

/// What is kept of a token that is no more: enough to recognise it and to say
/// what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retired {
    /// The public name it had.
    pub id: TokenId,
    /// Its digest.
    pub digest: StoredDigest,
    /// When it ended; for a token that has [expired](Ending::Expired), when that
    /// was recorded.
    pub at: Timestamp,
    /// How it ended.
    pub ending: Ending,
}

impl Retired {
    /// The token `id` ended at `at` in this way.
    #[must_use]
    pub const fn new(id: TokenId, digest: StoredDigest, at: Timestamp, ending: Ending) -> Self {
        Self { id, digest, at, ending }
    }
}
