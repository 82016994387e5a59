//! A user whose access is suspended, and its resumption.

use std::time::Duration;

use serde_json::json;
use tower_api_token::account::Slot;
use tower_api_token::method::MethodSet;
use tower_api_token::user::Actor;

use crate::web::world::{ALICE, Answer, ROOT, World, user};

const ALICE_PAGE: &str = "/tokens/admin/user?user=alice";
const SUSPEND: &str = "/tokens/admin/suspend?user=alice";
const RESUME: &str = "/tokens/admin/resume?user=alice";

async fn suspend(world: &World) -> Answer {
    world.submit(ROOT, SUSPEND, &[("agree", "yes")]).await
}

#[tokio::test]
async fn access_is_suspended_and_resumed_after_pages_that_say_what_will_happen() {
    let world = World::new().await;
    let token = world.rotate(ALICE).await;
    let page = world.get(ROOT, ALICE_PAGE).await;
    assert!(page.text.contains(SUSPEND) && !page.text.contains(RESUME), "{}", page.text);
    let ask = world.get(ROOT, SUSPEND).await;
    for said in ["Suspend the API access of alice", "The primary, token 1", "The user is told"] {
        assert!(ask.text.contains(said), "{said}: {}", ask.text);
    }
    let unticked = world.send_form(ROOT, &ask, &[]).await;
    assert_eq!(unticked.status, 422);
    assert!(world.view("alice").await.suspended_since.is_none(), "not yet");
    let suspended = world.send_form(ROOT, &unticked, &[("agree", "yes")]).await;
    assert_eq!(suspended.header("location"), "/tokens/admin/user?user=alice&saved");
    assert_eq!(world.slot(&token).await, None);
    let again = world.send_form(ROOT, &ask, &[("agree", "yes")]).await;
    assert_eq!(again.status, 303, "done before");

    let page = world.get(ROOT, suspended.header("location")).await;
    for said in ["Saved.</strong> <bdi>API access suspended", "is suspended</strong> since", RESUME]
    {
        assert!(page.text.contains(said), "{said}: {}", page.text);
    }
    assert!(!page.text.contains(SUSPEND), "{}", page.text);
    assert!(world.get(ROOT, "/tokens/admin").await.text.contains("chip bad\">Suspended"));
    let ask = world.get(ROOT, RESUME).await;
    assert!(ask.text.contains("token 1 (tat_") && ask.text.contains("works again at once"));
    assert_eq!(world.send_form(ROOT, &ask, &[]).await.status, 422);
    let resumed = world.send_form(ROOT, &ask, &[("agree", "yes")]).await;
    assert_eq!(resumed.status, 303, "{}", resumed.text);
    assert_eq!(world.slot(&token).await, Some(Slot::Primary));
    assert_eq!(world.send_form(ROOT, &ask, &[("agree", "yes")]).await.status, 303, "done before");
}

#[tokio::test]
async fn a_suspended_user_is_told_since_when_and_offered_what_can_be_done() {
    let world = World::new().await;
    world.rotate(ALICE).await;
    world.rotate(ALICE).await;
    world.generate(ALICE).await;
    suspend(&world).await;
    let profile = world.get(ALICE, "/tokens").await;
    for said in ["is suspended</strong> since <time", "2026-01-01 00:00 UTC", "You can end tokens"]
    {
        assert!(profile.text.contains(said), "{said}: {}", profile.text);
    }
    assert_eq!(profile.text.matches("<span class=\"chip bad\">Suspended</span>").count(), 2);
    for untrue in ["chip good\">Works", "/verify\"", "/resend\"", "cannot show it again"] {
        assert!(!profile.text.contains(untrue), "{untrue}: {}", profile.text);
    }
    let edit = world.get(ALICE, "/tokens/edit").await;
    assert!(!edit.text.contains("/edit/generate"), "{}", edit.text);
    for offered in ["delete-backup", "roll-back", "cancel-pending", "revoke-all"] {
        assert!(edit.text.contains(offered), "{offered}: {}", edit.text);
        let page = world.get(ALICE, &format!("/tokens/edit/{offered}")).await;
        assert!(!page.text.contains("goes on working"), "{offered}: {}", page.text);
    }
    world.wait(Duration::from_secs(60));
    let saved = world.submit(ALICE, "/tokens/edit/delete-backup", &[("agree", "yes")]).await;
    assert_eq!(saved.status, 303, "{}", saved.text);
    let saved = world.submit(ALICE, "/tokens/edit/revoke-all", &[("agree", "yes")]).await;
    assert_eq!(saved.status, 303, "{}", saved.text);
}

