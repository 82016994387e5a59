//! Accounts, tokens and events for the cases.

use std::time::Duration;

use crate::account::{Account, AccountBuilder, Confirmed, Ending, Pending, Retired, TokenRecord};
use crate::account::{Expiry, Lifetimes, Revision, Slot, UnusedEnd};
use crate::audit::{AuditEntry, Event};
use crate::method::{MAX_EXTENSION_METHODS, MAX_METHOD_LENGTH, MethodSet};
use crate::rotation::{Command, Facts, NewToken, Policy, Transition, apply};
use crate::store::Replacement;
use crate::time::Timestamp;
use crate::token::{
    CodeDigest, PepperVersion, SealedToken, StoredDigest, TokenDigest, TokenHint, TokenId,
};
use crate::user::{Actor, UserId};

/// When the samples happen: 2026-01-02T03:04:05.678Z.
pub(super) const NOW: Timestamp = Timestamp::from_unix_millis(1_767_323_045_678);

pub(super) const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn user(name: &str) -> UserId {
    UserId::new(name).expect("the name of a sample is valid")
}

/// The digest of that number: different numbers give digests that differ
/// throughout.
pub(super) fn digest(number: u64) -> TokenDigest {
    let mut bytes = [0; 32];
    for (place, word) in (0..).zip(bytes.as_chunks_mut::<8>().0) {
        let mixed = (number * 4 + place + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        *word = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9).to_be_bytes();
    }
    TokenDigest::from_bytes(bytes)
}

pub(super) fn stored(number: u64, pepper: u16) -> StoredDigest {
    StoredDigest::new(digest(number), PepperVersion::from_u16(pepper))
}

pub(super) fn code(number: u64) -> CodeDigest {
    CodeDigest::from_bytes(*digest(number + (1 << 40)).as_bytes())
}

/// The token `id` with the digest of `number`.
pub(super) fn token(id: u64, number: u64) -> TokenRecord {
    let hint = TokenHint::from_stored("tat_...x7Qz");
    TokenRecord::new(TokenId::from_u64(id), stored(number, 0), hint, NOW)
}

pub(super) fn pending(id: u64, number: u64) -> Pending {
    let token = token(id, number);
    Pending::new(token, NOW + DAY, code(number), NOW, NOW + Duration::from_secs(600))
}

pub(super) fn retired(id: u64, number: u64, ending: Ending) -> Retired {
    Retired::new(TokenId::from_u64(id), stored(number, 0), NOW, ending)
}

/// An account that may perform GET, at its first revision.
pub(super) fn account(name: &str) -> AccountBuilder {
    let methods = MethodSet::new(["GET"]).expect("GET can be granted");
    Account::builder(user(name)).methods(methods)
}

pub(super) fn built(builder: AccountBuilder) -> Account {
    builder.build().expect("the parts of a sample fit")
}

/// `name`'s account at `revision`, with a primary that has the id and the digest
/// of `number`.
pub(super) fn holder(name: &str, revision: u64, number: u64) -> Account {
    let parts = account(name).revision(Revision::from_u64(revision));
    built(parts.primary(token(number, number)).next_token(1 << 20))
}

/// Where an account with a token in every place has the digests of
/// [`everywhere`].
pub(super) mod place {
    pub(in super::super) const DELETED: u64 = 1;
    pub(in super::super) const ROLLED_BACK: u64 = 2;
    pub(in super::super) const BACKUP: u64 = 3;
    pub(in super::super) const PRIMARY: u64 = 4;
    pub(in super::super) const PENDING: u64 = 5;
    pub(in super::super) const ALL: [u64; 5] = [DELETED, ROLLED_BACK, BACKUP, PRIMARY, PENDING];
}

/// `name`'s account with a token in every place.
pub(super) fn everywhere(name: &str) -> Account {
    let deleted = retired(place::DELETED, place::DELETED, Ending::Deleted);
    let rolled_back = retired(place::ROLLED_BACK, place::ROLLED_BACK, Ending::RolledBack);
    let parts = account(name).retired([deleted, rolled_back]);
    let parts = parts.backup(token(place::BACKUP, place::BACKUP));
    let parts = parts.primary(token(place::PRIMARY, place::PRIMARY));
    built(parts.pending(pending(place::PENDING, place::PENDING)))
}

