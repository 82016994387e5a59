//! Changes that a store makes, or refuses, when its time-out has passed.

use std::sync::Arc;
use std::time::Duration;

use tower_api_token::account::Slot;
use tower_api_token::audit::AuditEntry;
use tower_api_token::manage::{Guard, ImportItem, ImportedToken, TokenManager};
use tower_api_token::method::MethodSet;
use tower_api_token::store::{
    AccountStore, CacheOptions, CachedStore, PageSize, StoreErrorKind, WithMetrics, WithTimeout,
};
use tower_api_token::user::Actor;

use crate::manager::store::{Call, Fault};
use crate::manager::world::{Postman, Recorder, World, alice, bob, is_waiting, root};

on_every_store!(
    a_change_made_after_its_timeout_is_told_of_once,
    a_change_refused_after_its_timeout_is_not_told_of,
    a_code_goes_out_when_its_token_is_kept_after_the_timeout,
    an_import_made_after_its_timeout_is_told_of,
    an_erasure_made_after_its_timeout_is_told_of_once,
    idle_waits_for_what_nobody_else_waits_for,
);

/// A manager that has everything between it and the store that there is.
async fn behind_a_timeout(world: &World) -> TokenManager {
    let store = WithTimeout::new(Arc::clone(&world.store)).limit(Duration::from_millis(100));
    let store = CachedStore::start(WithMetrics::new(store), CacheOptions::new()).unwrap();
    let manager = TokenManager::builder(store)
        .scheme(world.scheme.clone())
        .notifier(Postman(Arc::clone(&world.post)))
        .events(Recorder(Arc::clone(&world.log)));
    manager.build().await.unwrap()
}

async fn history(world: &World) -> Vec<AuditEntry> {
    let page = world.store.history(alice(), None, PageSize::MAX).await.unwrap();
    page.items.into_iter().rev().collect()
}

fn notices(world: &World) -> usize {
    world.post.notices.lock().unwrap().len()
}

async fn a_change_made_after_its_timeout_is_told_of_once(world: World) {
    let (_, backup) = world.dual().await;
    let (manager, before) = (behind_a_timeout(&world).await, notices(&world));
    world.store.plan(Call::Replace, Fault::Held(None));
    let delete = manager.delete_backup(&Actor::User, alice(), backup.id, Guard::EvenIfInUse);
    delete.await.unwrap_err();
    assert_ne!(world.history().await.last(), Some(&"backup_deleted"), "not yet");
    assert_eq!(notices(&world), before);
    world.store.let_go();
    manager.idle().await;
    assert_eq!(world.log.entries(), history(&world).await);
    assert_eq!(world.history().await.last(), Some(&"backup_deleted"));
    assert_eq!(notices(&world), before + 1);
}

async fn a_change_refused_after_its_timeout_is_not_told_of(world: World) {
    world.dual().await;
    let (manager, before) = (behind_a_timeout(&world).await, notices(&world));
    world.store.plan(Call::Replace, Fault::Held(Some(StoreErrorKind::Conflict)));
    manager.revoke_all(&Actor::User, alice()).await.unwrap_err();
    world.store.let_go();
    manager.idle().await;
    assert_eq!(world.log.entries(), history(&world).await);
    assert_eq!(notices(&world), before);
}

async fn a_code_goes_out_when_its_token_is_kept_after_the_timeout(world: World) {
    world.active().await;
    let manager = behind_a_timeout(&world).await;
    world.store.plan(Call::Replace, Fault::Held(None));
    manager.generate_primary(&Actor::User, alice()).await.unwrap_err();
    assert_eq!(world.post.count(), 0);
    world.store.let_go();
    manager.idle().await;
    assert_eq!(world.post.count(), 1);
    world.confirm(&world.post.last_code()).await;
    assert_eq!(world.log.entries(), history(&world).await);
}

async fn an_import_made_after_its_timeout_is_told_of(world: World) {
    let world = world.accepting_foreign().await;
    let manager = behind_a_timeout(&world).await;
    let rows = [alice(), bob()].map(|user| {
        let token = ImportedToken::Sha256([user.as_str().len() as u8; 32]);
        let mut row = ImportItem::new(user.clone(), Slot::Primary, token);
        row.methods = Some(MethodSet::new(["GET"]).unwrap());
        row
    });
    world.store.plan(Call::ReplaceMany, Fault::Held(None));
    manager.import_many(root(), &rows).await.unwrap_err();
    assert!(world.log.entries().is_empty());
    world.store.let_go();
    manager.idle().await;
    let told = world.log.entries();
    let of_alice: Vec<_> = told.iter().filter(|entry| entry.user == *alice()).cloned().collect();
    assert_eq!(of_alice, history(&world).await);
    assert_eq!((told.len(), of_alice.len()), (4, 2));
}

async fn an_erasure_made_after_its_timeout_is_told_of_once(world: World) {
    world.active().await;
    let manager = behind_a_timeout(&world).await;
    world.store.plan(Call::Erase, Fault::Held(None));
    manager.erase(root(), alice()).await.unwrap_err();
    assert!(world.log.erased().is_empty());
    world.store.let_go();
    manager.idle().await;
    assert_eq!(world.log.erased().len(), 1);
    assert!(history(&world).await.is_empty());
}

async fn idle_waits_for_what_nobody_else_waits_for(world: World) {
    world.active().await;
    world.manager.idle().await;
    world.store.plan(Call::Replace, Fault::Held(None));
    let mut generating = Box::pin(world.manager.generate_primary(&Actor::User, alice()));
    assert!(is_waiting(&mut generating));
    drop(generating);
    let mut idle = Box::pin(world.manager.idle());
    assert!(is_waiting(&mut idle));
    assert_eq!(world.post.count(), 0);
    world.store.let_go();
    idle.await;
    assert_eq!(world.post.count(), 1);
}
