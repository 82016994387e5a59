//! The pages over a store of the host's own that keeps accounts and their histories, and
//! nothing more.

use std::sync::Arc;

use tower_api_token::TokenManager;
use tower_api_token::manage::Confirmation;
use tower_api_token::portal::Portal;

use crate::bare::Bare;
use crate::web::world::{ROOT, World};

async fn world() -> World {
    let mut world = World::new().await;
    let builder = TokenManager::builder(Bare(Arc::clone(&world.store)));
    let manager = builder.confirmation(Confirmation::ByCaller).build().await.unwrap();
    world.router = Portal::new(manager).into_router();
    world
}

#[tokio::test]
async fn what_the_store_does_not_keep_is_said_to_be_missing() {
    let world = world().await;
    for (page, lacks) in [
        ("/tokens/admin/audit", "does not support an audit log"),
        ("/tokens/admin?unused_for=30d", "does not support reading last uses"),
    ] {
        let answer = world.get(ROOT, page).await;
        assert_eq!(answer.status, 501, "{page}: {}", answer.text);
        assert!(answer.text.contains(lacks), "{page}: {}", answer.text);
    }
    for operation in ["audit", "users?unused_for=30d"] {
        let answer = world.get(ROOT, &format!("/tokens/api/admin/{operation}")).await;
        assert_eq!((answer.status.as_u16(), &*answer.problem()), (501, "unsupported"));
    }
}

#[tokio::test]
async fn one_users_history_and_the_other_filters_need_no_more() {
    let world = world().await;
    let page = world.get(ROOT, "/tokens/admin/audit?user=alice").await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.text.contains("API access granted: GET"), "{}", page.text);
    let suspended = world.submit(ROOT, "/tokens/admin/suspend?user=bob", &[("agree", "yes")]).await;
    assert_eq!(suspended.status, 303, "{}", suspended.text);
    let list = world.get(ROOT, "/tokens/admin?suspended=yes").await;
    assert!(list.text.contains("user=bob") && !list.text.contains("user=alice"), "{}", list.text);
}