/// Accounts that between them use every field and its extremes.
pub(super) fn unusual() -> Vec<Account> {
    let nothing = built(Account::builder(user("nothing")));
    let only_retired = Account::builder(user("only retired")).retired(every_ending());
    let many = (100..300).map(|number| retired(number, number, Ending::Superseded));
    let mut with_lifetimes = token(1, 51);
    with_lifetimes.active_since = NOW + DAY;
    with_lifetimes.expires_at = Some(NOW + DAY * 36_600);
    let mut from_the_start = token(2, 52);
    from_the_start.made_at = Timestamp::default();
    from_the_start.active_since = Timestamp::default();
    from_the_start.hint = TokenHint::unknown();
    from_the_start.digest.pepper = PepperVersion::from_u16(u16::MAX);
    let mut with_every_end = token(4, 54);
    with_every_end.expires_at = Some(NOW + DAY);
    with_every_end.expiry = Some(Box::new(every_end()));
    let mut used_after_a_suspension = token(3, 53);
    let unused_since = Some(NOW);
    used_after_a_suspension.expiry = Some(Box::new(Expiry { unused_since, ..Expiry::default() }));
    let lifetimes = Lifetimes { token: Some(90 * DAY), backup: Some(DAY) };
    let with_terms = account("terms").lifetimes(lifetimes).suspended_since(NOW);
    vec![
        built(with_terms.backup(with_every_end).primary(used_after_a_suspension)),
        built(account("only a lifetime").lifetimes(Lifetimes { token: Some(DAY), backup: None })),
        nothing,
        built(only_retired.next_token(1 << 40)),
        built(account("many retired").retired(many)),
        built(account("lifetimes").backup(with_lifetimes).primary(from_the_start)),
        built(full()),
    ]
}

/// What can be known of a token's end.
fn every_end() -> Expiry {
    Expiry {
        of_lifetime: Some(NOW + 90 * DAY),
        as_backup: Some(NOW + 7 * DAY),
        unless_used: Some(UnusedEnd::new(NOW + DAY, NOW)),
        unused_since: Some(Timestamp::default()),
        notices_done: Some(DAY),
        announced: true,
    }
}

fn every_ending() -> Vec<Retired> {
    let endings = [
        Ending::Superseded,
        Ending::Cancelled,
        Ending::Replaced,
        Ending::Deleted,
        Ending::RolledBack,
        Ending::Revoked,
        Ending::AccessRevoked,
        Ending::Expired,
        Ending::Ended,
    ];
    (21..).zip(endings).map(|(number, ending)| retired(number, number, ending)).collect()
}

/// Every field set, with large numbers.
fn full() -> AccountBuilder {
    let extension = |number| format!("{number:A>MAX_METHOD_LENGTH$}");
    let extensions = (0..MAX_EXTENSION_METHODS).map(extension);
    let standard = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"].map(String::from);
    let methods = MethodSet::new(extensions.chain(standard)).expect("they can be granted");
    let large = 1 << 40;
    let mut waiting = pending(large + 2, 62);
    waiting.replacing_backup = Some(TokenId::from_u64(large));
    waiting.token.digest.pepper = PepperVersion::from_u16(2);
    waiting.token = sealed(waiting.token);
    Account::builder(user("full"))
        .methods(methods)
        .backup(sealed(token(large, 60)))
        .primary(sealed(token(large + 1, 61)))
        .pending(waiting)
        .retired([retired(7, 63, Ending::Replaced)])
        .confirmed(Confirmed::new(TokenId::from_u64(large + 1), code(61)))
        .next_token(large + 10)
}

/// The token with sealed bytes of its own, as many as the longest token needs.
fn sealed(mut token: TokenRecord) -> TokenRecord {
    let bytes = token.digest.digest.as_bytes().iter().cycle().take(560);
    token.sealed = Some(SealedToken::from_bytes(bytes.copied().collect::<Vec<u8>>()));
    token
}

