//! A host's own store, with what it must have and nothing else.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use tower::{Layer, ServiceExt};
use tower_api_token::account::{Account, Revision};
use tower_api_token::audit::AuditEntry;
use tower_api_token::manage::{Confirmation, Delivery, Guard, ManageError};
use tower_api_token::method::MethodSet;
use tower_api_token::rotation::RotationError;
use tower_api_token::store::{
    AccountStore, CacheOptions, CachedStore, Loaded, Page, PageSize, Replacement, StoreError,
    StoreErrorKind, TokenStore, WithMetrics, WithTimeout,
};
use tower_api_token::time::Timestamp;
use tower_api_token::token::{Pepper, Token, TokenDigest, TokenScheme};
use tower_api_token::user::{Actor, UserId};
use tower_api_token::{Tokens, conformance_suite};

/// Accounts in a table, and who names each digest in another.
#[derive(Default)]
struct OwnTable(Mutex<Rows>);

#[derive(Default)]
struct Rows {
    accounts: BTreeMap<String, Arc<Account>>,
    owners: HashMap<TokenDigest, String>,
    history: HashMap<String, Vec<AuditEntry>>,
}

impl OwnTable {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl TokenStore for OwnTable {
    async fn find(&self, digest: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        let rows = self.rows();
        Ok(rows.owners.get(digest).and_then(|owner| rows.accounts.get(owner)).cloned())
    }
}

#[async_trait]
impl AccountStore for OwnTable {
    async fn load(&self, user: &UserId) -> Result<Loaded, StoreError> {
        let account = self.rows().accounts.get(user.as_str()).cloned();
        Ok(Loaded::new(account, Timestamp::now()))
    }

    async fn replace(&self, replacement: Replacement) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let name = replacement.account.user().as_str().to_owned();
        let found = rows.accounts.get(&name).map(|account| account.revision());
        let digests = || replacement.account.digests().map(|stored| stored.digest);
        let is_taken = |digest| rows.owners.get(&digest).is_some_and(|owner| *owner != name);
        if found != replacement.expected || digests().any(is_taken) {
            return Err(StoreError::new(StoreErrorKind::Conflict, "replacing an account"));
        }
        rows.owners.retain(|_, owner| *owner != name);
        rows.owners.extend(digests().map(|digest| (digest, name.clone())));
        rows.history.entry(name.clone()).or_default().extend(replacement.entries().cloned());
        rows.accounts.insert(name, Arc::new(replacement.account));
        Ok(())
    }

    async fn list(
        &self,
        after: Option<&UserId>,
        size: PageSize,
    ) -> Result<Page<Arc<Account>>, StoreError> {
        let rows = self.rows();
        let follows = |name: &String| after.is_none_or(|after| name.as_str() > after.as_str());
        let accounts = rows.accounts.iter().filter(|(name, _)| follows(name));
        let accounts = accounts.map(|(_, account)| Arc::clone(account));
        Ok(Page::of_accounts(accounts.take(size.get() + 1).collect(), size))
    }

    async fn history(
        &self,
        user: &UserId,
        before: Option<Revision>,
        size: PageSize,
    ) -> Result<Page<AuditEntry, Revision>, StoreError> {
        let rows = self.rows();
        let entries = rows.history.get(user.as_str()).into_iter().flatten().rev();
        let entries = entries.filter(|entry| before.is_none_or(|before| entry.revision < before));
        Ok(Page::of_entries(entries.take(size.get() + 1).cloned().collect(), size))
    }
}

conformance_suite!(
    suite,
    || async { OwnTable::default() },
    without Feed + LastUses + AuditLog + DueAccounts + PepperChecks + Erasure
);

// What stands in front of a store has what that store has, and nothing else.
conformance_suite!(
    behind_everything,
    || async {
        let store = WithTimeout::new(WithMetrics::new(OwnTable::default()));
        CachedStore::start(store, CacheOptions::new()).unwrap()
    },
    without Feed + LastUses + AuditLog + DueAccounts + PepperChecks + Erasure
);

async fn tokens() -> Tokens {
    let builder = Tokens::builder(OwnTable::default()).confirmation(Confirmation::ByCaller);
    builder.build().await.unwrap()
}

async fn status(tokens: &Tokens, token: &Token) -> StatusCode {
    let ok = tower::service_fn(async |_: Request<Empty<Bytes>>| {
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let bearer = format!("Bearer {}", token.expose_secret());
    let request = Request::get("/").header("authorization", bearer).body(Empty::new());
    tokens.layer().layer(ok).oneshot(request.unwrap()).await.unwrap().status()
}

/// A rotation, from the first token to the end of the backup, with a layer that
/// follows it.
#[tokio::test]
async fn tokens_live_and_end_in_a_hosts_own_table() {
    let (tokens, alice, root) = (tokens().await, UserId::new("alice").unwrap(), Actor::User);
    let manager = tokens.manager();
    manager.grant(&root, &alice, MethodSet::new(["GET"]).unwrap()).await.unwrap();
    let first = manager.issue(&root, &alice).await.unwrap().token;
    let second = manager.generate_primary(&root, &alice).await.unwrap();
    let Delivery::ToCaller(code) = second.delivery else { panic!("the code is the caller's") };
    assert_eq!(status(&tokens, &second.token).await, StatusCode::UNAUTHORIZED);
    manager.confirm(&root, &alice, &code).await.unwrap();
    assert_eq!(status(&tokens, &first).await, StatusCode::OK);
    assert_eq!(status(&tokens, &second.token).await, StatusCode::OK);
    tokens.flush().await.unwrap();

    let view = manager.view(&alice).await.unwrap();
    let backup = view.backup.unwrap();
    assert_eq!((backup.last_used_at, backup.client, backup.in_use), (None, None, true));
    let refused = manager.delete_backup(&root, &alice, backup.id, Guard::UnlessInUse).await;
    let refused = refused.unwrap_err();
    let unknown = RotationError::InUse { id: backup.id, last_used_at: None };
    assert_eq!(refused.refusal(), Some(unknown), "nobody can tell whether it is in use");
    manager.delete_backup(&root, &alice, backup.id, Guard::EvenIfInUse).await.unwrap();
    assert_eq!(status(&tokens, &first).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&tokens, &second.token).await, StatusCode::OK);
    assert!(!manager.history(&alice, None, PageSize::MAX).await.unwrap().items.is_empty());
    tokens.close().await.unwrap();
}

#[tokio::test]
async fn what_a_host_does_not_offer_is_told_by_its_kind() {
    let (tokens, alice, root) = (tokens().await, UserId::new("alice").unwrap(), Actor::User);
    let manager = tokens.manager();
    manager.grant(&root, &alice, MethodSet::new(["GET"]).unwrap()).await.unwrap();
    let erased = manager.erase(&root, &alice).await.unwrap_err();
    let ManageError::Store(error) = &erased else { panic!("{erased:?}") };
    assert_eq!(error.kind(), StoreErrorKind::Unsupported);
    assert_eq!(error.to_string(), "not supported by the store while erasing an account");

    let pepper = Pepper::new(1, &[7; 32]).unwrap();
    let scheme = TokenScheme::default().pepper(pepper).unwrap();
    let builder = Tokens::builder(OwnTable::default()).confirmation(Confirmation::ByCaller);
    let refused = builder.scheme(scheme).build().await.unwrap_err();
    let ManageError::Store(error) = &refused else { panic!("{refused:?}") };
    assert_eq!(error.kind(), StoreErrorKind::Unsupported);
}
