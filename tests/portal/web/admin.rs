//! Administration.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use tower_api_token::account::Slot;
use tower_api_token::method::MethodSet;
use tower_api_token::user::Actor;

use crate::generated;
use crate::web::world::{ALICE, BOB, ROOT, Session, World, user};

const ALICE_PAGE: &str = "/tokens/admin/user?user=alice";

#[tokio::test]
async fn methods_are_ticked_and_apply_to_both_tokens() {
    let world = World::new().await;
    world.rotate(ALICE).await;
    let page = world.get(ROOT, ALICE_PAGE).await;
    assert!(page.text.contains("value=\"GET\" checked"), "{}", page.text);
    assert!(!page.text.contains("value=\"POST\" checked"), "{}", page.text);
    let fields = [("method", "POST"), ("method", "DELETE"), ("other_methods", "PURGE, COPY")];
    let saved = world.send_form(ROOT, &page, &fields).await;
    assert_eq!(saved.header("location"), "/tokens/admin/user?user=alice&saved");
    let methods = world.view("alice").await.methods.to_string();
    assert_eq!(methods, "POST, DELETE, COPY, PURGE");
    let page = world.get(ROOT, saved.header("location")).await;
    assert!(page.text.contains("API access granted: POST, DELETE, COPY, PURGE"), "{}", page.text);
    assert!(page.text.contains("value=\"COPY PURGE\""), "{}", page.text);
    let history = world.manager.history(&user("alice"), None, Default::default()).await.unwrap();
    assert_eq!(history.items[0].actor, Actor::administrator("root").unwrap());
}

#[tokio::test]
async fn ticking_none_asks_and_then_revokes() {
    let world = World::new().await;
    let token = world.rotate(ALICE).await;
    let none = [("other_methods", "")];
    let ask = world.submit(ROOT, ALICE_PAGE, &none).await;
    assert_eq!(ask.status, 200);
    assert!(ask.text.contains("Revoke the API access of alice"), "{}", ask.text);
    assert_eq!(world.slot(&token).await, Some(Slot::Primary), "not yet");
    let unticked = world.send_form(ROOT, &ask, &[]).await;
    assert_eq!(unticked.status, 422);
    let revoked = world.send_form(ROOT, &ask, &[("agree", "yes")]).await;
    assert_eq!(revoked.status, 303, "{}", revoked.text);
    assert_eq!(world.slot(&token).await, None);
    let again = world.send_form(ROOT, &ask, &[("agree", "yes")]).await;
    assert_eq!(again.status, 303, "done before");
    let page = world.get(ROOT, ALICE_PAGE).await;
    assert!(page.text.contains("Without API access there are none."), "{}", page.text);
    assert!(world.get(ALICE, "/tokens").await.text.contains("You have no API access"));
}

#[tokio::test]
async fn a_stale_grant_says_so() {
    let world = World::new().await;
    let page = world.get(ROOT, ALICE_PAGE).await;
    let other = Actor::administrator("other").unwrap();
    let methods = MethodSet::new(["GET", "POST"]).unwrap();
    world.manager.grant(&other, &user("alice"), methods).await.unwrap();
    let answer = world.send_form(ROOT, &page, &[("method", "DELETE")]).await;
    assert_eq!(answer.status, 409);
    assert_eq!(world.view("alice").await.methods.to_string(), "GET, POST");
    // Two who tick the same do not disturb each other.
    let answer = world.send_form(ROOT, &page, &[("method", "GET"), ("method", "POST")]).await;
    assert_eq!(answer.status, 303);
}

#[tokio::test]
async fn every_token_of_a_user_is_revoked() {
    let world = World::new().await;
    let (first, second) = (world.rotate(ALICE).await, world.rotate(ALICE).await);
    let page = world.get(ROOT, ALICE_PAGE).await;
    assert!(page.text.contains("/tokens/admin/revoke?user=alice"), "{}", page.text);
    let ask = world.get(ROOT, "/tokens/admin/revoke?user=alice").await;
    assert_eq!(world.send_form(ROOT, &ask, &[]).await.status, 422);
    assert_eq!(world.slot(&first).await, Some(Slot::Backup));
    assert_eq!(world.send_form(ROOT, &ask, &[("agree", "yes")]).await.status, 303);
    assert_eq!((world.slot(&first).await, world.slot(&second).await), (None, None));
    assert_eq!(world.view("alice").await.methods.to_string(), "GET", "access stays");
}