/// One event of each kind, with and without its optional parts.
pub(super) fn events() -> Vec<Event> {
    let id = TokenId::from_u64;
    let methods = MethodSet::new(["GET", "PROPFIND"]).expect("they can be granted");
    let confirmed = |backup, replaced| Event::PrimaryConfirmed { id: id(3), backup, replaced };
    vec![
        Event::AccessGranted { methods: methods.clone(), lifetimes: Lifetimes::default() },
        Event::AccessGranted {
            methods,
            lifetimes: Lifetimes { token: Some(90 * DAY), backup: Some(7 * DAY) },
        },
        Event::AccessSuspended,
        Event::AccessResumed,
        Event::TokenIssued { id: id(1) },
        Event::PrimaryGenerated { id: id(2), superseded: None },
        Event::PrimaryGenerated { id: id(3), superseded: Some(id(2)) },
        Event::ConfirmationNotSent { id: id(3) },
        Event::ConfirmationResent { id: id(3) },
        confirmed(None, None),
        confirmed(Some(id(1)), None),
        confirmed(Some(id(2)), Some(id(1))),
        Event::PendingCancelled { id: id(4) },
        Event::BackupDeleted { id: id(1) },
        Event::RolledBack { given_up: id(3), primary: id(1) },
        Event::AllRevoked,
        Event::TokenImported { id: id(1 << 40), slot: Slot::Primary },
        Event::TokenImported { id: id(6), slot: Slot::Backup },
        Event::TokenRevealed { id: id(1) },
        Event::LeakReported { id: id(1), found: "commit https://example.com/a\"b".to_owned() },
        Event::TokenEnded { id: id(1), promoted: None },
        Event::TokenEnded { id: id(1), promoted: Some(id(2)) },
        Event::ExpiryAnnounced {
            id: id(1),
            expires_at: NOW + DAY,
            notice: DAY,
            unless_used: false,
        },
        Event::ExpiryAnnounced {
            id: id(1),
            expires_at: NOW + 30 * DAY,
            notice: 30 * DAY,
            unless_used: true,
        },
        Event::ExpiryLifted { id: id(1), expires_at: None },
        Event::ExpiryLifted { id: id(1), expires_at: Some(NOW + DAY) },
        Event::TokenExpired { id: id(1), expired_at: NOW, promoted: None },
        Event::TokenExpired { id: id(3), expired_at: NOW + DAY, promoted: Some(id(2)) },
        Event::RetiredTokenUsed { id: id(1), count: 1 << 40 },
        Event::AccessRevoked,
    ]
}

/// The change that puts `account` in the place of the revision before it, or
/// creates it at its first.
pub(super) fn change(account: Account) -> Replacement {
    let before = account.revision().as_u64().saturating_sub(1);
    let expected = (before > 0).then_some(Revision::from_u64(before));
    expecting(account, expected)
}

/// A change to `account` that expects that revision.
pub(super) fn expecting(account: Account, expected: Option<Revision>) -> Replacement {
    let event = Event::AccessGranted {
        methods: account.methods().clone(),
        lifetimes: Lifetimes::default(),
    };
    let entry = entry(&account, Actor::User, event);
    Replacement::new(account, expected, entry)
}

/// What the history keeps of a change to `account`.
pub(super) fn entry(account: &Account, actor: Actor, event: Event) -> AuditEntry {
    AuditEntry::new(account.user().clone(), account.revision(), NOW, actor, event)
}

/// One account, its time, and the number of its next token's digest.
pub(super) struct Life {
    account: Account,
    now: Timestamp,
    next: u64,
}

impl Life {
    /// The life of `name`'s account, whose tokens have the digests of `first`
    /// and the numbers after it.
    pub(super) fn of(name: &str, first: u64) -> Self {
        Self { account: Account::absent(user(name)), now: NOW, next: first }
    }

    pub(super) const fn account(&self) -> &Account {
        &self.account
    }

    pub(super) fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    pub(super) fn grant(&mut self) -> Replacement {
        let methods = MethodSet::new(["GET"]).expect("GET can be granted");
        self.step(Command::Grant { methods, lifetimes: None })
    }

    pub(super) fn issue(&mut self) -> Replacement {
        let token = self.token();
        self.step(Command::Issue { token })
    }

