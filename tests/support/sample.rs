//! Accounts to keep.

use tower_api_token::account::{Account, Revision, TokenRecord};
use tower_api_token::audit::{AuditEntry, Event};
use tower_api_token::method::MethodSet;
use tower_api_token::store::Replacement;
use tower_api_token::time::Timestamp;
use tower_api_token::token::{PepperVersion, StoredDigest, TokenDigest, TokenHint, TokenId};
use tower_api_token::user::{Actor, UserId};

pub(crate) fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

pub(crate) fn digest(number: u64) -> TokenDigest {
    let mut bytes = [0xd1; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    TokenDigest::from_bytes(bytes)
}

pub(crate) fn token(id: u64, number: u64) -> TokenRecord {
    let stored = StoredDigest::new(digest(number), PepperVersion::NONE);
    let now = Timestamp::from_unix_millis(1_700_000_000_000);
    TokenRecord::new(TokenId::from_u64(id), stored, TokenHint::unknown(), now)
}

/// The user's account at that revision, with one token of that digest.
pub(crate) fn account(name: &str, revision: u64, number: u64) -> Account {
    Account::builder(user(name))
        .revision(Revision::from_u64(revision))
        .methods(MethodSet::new(["GET"]).unwrap())
        .primary(token(1, number))
        .build()
        .unwrap()
}

/// The change that makes the account what it is, from the revision before.
pub(crate) fn change(account: Account) -> Replacement {
    let (user, revision) = (account.user().clone(), account.revision());
    let before = revision.as_u64() - 1;
    let at = Timestamp::from_unix_millis(1_700_000_000_000);
    let entry = AuditEntry::new(user, revision, at, Actor::User, Event::AllRevoked);
    let expected = (before > 0).then_some(Revision::from_u64(before));
    Replacement::new(account, expected, entry)
}
