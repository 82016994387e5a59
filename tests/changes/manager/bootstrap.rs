//! The first administrator of a service, made at its first start and never
//! again: what the documentation of `manage` shows, on a file that is kept.

use tower_api_token::TokenManager;
use tower_api_token::manage::{Confirmation, ManageError};
use tower_api_token::method::MethodSet;
use tower_api_token::store::SqliteStore;
use tower_api_token::token::Token;
use tower_api_token::user::{Actor, UserId};

/// The first administrator's token at the very first start, and none at any later one.
async fn first_administrator(
    manager: &TokenManager,
    admin: &UserId,
    methods: MethodSet,
) -> Result<Option<Token>, ManageError> {
    // Whoever has an account is left alone, also without access: somebody has revoked it.
    if manager.summary(admin).await?.is_some() {
        return Ok(None);
    }
    let by = Actor::program("bootstrap").expect("a name");
    manager.grant(&by, admin, methods).await?;
    Ok(Some(manager.issue(&by, admin).await?.token))
}

/// A start of the service.
async fn start(path: &std::path::Path) -> TokenManager {
    let store = SqliteStore::open(path).unwrap();
    store.migrate().await.unwrap();
    let builder = TokenManager::builder(store).confirmation(Confirmation::ByCaller);
    builder.build().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_administrator_is_made_once_and_a_revocation_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tokens.db");
    let (root, methods) = (UserId::new("root").unwrap(), || MethodSet::new(["GET"]).unwrap());
    let first = start(&path).await;
    let token = first_administrator(&first, &root, methods()).await.unwrap();
    assert!(token.is_some());
    drop(first);
    let second = start(&path).await;
    assert!(first_administrator(&second, &root, methods()).await.unwrap().is_none());
    assert!(second.view(&root).await.unwrap().primary.is_some(), "it goes on working");
    let boss = Actor::administrator("boss").unwrap();
    second.revoke_access(&boss, &root).await.unwrap();
    drop(second);
    let third = start(&path).await;
    assert!(first_administrator(&third, &root, methods()).await.unwrap().is_none());
    assert!(third.summary(&root).await.unwrap().unwrap().methods.is_empty());
}

#[tokio::test]
async fn a_builder_without_a_notifier_names_the_way_out() {
    let store = tower_api_token::store::MemoryStore::new();
    let error = TokenManager::builder(store).build().await.unwrap_err().to_string();
    assert!(error.contains(".confirmation(Confirmation::ByCaller)"), "{error}");
}
