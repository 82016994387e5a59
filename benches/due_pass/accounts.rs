//! The accounts: few of them due in each round, the others later or never.

use std::time::Duration;

use sha2::{Digest, Sha256};
use tower_api_token::account::{Account, Revision, TokenRecord};
use tower_api_token::audit::{AuditEntry, Event};
use tower_api_token::method::MethodSet;
use tower_api_token::store::{AccountStore, DueAccounts, Replacement};
use tower_api_token::time::Timestamp;
use tower_api_token::token::{PepperVersion, StoredDigest, TokenDigest, TokenHint, TokenId};
use tower_api_token::user::{Actor, UserId};

/// Accounts written at once.
const BATCH: usize = 1_000;

const DAY: Duration = Duration::from_secs(86_400);

/// How many accounts there are, and of how many something is due in each round.
pub(crate) struct Accounts {
    pub(crate) rows: usize,
    pub(crate) due: usize,
    /// Rounds that find as many accounts due as the others.
    pub(crate) batches: usize,
}

impl Accounts {
    /// Every so many accounts one has its round.
    fn stride(&self) -> usize {
        let stride = self.rows / (self.due * self.batches);
        assert!(stride > 1, "there are too few accounts for so many rounds");
        stride
    }

    /// Writes them all. Those that have their round are due much later for now.
    pub(crate) async fn populate(&self, store: &impl AccountStore) {
        let (now, stride) = (Timestamp::now(), self.stride());
        for first in (0..self.rows).step_by(BATCH) {
            let batch = first..self.rows.min(first + BATCH);
            let batch = batch.map(|number| match number {
                _ if number.is_multiple_of(stride) => replacement(number, Some(now + DAY * 5), now),
                _ if number % 2 == 1 => replacement(number, Some(now + DAY * 300), now),
                _ => replacement(number, None, now),
            });
            let outcomes = store.replace_many(batch.collect()).await.expect("a batch");
            assert!(outcomes.iter().all(Result::is_ok), "an account was refused");
        }
    }

    /// Lets those of a round be due: their users have not been told that their tokens
    /// end in five days.
    pub(crate) async fn let_be_due(&self, store: &dyn DueAccounts, round: usize) {
        let numbers = (0..self.due).map(|number| (number * self.batches + round) * self.stride());
        let due = Timestamp::now();
        let due = numbers.map(|number| (user(number), Revision::from_u64(1), Some(due)));
        store.put_off_many(&due.collect::<Vec<_>>()).await.expect("an index");
    }
}

/// The digest of the token of that number.
pub(crate) fn digest(number: usize) -> TokenDigest {
    TokenDigest::from_bytes(Sha256::digest(number.to_be_bytes()).into())
}

fn user(number: usize) -> UserId {
    UserId::new(format!("user-{number:012}")).expect("a name")
}

/// An account whose token has that end.
fn replacement(number: usize, end: Option<Timestamp>, now: Timestamp) -> Replacement {
    let stored = StoredDigest::new(digest(number), PepperVersion::NONE);
    let (id, hint) = (TokenId::from_u64(1), TokenHint::unknown());
    let mut token = TokenRecord::new(id, stored, hint, now);
    token.expires_at = end;
    let account = Account::builder(user(number)).revision(Revision::from_u64(1));
    let account = account.methods(MethodSet::new(["GET", "POST"]).expect("methods"));
    let account = account.primary(token).build().expect("an account");
    let (revision, actor) = (account.revision(), Actor::program("bench").expect("a name"));
    let entry = AuditEntry::new(user(number), revision, now, actor, Event::TokenIssued { id });
    Replacement::new(account, None, entry).with_due(end.map(|_| now + DAY * 270))
}
