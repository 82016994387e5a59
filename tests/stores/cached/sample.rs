//! Accounts and changes of them.

use tower_api_token::account::{Account, AccountBuilder, Revision, TokenRecord};
use tower_api_token::audit::{AuditEntry, Event};
use tower_api_token::method::MethodSet;
use tower_api_token::store::Replacement;
use tower_api_token::time::Timestamp;
use tower_api_token::token::{PepperVersion, StoredDigest, TokenDigest, TokenHint, TokenId};
use tower_api_token::user::{Actor, UserId};

pub(crate) fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// The digest of that number.
pub(crate) fn digest(number: u64) -> TokenDigest {
    let mut bytes = [7; 32];
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    let place = if number < ALIKE { 0..8 } else { 8..16 };
    bytes[place].copy_from_slice(&mixed);
    TokenDigest::from_bytes(bytes)
}

/// Digests from here on have their first eight bytes in common.
pub(crate) const ALIKE: u64 = 1 << 50;

pub(crate) fn token(number: u64) -> TokenRecord {
    let stored = StoredDigest::new(digest(number), PepperVersion::NONE);
    let hint = TokenHint::from_stored("tat_...x7Qz");
    TokenRecord::new(TokenId::from_u64(number), stored, hint, Timestamp::default())
}

/// `name`'s account, which may perform GET.
fn account(name: &str, revision: u64) -> AccountBuilder {
    let methods = MethodSet::new(["GET"]).unwrap();
    let account = Account::builder(user(name)).methods(methods).next_token(1 << 60);
    account.revision(Revision::from_u64(revision))
}

/// `name`'s account without any token.
pub(crate) fn bare(name: &str, revision: u64) -> Account {
    account(name, revision).build().unwrap()
}

/// `name`'s account with this primary.
pub(crate) fn holder(name: &str, revision: u64, primary: u64) -> Account {
    account(name, revision).primary(token(primary)).build().unwrap()
}

/// `name`'s account with this primary and this backup.
pub(crate) fn rotated(name: &str, revision: u64, primary: u64, backup: u64) -> Account {
    account(name, revision).primary(token(primary)).backup(token(backup)).build().unwrap()
}

/// The change to `account` from the revision before.
pub(crate) fn change(account: Account) -> Replacement {
    let revision = account.revision();
    let expected = revision.as_u64().checked_sub(1).filter(|before| *before > 0);
    let (actor, at) = (Actor::program("test").unwrap(), Timestamp::default());
    let entry = AuditEntry::new(account.user().clone(), revision, at, actor, Event::AccessRevoked);
    Replacement::new(account, expected.map(Revision::from_u64), entry)
}
