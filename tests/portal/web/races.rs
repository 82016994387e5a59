//! Two people decide about one account at the same time.

use std::sync::Arc;

use serde_json::json;
use tower_api_token::TokenManager;
use tower_api_token::portal::Portal;
use tower_api_token::store::WithTimeout;

use crate::web::world::{ALICE, ROOT, Session, World, user};

/// A portal over a store that takes its time for each change, so that whoever
/// asks second has looked at the account before the first has changed it.
async fn slow() -> World {
    let mut world = World::new().await;
    let store = WithTimeout::new(Arc::clone(&world.store));
    let manager = TokenManager::builder(store)
        .confirmation(tower_api_token::manage::Confirmation::ByCaller)
        .build()
        .await
        .unwrap();
    world.router = Portal::new(manager).into_router();
    world
}

#[tokio::test]
async fn of_two_administrators_who_saw_the_same_one_changes_the_methods() {
    let world = slow().await;
    let revision = world.view("alice").await.revision.as_u64();
    let grant = |method: &str| {
        json!({ "user": "alice", "methods": [method], "revision": revision }).to_string()
    };
    let (put, delete) = (grant("PUT"), grant("DELETE"));
    let (first, second) = tokio::join!(
        world.api(ROOT, "admin/methods", &put),
        world.api(Session::Admin("other"), "admin/methods", &delete),
    );
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (204, 409), "{}", second.text);
    assert_eq!(second.problem(), "stale");
    assert_eq!(world.view("alice").await.methods.to_string(), "PUT");
    // Two who want the same do not disturb each other.
    let revision = world.view("alice").await.revision.as_u64();
    let same = json!({ "user": "alice", "methods": ["GET"], "revision": revision }).to_string();
    let (first, second) = tokio::join!(
        world.api(ROOT, "admin/methods", &same),
        world.api(Session::Admin("other"), "admin/methods", &same),
    );
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (204, 204), "{}", second.text);
}

#[tokio::test]
async fn of_two_administrators_who_saw_the_same_one_revokes_access() {
    let world = slow().await;
    let revision = world.view("alice").await.revision.as_u64();
    let set = |methods: &[&str]| {
        json!({ "user": "alice", "methods": methods, "revision": revision }).to_string()
    };
    let (more, none) = (set(&["GET", "PUT"]), set(&[]));
    let (first, second) = tokio::join!(
        world.api(ROOT, "admin/methods", &more),
        world.api(Session::Admin("other"), "admin/methods", &none),
    );
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (204, 409), "{}", second.text);
    assert_eq!(world.view("alice").await.methods.to_string(), "GET, PUT");
}

#[tokio::test]
async fn tokens_that_an_administrator_was_not_shown_are_not_revoked() {
    let world = slow().await;
    let generated = world.api(ALICE, "generate", "{}").await.json();
    let code = json!({ "code": generated["code"] }).to_string();
    let shown = json!({ "user": "alice", "pending": generated["id"] }).to_string();
    let (confirmed, revoked) = tokio::join!(
        world.api(ALICE, "confirm", &code),
        world.api(ROOT, "admin/revoke-all", &shown),
    );
    assert_eq!((confirmed.status.as_u16(), revoked.status.as_u16()), (204, 409));
    assert!(world.view("alice").await.primary.is_some());
}

/// What does not touch the tokens does not stand in the way of their end.
#[tokio::test]
async fn every_token_is_revoked_although_the_methods_change_meanwhile() {
    let world = slow().await;
    let generated = world.api(ALICE, "generate", "{}").await.json();
    let revision = world.view("alice").await.revision.as_u64();
    let shown = json!({ "user": "alice", "pending": generated["id"] }).to_string();
    let grant = json!({ "user": "alice", "methods": ["PUT"], "revision": revision }).to_string();
    let (granted, revoked) = tokio::join!(
        world.api(ROOT, "admin/methods", &grant),
        world.api(Session::Admin("other"), "admin/revoke-all", &shown),
    );
    assert_eq!((granted.status.as_u16(), revoked.status.as_u16()), (204, 204), "{}", revoked.text);
    assert!(world.view("alice").await.pending.is_none());
}

#[tokio::test]
async fn a_token_is_generated_only_beside_the_primary_that_was_shown() {
    let world = slow().await;
    world.manager.issue(&tower_api_token::user::Actor::User, &user("alice")).await.unwrap();
    let shown = json!({ "primary": 1 }).to_string();
    let (revoked, generated) =
        tokio::join!(world.api(ALICE, "revoke-all", &shown), world.api(ALICE, "generate", &shown),);
    assert_eq!((revoked.status.as_u16(), generated.status.as_u16()), (204, 409));
    assert!(world.view("alice").await.pending.is_none());
}
