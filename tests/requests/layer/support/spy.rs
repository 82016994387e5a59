//! A store that tells what it was asked.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tower_api_token::account::Account;
use tower_api_token::store::{MemoryStore, StoreError, StoreErrorKind, TokenStore};
use tower_api_token::token::TokenDigest;

/// How the spy answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    /// From memory, without waiting.
    Peek,
    /// Only when it is awaited; that is ready at once.
    Find,
    /// With an error of that kind.
    Fail(StoreErrorKind),
    /// Never.
    Hang,
}

/// One question, with the digest it was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Peek([u8; 32]),
    Find([u8; 32]),
}

/// A store with accounts in memory that answers as it is told to, and keeps
/// every question.
pub(crate) struct Spy {
    accounts: MemoryStore,
    answers: Answers,
    calls: Mutex<Vec<Call>>,
}

impl Spy {
    pub(crate) fn new(accounts: impl IntoIterator<Item = Account>, answers: Answers) -> Arc<Self> {
        let store = MemoryStore::new();
        for account in accounts {
            store.insert(account).expect("an account without conflict");
        }
        Arc::new(Self { accounts: store, answers, calls: Mutex::default() })
    }

    /// The questions since it was last asked for them.
    pub(crate) fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.calls.lock().expect("no panic"))
    }

    fn note(&self, call: Call) {
        self.calls.lock().expect("no panic").push(call);
    }
}

#[async_trait]
impl TokenStore for Spy {
    fn peek(&self, digest: &TokenDigest, visit: &mut dyn FnMut(Option<&Account>)) -> bool {
        self.note(Call::Peek(*digest.as_bytes()));
        self.answers == Answers::Peek && self.accounts.peek(digest, visit)
    }

    async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        self.note(Call::Find(*digest.as_bytes()));
        match self.answers {
            Answers::Peek | Answers::Find => self.accounts.find(digest).await,
            Answers::Fail(kind) => Err(StoreError::new(kind, "testing")),
            Answers::Hang => std::future::pending().await,
        }
    }
}