    /// Generates a primary that takes the backup's place, if there is one.
    pub(super) fn generate(&mut self) -> Replacement {
        let replacing_backup = self.account.backup().map(|backup| backup.id);
        let code = code(self.next);
        let token = self.token();
        self.step(Command::GeneratePrimary { token, code, replacing_backup })
    }

    pub(super) fn confirm(&mut self) -> Replacement {
        self.step(Command::Confirm { code: code(self.next - 1) })
    }

    pub(super) fn cancel(&mut self) -> Replacement {
        let id = self.account.pending().expect("there is a pending token").token.id;
        self.step(Command::CancelPending { id })
    }

    pub(super) fn delete_backup(&mut self) -> Replacement {
        let id = self.account.backup().expect("there is a backup").id;
        self.step(Command::DeleteBackup { id, even_if_in_use: true })
    }

    pub(super) fn roll_back(&mut self) -> Replacement {
        let give_up: TokenId = self.account.primary().expect("there is a primary").id;
        self.step(Command::RollBack { give_up, even_if_in_use: true })
    }

    pub(super) fn revoke_all(&mut self) -> Replacement {
        self.step(Command::RevokeAll)
    }

    /// Every digest that the account names now.
    pub(super) fn digests(&self) -> Vec<TokenDigest> {
        self.account.digests().map(|stored| stored.digest).collect()
    }

    fn token(&mut self) -> NewToken {
        let token = NewToken::new(stored(self.next, 0), TokenHint::unknown());
        self.next += 1;
        token
    }

    fn step(&mut self, command: Command) -> Replacement {
        let policy = Policy::default();
        let facts = Facts::new(self.now, &policy);
        let step = apply(&self.account, command, &facts);
        let Transition { account, event, .. } =
            step.expect("the steps of the suite obey the rules");
        let before = self.account.revision();
        let expected = (before != Revision::ABSENT).then_some(before);
        let (user, revision) = (account.user().clone(), account.revision());
        let entry = AuditEntry::new(user, revision, self.now, Actor::User, event);
        self.account = account.clone();
        Replacement::new(account, expected, entry)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Does not compile until an event that is added has a number here: put it
    /// among the samples, too, and into the range below.
    fn kind(event: &Event) -> u8 {
        match event {
            Event::AccessGranted { .. } => 0,
            Event::AccessRevoked => 1,
            Event::PrimaryGenerated { .. } => 2,
            Event::ConfirmationResent { .. } => 3,
            Event::PrimaryConfirmed { .. } => 4,
            Event::PendingCancelled { .. } => 5,
            Event::BackupDeleted { .. } => 6,
            Event::RolledBack { .. } => 7,
            Event::AllRevoked => 8,
            Event::TokenIssued { .. } => 9,
            Event::TokenImported { .. } => 10,
            Event::RetiredTokenUsed { .. } => 11,
            Event::ConfirmationNotSent { .. } => 12,
            Event::TokenRevealed { .. } => 13,
            Event::TokenExpired { .. } => 14,
            Event::AccessSuspended => 15,
            Event::AccessResumed => 16,
            Event::TokenEnded { .. } => 17,
            Event::LeakReported { .. } => 18,
            Event::ExpiryAnnounced { .. } => 19,
            Event::ExpiryLifted { .. } => 20,
        }
    }

    #[test]
    fn the_samples_hold_every_event_and_every_ending() {
        let kinds: BTreeSet<_> = events().iter().map(kind).collect();
        assert!(kinds.into_iter().eq(0..=20));
        let names: BTreeSet<_> = events().iter().map(Event::name).collect();
        assert_eq!(names, BTreeSet::from(Event::NAMES));
        let ending = |retired: &Retired| match retired.ending {
            Ending::Superseded => 0,
            Ending::Cancelled => 1,
            Ending::Replaced => 2,
            Ending::Deleted => 3,
            Ending::RolledBack => 4,
            Ending::Revoked => 5,
            Ending::AccessRevoked => 6,
            Ending::Expired => 7,
            Ending::Ended => 8,
        };
        assert!(every_ending().iter().map(ending).eq(0..=8));
    }

    #[test]
    fn different_numbers_give_different_digests() {
        let digests: BTreeSet<_> = (0..10_000).map(|number| *digest(number).as_bytes()).collect();
        assert_eq!(digests.len(), 10_000);
    }
}
