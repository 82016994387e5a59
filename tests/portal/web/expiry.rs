//! What the pages say of tokens that have expired: bug report B51 (a).

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tower_api_token::TokenManager;
use tower_api_token::account::Slot;
use tower_api_token::manage::{Confirmation, ImportedToken};
use tower_api_token::portal::Portal;
use tower_api_token::rotation::Policy;
use tower_api_token::token::TokenScheme;
use tower_api_token::user::Actor;

use crate::web::world::{ALICE, ROOT, World, user};

const LIFETIME: Duration = Duration::from_secs(30 * 86_400);
const EDITS: [&str; 5] = ["generate", "delete-backup", "roll-back", "cancel-pending", "revoke-all"];

/// A world in which tokens live for thirty days and codes are shown.
async fn limited() -> World {
    let mut world = World::new().await;
    let manager = TokenManager::builder(Arc::clone(&world.store))
        .scheme(TokenScheme::default().accept_foreign_tokens(true))
        .policy(Policy::default().token_lifetime(LIFETIME).unwrap())
        .confirmation(Confirmation::ByCaller)
        .build()
        .await
        .unwrap();
    world.router = Portal::new(manager.clone()).into_router();
    world.manager = manager;
    world
}

/// Alice with primary 2 and backup 1, both of them expired.
async fn both_expired() -> World {
    let world = limited().await;
    for _ in 0..2 {
        let shown = world.get(ALICE, "/tokens/api/tokens").await.json();
        let generate = json!({ "primary": shown["primary"]["id"] }).to_string();
        let generated = world.api(ALICE, "generate", &generate).await.json();
        let code = json!({ "code": generated["code"] }).to_string();
        assert_eq!(world.api(ALICE, "confirm", &code).await.status, 204);
    }
    world.wait(LIFETIME);
    world
}

#[tokio::test]
async fn no_page_says_of_an_expired_token_that_it_goes_on_working() {
    let world = both_expired().await;
    for edit in EDITS {
        let page = world.get(ALICE, &format!("/tokens/edit/{edit}")).await;
        for untrue in
            ["goes on working", "becomes the backup", "still uses it", "token 2", "token 1"]
        {
            assert!(!page.text.contains(untrue), "{edit}, {untrue}: {}", page.text);
        }
        // What is offered is done.
        if page.status == 200 {
            let saved = world.send_form(ALICE, &page, &[("agree", "yes")]).await;
            assert!(saved.status.is_success() || saved.status == 303, "{edit}: {}", saved.text);
        }
    }
}

#[tokio::test]
async fn the_profile_and_the_administrator_see_what_has_expired() {
    let world = both_expired().await;
    for (session, path) in [(ALICE, "/tokens"), (ROOT, "/tokens/admin/user?user=alice")] {
        let page = world.get(session, path).await;
        assert_eq!(page.text.matches("<span class=\"chip bad\">Expired</span>").count(), 2);
        assert!(!page.text.contains("<span class=\"chip good\">Works</span>"), "{}", page.text);
        assert!(!page.text.contains("Revoke every token"), "there is none: {}", page.text);
    }
    let profile = world.get(ALICE, "/tokens").await;
    assert!(profile.text.contains("You have no token that works."), "{}", profile.text);
    let list = world.get(ROOT, "/tokens/admin").await;
    assert!(
        list.text.contains("<bdi>alice</bdi></a></th><td>GET</td><td><span class=\"dim\">none")
    );
    let edit = world.get(ALICE, "/tokens/edit").await;
    for dead in ["delete-backup", "roll-back", "revoke-all"] {
        assert!(!edit.text.contains(dead), "{dead}: {}", edit.text);
    }
    // With the next change it is in the history.
    world.api(ALICE, "generate", "{}").await;
    let profile = world.get(ALICE, "/tokens").await;
    for token in [1, 2] {
        assert!(profile.text.contains(&format!("Token {token} expired")), "{}", profile.text);
    }
}

#[tokio::test]
async fn programs_see_what_has_expired_apart() {
    let world = both_expired().await;
    let view = world.get(ALICE, "/tokens/api/tokens").await.json();
    assert_eq!((&view["primary"], &view["backup"]), (&Value::Null, &Value::Null));
    let expired = view["expired"].as_array().unwrap();
    assert_eq!([&expired[0]["id"], &expired[1]["id"]], [1, 2]);
    assert!(expired.iter().all(|token| token["in_use"] == false));
    let users = world.get(ROOT, "/tokens/api/admin/users").await.json();
    let alice = &users["users"][0];
    assert_eq!((&alice["primary"], &alice["backup"]), (&Value::Null, &Value::Null));
    assert_eq!(alice["expired"], json!([1, 2]));
    // What is dead needs no end.
    let all = json!({ "primary": 2, "backup": 1 }).to_string();
    assert_eq!(world.api(ALICE, "revoke-all", &all).await.status, 204);
    let history = world.get(ALICE, "/tokens/api/history").await.json();
    assert_ne!(history["entries"][0]["event"], "all_revoked");
}

#[tokio::test]
async fn a_backup_beside_an_expired_primary_is_shown_as_the_primary_that_it_becomes() {
    let world = limited().await;
    let (root, alice) = (Actor::administrator("root").unwrap(), user("alice"));
    world.manager.issue(&root, &alice).await.unwrap();
    let day = Duration::from_secs(86_400);
    world.wait(day);
    let token = ImportedToken::Sha256([7; 32]);
    world.manager.import(&root, &alice, Slot::Backup, &token, None).await.unwrap();
    world.wait(LIFETIME - day);
    let view = world.get(ALICE, "/tokens/api/tokens").await.json();
    assert_eq!((&view["primary"]["id"], &view["backup"]), (&json!(2), &Value::Null));
    let page = world.get(ALICE, "/tokens/edit/generate").await;
    assert!(page.text.contains("your present primary, token 2, goes on working"), "{}", page.text);
    let saved = world.send_form(ALICE, &page, &[("agree", "yes")]).await;
    assert_eq!(saved.status, 200, "{}", saved.text);
}

#[tokio::test]
async fn what_goes_on_working_for_a_time_says_until_when() {
    let world = limited().await;
    world.manager.issue(&Actor::User, &user("alice")).await.unwrap();
    let page = world.get(ALICE, "/tokens/edit/generate").await;
    assert!(page.text.contains("goes on working until 2026-01-31 00:00 UTC"), "{}", page.text);
}

#[tokio::test]
async fn a_token_that_was_not_confirmed_in_time_is_not_said_to_wait() {
    let world = limited().await;
    world.api(ALICE, "generate", "{}").await;
    let verify = world.get(ALICE, "/tokens/verify").await;
    assert!(verify.text.contains("can be activated until"), "{}", verify.text);
    world.wait(Duration::from_secs(86_400));
    let verify = world.get(ALICE, "/tokens/verify").await;
    assert_eq!(verify.status, 410, "{}", verify.text);
    let generate = world.get(ALICE, "/tokens/edit/generate").await;
    assert!(generate.text.contains("time to be confirmed has run out"), "{}", generate.text);
    let profile = world.get(ALICE, "/tokens").await;
    assert!(!profile.text.contains("when you confirm it"), "{}", profile.text);
    let admin = world.get(ROOT, "/tokens/admin/user?user=alice").await;
    assert!(admin.text.contains("was not confirmed in time"), "{}", admin.text);
}
