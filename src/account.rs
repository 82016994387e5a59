//! One user's record: what a store keeps, and what every rule reads.
//!
//! An account checks its own *structure*: digests named once, ids that the
//! counter has given out, no backup without a primary. What may become of it is
//! policy and stands in [`rotation`](crate::rotation).

mod builder;
mod terms;
mod token;

use std::any::Any;
use std::fmt;

use subtle::ConstantTimeEq;

pub use self::builder::AccountBuilder;
pub(crate) use self::builder::Extension;
pub use self::terms::Lifetimes;
pub(crate) use self::terms::Terms;
pub use self::token::{
    Confirmed, Ending, Expiry, LastUse, Pending, Retired, TokenRecord, UnusedEnd,
};
use crate::method::MethodSet;
use crate::time::Timestamp;
use crate::token::{PepperVersion, StoredDigest, TokenDigest, TokenId, TokenPrefix};
use crate::user::UserId;

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

/// One user's record.
///
/// Made by [`Account::builder`], which checks its structure, and changed by
/// [`rotation::apply`](crate::rotation::apply) alone.
// In this order, so that what a request reads stands together: among millions
// of accounts each cache line has to come from memory.
#[repr(C)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub(crate) user: UserId,
    pub(crate) methods: MethodSet,
    pub(crate) terms: Terms,
    /// Boxed: few accounts have one, and millions of accounts stand in memory.
    pub(crate) backup: Option<Box<TokenRecord>>,
    pub(crate) extension: Extension,
    pub(crate) primary: Option<TokenRecord>,
    pub(crate) revision: Revision,
    /// Boxed, as the backup.
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
            terms: Terms::NONE,
            extension: Extension::NONE,
            primary: None,
            backup: None,
            pending: None,
            retired: Box::default(),
            confirmed: None,
            next_token: 1,
        }
    }

    /// The same, of which revisions and token ids begin above `number`: no
    /// account that was erased has reached them.
    #[must_use]
    pub fn absent_above(user: UserId, number: u64) -> Self {
        let revision = Revision::from_u64(number);
        Self { revision, next_token: number.saturating_add(1), ..Self::absent(user) }
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

    /// How long the user's tokens live, where that is shorter than the policy says.
    #[must_use]
    pub fn lifetimes(&self) -> Lifetimes {
        self.terms.lifetimes()
    }

    /// Since when the user's access is suspended, if it is.
    #[must_use]
    pub fn suspended_since(&self) -> Option<Timestamp> {
        self.terms.suspended_since()
    }

    /// The host's own value, if there is one of that type; see
    /// [`AccountBuilder::extension`].
    #[must_use]
    pub fn extension<T: Any>(&self) -> Option<&T> {
        self.extension.get()
    }

    /// The token to use, expired or not.
    #[must_use]
    pub const fn primary(&self) -> Option<&TokenRecord> {
        self.primary.as_ref()
    }

    /// The former primary, expired or not.
    #[must_use]
    pub fn backup(&self) -> Option<&TokenRecord> {
        self.backup.as_deref()
    }

    /// The token in that slot, expired or not.
    #[must_use]
    pub fn slot(&self, slot: Slot) -> Option<&TokenRecord> {
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

    /// Those in the slots, each with its slot: the primary, then the backup.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (Slot, &TokenRecord)> {
        let primary = self.primary().map(|token| (Slot::Primary, token));
        primary.into_iter().chain(self.backup().map(|token| (Slot::Backup, token)))
    }

    /// Those in the slots: the primary, then the backup.
    pub(crate) fn live_tokens(&self) -> impl Iterator<Item = &TokenRecord> {
        self.primary().into_iter().chain(self.backup())
    }

    /// Whether a token in a slot has expired.
    pub(crate) fn has_expired(&self, now: Timestamp) -> bool {
        self.live_tokens().any(|token| token.is_expired(now))
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
        let is = |record: &&TokenRecord| record.digest.digest.ct_eq(digest).into();
        match (self.primary().filter(is), self.backup().filter(is)) {
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
        let slots = self.live_tokens().map(|record| &record.digest);
        let pending = self.pending.iter().map(|pending| &pending.token.digest);
        slots.chain(pending).chain(self.retired.iter().map(|retired| &retired.digest))
    }

    /// Whether its revision and the ids of all its tokens are above `number`, as
    /// those of a new account must be where an erased one has reached that.
    #[must_use]
    pub fn begins_above(&self, number: u64) -> bool {
        self.least_number() > number
    }

    /// The least of its revision, the ids of its tokens and that of the next one.
    pub(crate) fn least_number(&self) -> u64 {
        let ids = self.token_ids().map(TokenId::as_u64).min().unwrap_or(u64::MAX);
        ids.min(self.revision.as_u64()).min(self.next_token)
    }

    /// The pepper version of each token in use: primary, backup, pending.
    pub fn pepper_versions_in_use(&self) -> impl Iterator<Item = PepperVersion> {
        self.tokens_in_use().map(|token| token.digest.pepper)
    }

    /// The prefix of each token in use; `None` for one of another form, and for
    /// one that was imported by its digest alone.
    pub fn prefixes_in_use(&self) -> impl Iterator<Item = Option<TokenPrefix>> {
        self.tokens_in_use().map(|token| token.hint.prefix())
    }

    /// The primary, the backup, and the pending token.
    pub(crate) fn tokens_in_use(&self) -> impl Iterator<Item = &TokenRecord> {
        let pending = self.pending().map(|pending| &pending.token);
        self.live_tokens().chain(pending)
    }

    /// The id of every token that the account names: in use or retired.
    pub(crate) fn token_ids(&self) -> impl Iterator<Item = TokenId> {
        let in_use = self.tokens_in_use().map(|token| token.id);
        in_use.chain(self.retired.iter().map(|retired| retired.id))
    }

    /// The token of this name, in a slot or pending.
    #[must_use]
    pub fn token(&self, id: TokenId) -> Option<&TokenRecord> {
        let pending = self.pending().map(|pending| &pending.token);
        self.live_tokens().chain(pending).find(|token| token.id == id)
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
    use crate::time::Timestamp;
    use crate::token::TokenHint;

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
        assert!(size_of::<Account>() <= 264, "{} bytes", size_of::<Account>());
    }
}
