//! The accounts that are looked up.

use sha2::{Digest, Sha256};
use tower_api_token::account::{Account, TokenRecord};
use tower_api_token::audit::{AuditEntry, Event};
use tower_api_token::method::MethodSet;
use tower_api_token::store::{AccountStore, Replacement};
use tower_api_token::time::Timestamp;
use tower_api_token::token::{PepperVersion, StoredDigest, TokenDigest, TokenHint, TokenId};
use tower_api_token::user::{Actor, UserId};

/// How many of the tokens are looked up through a cache.
pub(crate) const WORKING_SET: u64 = 1_000;

const BATCH: u64 = 1_000;

/// The digest of the token of that number.
pub(crate) fn digest(number: u64) -> TokenDigest {
    TokenDigest::from_bytes(Sha256::digest(number.to_be_bytes()).into())
}

/// Writes so many accounts.
pub(crate) async fn populate(store: &impl AccountStore, rows: u64) {
    for first in (0..rows).step_by(BATCH as usize) {
        let batch = (first..rows.min(first + BATCH)).map(account).collect();
        let outcomes = store.replace_many(batch).await.expect("a batch");
        assert!(outcomes.iter().all(Result::is_ok), "an account was refused");
    }
}

fn account(number: u64) -> Replacement {
    let user = UserId::new(format!("user-{number:012}")).expect("a name");
    let stored = StoredDigest::new(digest(number), PepperVersion::NONE);
    let (id, at) = (TokenId::from_u64(1), Timestamp::default());
    let token = TokenRecord::new(id, stored, TokenHint::unknown(), at);
    let methods = MethodSet::new(["GET", "POST"]).expect("methods");
    let account = Account::builder(user).methods(methods).primary(token);
    let account = account.build().expect("an account");
    let actor = Actor::program("bench").expect("a name");
    let entry = AuditEntry::new(
        account.user().clone(),
        account.revision(),
        at,
        actor,
        Event::TokenIssued { id },
    );
    Replacement::new(account, None, entry)
}