#[tokio::test]
async fn users_are_found_by_the_beginning_of_their_name() {
    let world = World::new().await;
    let root = Actor::administrator("root").unwrap();
    for number in 0..60 {
        let name = user(&format!("robot-{number:02}"));
        world.manager.grant(&root, &name, MethodSet::new(["GET"]).unwrap()).await.unwrap();
    }
    let found = world.submit(ROOT, "/tokens/admin", &[("find", " robot-1 ")]).await;
    assert_eq!(found.header("location"), "/tokens/admin?find=robot%2D1");
    let list = world.get(ROOT, found.header("location")).await;
    assert_eq!(list.text.matches("<th scope=\"row\">").count(), 10, "{}", list.text);
    assert!(list.text.contains("There is no account of <bdi>robot-1</bdi>"), "{}", list.text);

    let mut page = world.get(ROOT, "/tokens/admin?find=robot").await;
    let mut seen = page.text.matches("<th scope=\"row\">").count();
    while page.text.contains("More users") {
        let more =
            page.between("<p><a class=\"button\"", "More users").between_text("href=\"", "\"");
        page = world.get(ROOT, &more.replace("&#38;", "&")).await;
        seen += page.text.matches("<th scope=\"row\">").count();
    }
    assert_eq!(seen, 60);
    let all = world.submit(ROOT, "/tokens/admin", &[("find", "")]).await;
    assert_eq!(all.header("location"), "/tokens/admin");
}

#[tokio::test]
async fn access_is_given_to_a_user_without_an_account() {
    let world = World::new().await;
    let page = world.get(ROOT, "/tokens/admin/user?user=carol").await;
    assert!(page.text.contains("This user has no account yet."), "{}", page.text);
    assert_eq!(world.send_form(ROOT, &page, &[("method", "GET")]).await.status, 303);
    assert_eq!(world.get(Session::User("carol"), "/tokens/edit").await.status, 200);
}

#[tokio::test]
async fn what_looks_like_a_token_never_gets_into_an_address_or_a_page() {
    let world = World::new().await;
    let pasted = generated::token("tat");
    let answer = world.submit(ROOT, "/tokens/admin", &[("find", &pasted)]).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (400, ""));
    assert!(!answer.text.contains(&pasted) && answer.text.contains("looks like a token"));
    for path in ["/tokens/admin?find=", "/tokens/admin/user?user=", "/tokens/api/admin/user?user="]
    {
        let answer = world.get(ROOT, &format!("{path}{pasted}")).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(!answer.text.contains(&pasted), "{path}");
    }
}

/// Many systems name their users so: `user_` and the digits of a UUID or of a
/// digest.
#[tokio::test]
async fn a_user_whose_name_is_long_and_random_can_be_administered() {
    let world = World::new().await;
    for digits in [32, 40, 64] {
        let name = format!("user_{}", "0a".repeat(digits / 2));
        let page = world.get(ROOT, &format!("/tokens/admin/user?user={name}")).await;
        assert_eq!(page.status, 200, "{name}");
        assert_eq!(world.send_form(ROOT, &page, &[("method", "GET")]).await.status, 303);
        let found = world.submit(ROOT, "/tokens/admin", &[("find", &name)]).await;
        assert_eq!(found.status, 303, "{name}");
        let path = format!("/tokens/api/admin/user?user={name}");
        let revision = world.get(ROOT, &path).await.json()["account"]["revision"].clone();
        let none = format!("{{\"user\":\"{name}\",\"methods\":[],\"revision\":{revision}}}");
        assert_eq!(world.api(ROOT, "admin/methods", &none).await.status, 204, "{name}");
    }
}

/// A name is whatever the host chose: one with a space at its end is another
/// user's than one without.
#[tokio::test]
async fn a_user_whose_name_begins_or_ends_with_a_space_is_not_taken_for_another() {
    let root = Actor::administrator("root").unwrap();
    for name in [" alice", "alice ", "alice\u{a0}"] {
        let world = World::new().await;
        let get = MethodSet::new(["GET"]).unwrap();
        world.manager.grant(&root, &user(name), get).await.unwrap();
        let before = world.state().await;
        let encoded = utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
        let page = world.get(ROOT, &format!("/tokens/admin/user?user={encoded}")).await;
        let asked = world.send_form(ROOT, &page, &[]).await;
        let done = world.send_form(ROOT, &asked, &[("agree", "yes")]).await;
        assert_eq!(done.status, 303, "{name:?}: {}", done.text);
        assert!(world.manager.view(&user(name)).await.is_err(), "{name:?} has access no more");
        let path = format!("/tokens/api/admin/user?user={encoded}");
        let account = world.get(ROOT, &path).await.json()["account"].clone();
        assert_eq!(account["user"], name);
        let revision = &account["revision"];
        let body = json!({ "user": name, "methods": ["PUT"], "revision": revision }).to_string();
        assert_eq!(world.api(ROOT, "admin/methods", &body).await.status, 204);
        let methods = world.view(name).await.methods;
        assert_eq!(methods, MethodSet::new(["PUT"]).unwrap(), "{name:?}");
        assert_eq!(world.state().await, before, "alice is somebody else");
    }
}