#[tokio::test]
async fn a_suspended_user_makes_and_confirms_nothing() {
    let world = World::new().await;
    let (_, code) = world.generate(ALICE).await;
    let form_token = world.form_token(ALICE).await;
    suspend(&world).await;
    let before = world.state().await;
    for page in ["/tokens/edit/generate", "/tokens/verify", &format!("/tokens/verify?code={code}")]
    {
        let answer = world.get(ALICE, page).await;
        assert_eq!(answer.status, 403, "{page}");
        assert!(answer.text.contains("The API access is suspended"), "{page}: {}", answer.text);
    }
    let generate = format!("form_token={form_token}&agree=yes&primary=&replacing_backup=");
    let verify = format!("form_token={form_token}&code={code}");
    let resend = format!("form_token={form_token}&id=1");
    for (path, body) in [("edit/generate", generate), ("verify", verify), ("resend", resend)] {
        let answer = world.post(ALICE, &format!("/tokens/{path}"), &body).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.text);
        assert!(answer.text.contains("The API access is suspended"), "{path}");
    }
    let confirm = json!({ "code": code }).to_string();
    assert_eq!(world.api(ALICE, "confirm", &confirm).await.problem(), "suspended");
    assert_eq!(world.api(ALICE, "generate", "{}").await.problem(), "suspended");
    assert_eq!(world.state().await, before);
}

#[tokio::test]
async fn only_the_account_that_was_shown_is_suspended_or_resumed() {
    let world = World::new().await;
    let ask = world.get(ROOT, SUSPEND).await;
    let methods = MethodSet::new(["GET", "POST"]).unwrap();
    let other = Actor::administrator("other").unwrap();
    world.manager.grant(&other, &user("alice"), methods).await.unwrap();
    assert_eq!(world.send_form(ROOT, &ask, &[("agree", "yes")]).await.status, 409);
    assert!(world.view("alice").await.suspended_since.is_none());
    // A form that was sent before somebody resumed the access does not suspend it again.
    let ask = world.get(ROOT, SUSPEND).await;
    assert_eq!(world.send_form(ROOT, &ask, &[("agree", "yes")]).await.status, 303);
    let resume = world.get(ROOT, RESUME).await;
    world.manager.resume(&other, &user("alice")).await.unwrap();
    assert_eq!(world.send_form(ROOT, &ask, &[("agree", "yes")]).await.status, 409);
    assert!(world.view("alice").await.suspended_since.is_none());
    // Nobody who is gone is resumed.
    world.manager.erase(&other, &user("alice")).await.unwrap();
    assert_eq!(world.send_form(ROOT, &resume, &[("agree", "yes")]).await.status, 409);
    assert_eq!(world.get(ROOT, RESUME).await.status, 404);
}

#[tokio::test]
async fn a_suspension_outlives_the_access_and_can_be_lifted_without() {
    let world = World::new().await;
    suspend(&world).await;
    let root = Actor::administrator("root").unwrap();
    world.manager.revoke_access(&root, &user("alice")).await.unwrap();
    let page = world.get(ROOT, ALICE_PAGE).await;
    assert!(page.text.contains(RESUME) && !page.text.contains(SUSPEND), "{}", page.text);
    let ask = world.get(ROOT, RESUME).await;
    assert!(ask.text.contains("No method is granted"), "{}", ask.text);
    assert_eq!(world.send_form(ROOT, &ask, &[("agree", "yes")]).await.status, 303);
    assert_eq!(world.get(ROOT, SUSPEND).await.status, 403, "there is no access to suspend");
}

#[tokio::test]
async fn a_program_suspends_and_resumes_the_account_that_it_has_seen() {
    let world = World::new().await;
    let seen = |revision: u64| json!({ "user": "alice", "revision": revision }).to_string();
    let refused = world.api(ALICE, "admin/suspend", &seen(1)).await;
    assert_eq!(refused.problem(), "not_administrator");
    assert_eq!(world.api(ROOT, "admin/suspend", &seen(7)).await.problem(), "stale");
    assert_eq!(world.api(ROOT, "admin/suspend", &seen(1)).await.status, 204);
    assert_eq!(world.api(ROOT, "admin/suspend", &seen(1)).await.status, 204, "done before");
    let tokens = world.get(ALICE, "/tokens/api/tokens").await.json();
    assert_eq!(tokens["suspended_since"], "2026-01-01T00:00:00.000Z");
    let account = world.get(ROOT, "/tokens/api/admin/user?user=alice").await.json();
    assert_eq!(account["account"]["suspended_since"], "2026-01-01T00:00:00.000Z");
    assert_eq!(world.api(ROOT, "admin/resume", &seen(2)).await.status, 204);
    assert!(world.view("alice").await.suspended_since.is_none());
}
