//! One user's record: what a store keeps, and what every rule reads.
//!
//! An account checks its own *structure*: digests named once, ids that the
//! counter has given out, no backup without a primary. What may become of it is
//! policy and stands in [`rotation`](crate::rotation).

mod builder;
mod mark;

use std::fmt;

use subtle::ConstantTimeEq;

pub use self::builder::{AccountBuilder, AccountError};
pub(crate) use self::mark::UseMark;
use crate::identity::UserId;
use crate::method::MethodSet;
use crate::time::Timestamp;
use crate::token::{CodeDigest, PepperVersion, StoredDigest, TokenDigest, TokenHint, TokenId};

/// Which of an account's two live tokens. Both give the same access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "an account has these two slots by design")]
pub enum Slot {
    /// The token to use.
    Primary,
    /// The former primary, until the user deletes it.
    Backup,
}

impl Slot {
    /// `primary` or `backup`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Backup => "backup",
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A counter that every change of an account raises and nothing resets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

impl Revision {
    /// The revision of an account that no store has yet.
    pub const ABSENT: Self = Self(0);

    /// Takes a revision back from where a store has kept it.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The revision as a number.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an account keeps of one token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenRecord {
    /// Its public name.
    pub id: TokenId,
    /// Its digest, and the key that made it.
    pub digest: StoredDigest,
    /// What a view may show of it.
    pub hint: TokenHint,
    /// When it was generated, or the time that its importer gave.
    pub made_at: Timestamp,
    /// When it became usable: confirmed, issued or imported. For a pending
    /// token the same as `made_at`.
    pub active_since: Timestamp,
    /// From when on it is refused; `None` for never.
    pub expires_at: Option<Timestamp>,
    pub(crate) mark: UseMark,
}

impl TokenRecord {
    /// The record of a token that was made and is active from `made_at` on,
    /// without an end.
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
            mark: UseMark::new(),
        }
    }

    /// Whether its lifetime, if it has one, has ended at `now`.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
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
    /// When it ended.
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

/// Where in an account a digest stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "an account has these places by design")]
pub enum Place {
    /// In one of the two live slots.
    Live(Slot),
    /// Generated and not confirmed.
    Pending,
    /// At its end; named by its id.
    Retired(TokenId),
}

/// One user's record.
///
/// Made by [`Account::builder`], which checks its structure, and changed by
/// [`rotation::apply`](crate::rotation::apply) alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub(crate) user: UserId,
    pub(crate) revision: Revision,
    pub(crate) methods: MethodSet,
    pub(crate) primary: Option<TokenRecord>,
    pub(crate) backup: Option<TokenRecord>,
    /// Boxed: few accounts have one, and millions of accounts stand in memory.
    pub(crate) pending: Option<Box<Pending>>,
    pub(crate) retired: Box<[Retired]>,
    pub(crate) confirmed: Option<Box<Confirmed>>,
    /// The number of the next token; smaller ones have been given out.
    pub(crate) next_token: u64,
}

impl Account {
    /// An account of `user` that no store has yet: no access, no token,
    /// [`Revision::ABSENT`].
    #[must_use]
    pub fn absent(user: UserId) -> Self {
        Self {
            user,
            revision: Revision::ABSENT,
            methods: MethodSet::empty(),
            primary: None,
            backup: None,
            pending: None,
            retired: Box::default(),
            confirmed: None,
            next_token: 1,
        }
    }

    /// Builds an account from its parts, for a store that reads one back or a
    /// host that keeps its own.
    pub fn builder(user: UserId) -> AccountBuilder {
        AccountBuilder::new(user)
    }

    /// Whose account it is.
    #[must_use]
    pub const fn user(&self) -> &UserId {
        &self.user
    }

    /// The number of its last change.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// The methods that the user may perform; none means no access.
    #[must_use]
    pub const fn methods(&self) -> &MethodSet {
        &self.methods
    }

    /// The token to use, expired or not.
    #[must_use]
    pub const fn primary(&self) -> Option<&TokenRecord> {
        self.primary.as_ref()
    }

    /// The former primary, expired or not.
    #[must_use]
    pub const fn backup(&self) -> Option<&TokenRecord> {
        self.backup.as_ref()
    }

    /// The token in that slot, expired or not.
    #[must_use]
    pub const fn slot(&self, slot: Slot) -> Option<&TokenRecord> {
        match slot {
            Slot::Primary => self.primary(),
            Slot::Backup => self.backup(),
        }
    }