#[tokio::test]
async fn a_forged_flag_makes_no_administrator() {
    let world = World::new().await;
    let form_token = world.form_token(ALICE).await;
    let before = world.state().await;
    let body = format!(
        "form_token={form_token}&user=alice&revision=1&method=DELETE&is_admin=true&agree=yes"
    );
    for path in [
        "/tokens/admin/methods?is_admin=true",
        "/tokens/admin/revoke",
        "/tokens/admin/suspend",
        "/tokens/admin/resume",
        "/tokens/admin/erase",
        "/tokens/admin/find",
        "/tokens/admin/audit",
    ] {
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("sec-fetch-site", "same-origin"),
            ("x-is-admin", "true"),
            ("cookie", "is_admin=true"),
        ];
        let answer = world.send(ALICE, "POST", path, &headers, body.clone()).await;
        assert_eq!(answer.status, 403, "{path}");
    }
    let body = "{\"user\":\"alice\",\"methods\":[\"DELETE\"],\"revision\":1,\"is_admin\":true}";
    assert_eq!(world.api(ALICE, "admin/methods", body).await.problem(), "not_administrator");
    let answer = world.get(BOB, "/tokens/admin?is_admin=true").await;
    assert_eq!(answer.status, 403);
    assert!(!answer.text.contains("alice"), "{}", answer.text);
    assert_eq!(world.state().await, before);
}

const ERASE_ALICE: &str = "/tokens/admin/erase?user=alice";

#[tokio::test]
async fn a_user_is_erased_after_a_page_that_says_what_is_lost() {
    let world = World::new().await;
    let token = world.rotate(ALICE).await;
    let mails = world.mails();
    let page = world.get(ROOT, ALICE_PAGE).await;
    assert!(page.text.contains(ERASE_ALICE), "{}", page.text);
    let ask = world.get(ROOT, ERASE_ALICE).await;
    for said in ["Erase alice for good.", "The primary, token 1", "history", "no mail"] {
        assert!(ask.text.contains(said), "{said}: {}", ask.text);
    }
    let unticked = world.send_form(ROOT, &ask, &[]).await;
    assert_eq!(unticked.status, 422);
    assert_eq!(world.slot(&token).await, Some(Slot::Primary), "not yet");
    let erased = world.send_form(ROOT, &unticked, &[("agree", "yes")]).await;
    assert_eq!((erased.status.as_u16(), erased.header("location")), (303, "/tokens/admin"));
    assert_eq!(world.slot(&token).await, None);
    assert!(world.manager.summary(&user("alice")).await.unwrap().is_none());
    assert!(!world.get(ROOT, erased.header("location")).await.text.contains("alice"));
    assert_eq!(world.mails(), mails);
    let again = world.send_form(ROOT, &ask, &[("agree", "yes")]).await;
    assert_eq!(again.status, 303, "done before");
    assert_eq!(world.get(ROOT, ERASE_ALICE).await.status, 404);
    let page = world.get(ROOT, ALICE_PAGE).await;
    assert!(page.text.contains("no account yet") && !page.text.contains("/admin/erase"));
    // The name can be given access again, by the form of whoever has none.
    let granted = world.send_form(ROOT, &page, &[("method", "GET")]).await;
    assert_eq!(granted.status, 303, "{}", granted.text);
    assert_eq!(world.slot(&token).await, None);
}

#[tokio::test]
async fn only_the_account_that_was_shown_is_erased() {
    let world = World::new().await;
    let ask = world.get(ROOT, ERASE_ALICE).await;
    let old_methods = world.get(ROOT, ALICE_PAGE).await;
    let other = Actor::administrator("other").unwrap();
    let methods = MethodSet::new(["GET", "POST"]).unwrap();
    world.manager.grant(&other, &user("alice"), methods.clone()).await.unwrap();
    let stale = world.send_form(ROOT, &ask, &[("agree", "yes")]).await;
    assert_eq!(stale.status, 409);
    let unticked = world.send_form(ROOT, &ask, &[]).await;
    let stale = world.send_form(ROOT, &unticked, &[("agree", "yes")]).await;
    assert_eq!(stale.status, 409, "what was shown first counts");
    // Another account of that name is not the one that was shown, either.
    world.manager.erase(&other, &user("alice")).await.unwrap();
    world.manager.grant(&other, &user("alice"), methods).await.unwrap();
    let before = world.state().await;
    for form in [&ask, &unticked] {
        assert_eq!(world.send_form(ROOT, form, &[("agree", "yes")]).await.status, 409);
    }
    let old = world.send_form(ROOT, &old_methods, &[("method", "DELETE")]).await;
    assert_eq!(old.status, 409);
    assert_eq!(world.state().await, before);
}

#[tokio::test]
async fn a_program_erases_the_user_that_it_has_seen() {
    let world = World::new().await;
    world.rotate(ALICE).await;
    let revision = world.view("alice").await.revision.as_u64();
    let body = |revision| json!({ "user": "alice", "revision": revision }).to_string();
    let refused = [
        (ALICE, body(json!(revision)), "not_administrator"),
        (ROOT, body(json!(revision - 1)), "stale"),
        (ROOT, body(json!(null)), "bad_request"),
        (ROOT, json!({ "user": "alice" }).to_string(), "bad_request"),
    ];
    for (session, body, problem) in refused {
        assert_eq!(world.api(session, "admin/erase", &body).await.problem(), problem, "{body}");
    }
    let shown = body(json!(revision));
    assert_eq!(world.api(ROOT, "admin/erase", &shown).await.status, 204);
    assert_eq!(world.api(ROOT, "admin/erase", &shown).await.status, 204, "done before");
    let account = world.get(ROOT, "/tokens/api/admin/user?user=alice").await;
    assert_eq!(account.problem(), "no_account");
}
