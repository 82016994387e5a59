//! A store that has to be waited for, and one that is down.

use std::sync::Arc;

use async_trait::async_trait;
use tower_api_token::account::Account;
use tower_api_token::forward_auth::Profile;
use tower_api_token::store::{MemoryStore, StoreError, StoreErrorKind, TokenStore};
use tower_api_token::token::TokenDigest;

use crate::forward_auth::world::*;

/// A store that knows nothing without waiting.
struct Remote(MemoryStore);

#[async_trait]
impl TokenStore for Remote {
    async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        tokio::task::yield_now().await;
        self.0.find(digest).await
    }
}

/// A store that never answers but with an error.
pub(crate) struct Down;

#[async_trait]
impl TokenStore for Down {
    async fn find(&self, _: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        Err(StoreError::new(StoreErrorKind::Unavailable, "reading an account"))
    }
}

/// A store whose record cannot be read.
struct Corrupt;

#[async_trait]
impl TokenStore for Corrupt {
    async fn find(&self, _: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        Err(StoreError::new(StoreErrorKind::Corrupt, "reading an account"))
    }
}

async fn ask_of(store: impl TokenStore, token: &str, method: &str) -> Answer {
    let request = stating(Profile::ForwardedMethod, method).header("authorization", bearer(token));
    let request = request.body(String::new()).unwrap();
    ask(&verify(store, Profile::ForwardedMethod), request).await
}

#[tokio::test]
async fn a_store_that_is_waited_for_is_decided_by_alike() {
    ask_of(Remote(store()), ALICE, "GET").await.grants("alice", "primary");
    ask_of(Remote(store()), ALICE_BACKUP, "GET").await.grants("alice", "backup");
    ask_of(Remote(store()), ALICE, "POST").await.denies(403);
    ask_of(Remote(store()), ALICE, "get").await.denies(403);
    ask_of(Remote(store()), "junk", "GET").await.denies(401);
}

#[tokio::test]
async fn a_store_in_trouble_approves_nothing_and_accuses_nobody() {
    ask_of(Down, ALICE, "GET").await.denies(503);
    ask_of(Corrupt, ALICE, "GET").await.denies(500);
}