    /// The token that waits for its confirmation, its time run out or not.
    #[must_use]
    pub fn pending(&self) -> Option<&Pending> {
        self.pending.as_deref()
    }

    /// The tokens that are no more, the earliest first.
    #[must_use]
    pub const fn retired(&self) -> &[Retired] {
        &self.retired
    }

    /// The last confirmation that took effect.
    #[must_use]
    pub fn confirmed(&self) -> Option<&Confirmed> {
        self.confirmed.as_deref()
    }

    /// The number that the account's next token will have.
    #[must_use]
    pub const fn next_token(&self) -> u64 {
        self.next_token
    }

    /// The slot whose token has this digest, or `None`.
    ///
    /// Compares both slots whatever the first comparison gives, in constant
    /// time: a store's word that the digest belongs here is not enough.
    #[must_use]
    pub fn slot_of(&self, digest: &TokenDigest) -> Option<Slot> {
        self.token_of(digest).map(|(slot, _)| slot)
    }

    /// The live token with this digest, found as by [`slot_of`](Self::slot_of).
    #[inline]
    pub(crate) fn token_of(&self, digest: &TokenDigest) -> Option<(Slot, &TokenRecord)> {
        let holds = |record: &&TokenRecord| record.digest.digest.ct_eq(digest).into();
        let primary = self.primary.as_ref().filter(holds);
        let backup = self.backup.as_ref().filter(holds);
        match (primary, backup) {
            (Some(token), _) => Some((Slot::Primary, token)),
            (None, Some(token)) => Some((Slot::Backup, token)),
            (None, None) => None,
        }
    }

    /// Where the digest stands in this account.
    #[must_use]
    pub fn place_of(&self, digest: &TokenDigest) -> Option<Place> {
        let pending = || self.pending().filter(|pending| pending.token.digest.digest == *digest);
        let retired = || self.retired.iter().find(|retired| retired.digest.digest == *digest);
        if let Some(slot) = self.slot_of(digest) {
            Some(Place::Live(slot))
        } else if pending().is_some() {
            Some(Place::Pending)
        } else {
            retired().map(|retired| Place::Retired(retired.id))
        }
    }

    /// Every digest that the account names: primary, backup, pending, retired.
    /// A store answers for each of them, and holds each to be unique.
    pub fn digests(&self) -> impl Iterator<Item = &StoredDigest> {
        let slots = self.primary.iter().chain(&self.backup).map(|record| &record.digest);
        let pending = self.pending.iter().map(|pending| &pending.token.digest);
        slots.chain(pending).chain(self.retired.iter().map(|retired| &retired.digest))
    }

    /// The pepper version of each token in use: primary, backup, pending.
    pub fn pepper_versions_in_use(&self) -> impl Iterator<Item = PepperVersion> {
        let slots = self.primary.iter().chain(&self.backup);
        let tokens = slots.chain(self.pending.iter().map(|pending| &pending.token));
        tokens.map(|token| token.digest.pepper)
    }

    /// Whether a token with this id was given out and has come to this end.
    pub(crate) fn ended(&self, id: TokenId) -> Option<Ending> {
        let retired = self.retired.iter().find(|retired| retired.id == id)?;
        Some(retired.ending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(byte: u8) -> StoredDigest {
        StoredDigest::new(TokenDigest::from_bytes([byte; 32]), PepperVersion::NONE)
    }

    fn record(id: u64) -> TokenRecord {
        let id = TokenId::from_u64(id);
        TokenRecord::new(id, digest(id.as_u64() as u8), TokenHint::unknown(), Timestamp::default())
    }

    #[test]
    fn slot_of_finds_either_slot_and_no_other_place() {
        let retired =
            Retired::new(TokenId::from_u64(1), digest(1), Timestamp::default(), Ending::Deleted);
        let account = Account::builder(UserId::new("alice").unwrap())
            .primary(record(3))
            .backup(record(2))
            .retired([retired])
            .build()
            .unwrap();
        assert_eq!(account.slot_of(&digest(3).digest), Some(Slot::Primary));
        assert_eq!(account.slot_of(&digest(2).digest), Some(Slot::Backup));
        assert_eq!(account.slot_of(&digest(1).digest), None);
        assert_eq!(account.place_of(&digest(1).digest), Some(Place::Retired(TokenId::from_u64(1))));
        assert_eq!(account.place_of(&digest(9).digest), None);
        assert_eq!(account.digests().count(), 3);
    }

    #[test]
    fn an_account_is_small_enough_for_millions() {
        assert!(size_of::<Account>() <= 400, "{} bytes", size_of::<Account>());
    }
}
