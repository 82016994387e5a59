//! How long tokens live: what is granted, what the policy allows, and what pages say of
//! a token's end.

use std::time::Duration;

use serde_json::{Value, json};
use tower_api_token::account::Lifetimes;
use tower_api_token::rotation::Policy;
use tower_api_token::user::Actor;

use crate::web::world::{ALICE, Answer, ROOT, World, user};

const ALICE_PAGE: &str = "/tokens/admin/user?user=alice";
const DAY: Duration = Duration::from_secs(86_400);

fn policy() -> Policy {
    Policy::default().token_lifetime(90 * DAY).unwrap().backup_lifetime(2 * DAY).unwrap()
}

/// What the page says of a token's end.
fn end(page: &Answer) -> String {
    let row = page.between("<dt>Expires</dt><dd><time ", "</time>").text;
    row.split_once('>').expect("its text").1.to_owned()
}

async fn issued(world: &World) {
    world.manager.issue(&Actor::program("setup").unwrap(), &user("alice")).await.unwrap();
}

#[tokio::test]
async fn a_token_says_when_it_ends_and_how_far_that_is() {
    let world = World::under(policy()).await;
    issued(&world).await;
    let cases = [
        (0, "2026-04-01 00:00 UTC, in 90 days"),
        (84 * 86_400, "2026-04-01 00:00 UTC, in 6 days"),
        (5 * 86_400 + 21 * 3_600, "2026-04-01 00:00 UTC, in 3 hours"),
        (3 * 3_600 - 300, "2026-04-01 00:00 UTC, in 5 minutes"),
    ];
    for (wait, said) in cases {
        world.wait(Duration::from_secs(wait));
        for (session, path) in [(ALICE, "/tokens"), (ROOT, ALICE_PAGE)] {
            assert_eq!(end(&world.get(session, path).await), said, "{path}");
        }
    }
    let list = world.get(ROOT, "/tokens/admin").await;
    assert!(list.text.contains("title=\"2026-04-01 00:00 UTC\""), "{}", list.text);
    world.wait(Duration::from_secs(2 * 86_400));
    let profile = world.get(ALICE, "/tokens").await;
    assert!(profile.text.contains("<dt>Expired</dt>"), "{}", profile.text);
    assert!(profile.text.contains("2026-04-01 00:00 UTC, 47 hours ago"), "{}", profile.text);
}

#[tokio::test]
async fn a_token_without_an_end_says_nothing_of_one() {
    let world = World::new().await;
    world.rotate(ALICE).await;
    for (session, path) in [(ALICE, "/tokens"), (ROOT, ALICE_PAGE)] {
        assert!(!world.get(session, path).await.text.contains("<dt>Expires"), "{path}");
    }
    assert!(!world.get(ROOT, "/tokens/admin").await.text.contains("the first ends"));
}

#[tokio::test]
async fn a_token_that_nobody_uses_says_that_a_use_keeps_it() {
    let world = World::under(Policy::default().unused_lifetime(60 * DAY).unwrap()).await;
    issued(&world).await;
    world.wait(31 * DAY);
    world.manager.do_what_is_due().await.unwrap();
    let said = "2026-03-03 00:00 UTC, in 30 days, unless it is used before";
    for (session, path) in [(ALICE, "/tokens"), (ROOT, ALICE_PAGE)] {
        assert_eq!(end(&world.get(session, path).await), said, "{path}");
    }
    let ask = world.get(ALICE, "/tokens/edit/generate").await;
    let until = "goes on working until 2026-03-03 00:00 UTC, and longer if it is used before.";
    assert!(ask.text.contains(until), "{}", ask.text);
    let tokens = world.get(ALICE, "/tokens/api/tokens").await.json();
    assert_eq!(tokens["primary"]["ends_unless_used"], true);
}

#[tokio::test]
async fn shorter_lifetimes_are_granted_shown_and_taken_back() {
    let world = World::under(policy()).await;
    issued(&world).await;
    let page = world.get(ROOT, ALICE_PAGE).await;
    for said in ["At most 90d, as for everybody", "At most 2d, as for everybody"] {
        assert!(page.text.contains(said), "{said}: {}", page.text);
    }
    let typed = [("method", "GET"), ("token_lifetime", " 7d "), ("backup_lifetime", "12h")];
    let saved = world.send_form(ROOT, &page, &typed).await;
    assert_eq!(saved.status, 303, "{}", saved.text);
    assert_eq!(world.send_form(ROOT, &page, &typed).await.status, 303, "done before");
    let lifetimes = world.view("alice").await.lifetimes;
    assert_eq!(lifetimes, Lifetimes { token: Some(7 * DAY), backup: Some(DAY / 2) });
    let page = world.get(ROOT, ALICE_PAGE).await;
    assert_eq!(end(&page), "2026-01-08 00:00 UTC, in 7 days", "the token that there was");
    for value in ["name=\"token_lifetime\"", "name=\"backup_lifetime\""] {
        assert!(page.text.contains(value), "{}", page.text);
    }
    assert!(page.text.contains("value=\"7d\"") && page.text.contains("value=\"12h\""));
    let profile = world.get(ALICE, "/tokens").await;
    assert!(profile.text.contains("Your tokens each work for 7 days"), "{}", profile.text);
    assert!(profile.text.contains("A backup works for 12 hours"), "{}", profile.text);
    // Nothing typed is as the policy says; the token lives no longer by that.
    let empty = [("method", "GET"), ("token_lifetime", ""), ("backup_lifetime", "")];
    assert_eq!(world.send_form(ROOT, &page, &empty).await.status, 303);
    assert_eq!(world.view("alice").await.lifetimes, Lifetimes::default());
    let profile = world.get(ALICE, "/tokens").await;
    assert_eq!(end(&profile), "2026-01-08 00:00 UTC, in 7 days");
    assert!(!profile.text.contains("tokens each work for"), "{}", profile.text);
}

#[tokio::test]
async fn what_cannot_be_granted_is_said_beside_its_field_and_changes_nothing() {
    let world = World::under(policy()).await;
    let before = world.state().await;
    let form = "is a whole number and s, m, h or d, such as 30d";
    let cases = [
        ("token_lifetime", "91d", "lives for 90 days at most as the primary"),
        ("backup_lifetime", "49h", "lives for 2 days at most as the backup"),
        ("token_lifetime", "soon", form),
        ("backup_lifetime", "0d", form),
        ("token_lifetime", "99999999999999999d", form),
    ];
    for (name, typed, problem) in cases {
        let opened = world.get(ROOT, ALICE_PAGE).await;
        let fields = [("method", "GET"), ("method", "PUT"), (name, typed)];
        let answer = world.send_form(ROOT, &opened, &fields).await;
        assert_eq!(answer.status, 422, "{typed}: {}", answer.text);
        let id = name.replace('_', "-");
        let shown = answer.between(&format!("id=\"{id}-problem\""), "</strong>").text;
        assert!(shown.contains(problem), "{typed}: {shown}");
        let field = answer.between(&format!("name=\"{name}\""), ">").text;
        assert!(field.contains(&format!("value=\"{typed}\"")), "what was typed stays: {field}");
        assert!(
            field.contains("aria-invalid=\"true\"") && field.contains(&format!("{id}-problem"))
        );
        assert_eq!(answer.text.matches("aria-invalid").count(), 1);
        let ticked = |name: &str| format!("value=\"{name}\" checked");
        assert!(answer.text.contains(&ticked("PUT")) && !answer.text.contains(&ticked("POST")));
        assert_eq!(world.state().await, before);
        // Put right, the same page is taken.
        assert_eq!(
            answer.hidden(),
            opened
                .hidden()
                .into_iter()
                .zip(answer.hidden())
                .map(|(old, new)| if old.0 == "form_token" { new } else { old })
                .collect::<Vec<_>>()
        );
    }
}

#[tokio::test]
async fn without_a_maximum_any_lifetime_is_granted() {
    let world = World::new().await;
    let page = world.get(ROOT, ALICE_PAGE).await;
    assert_eq!(page.text.matches("Without an end, as for everybody, if this is empty").count(), 2);
    let typed = [("method", "GET"), ("token_lifetime", "3650d")];
    assert_eq!(world.send_form(ROOT, &page, &typed).await.status, 303);
    assert_eq!(world.view("alice").await.lifetimes.token, Some(3_650 * DAY));
}

#[tokio::test]
async fn a_program_grants_lifetimes_in_seconds() {
    let world = World::under(policy()).await;
    let grant = |lifetimes: Value| {
        json!({ "user": "alice", "methods": ["GET"], "lifetimes": lifetimes, "revision": 1 })
            .to_string()
    };
    let cases = [
        (json!({ "token": 91 * 86_400 }), 422, "lifetime_too_long"),
        (json!({ "backup": 0 }), 400, "bad_request"),
        (json!({ "token": -1 }), 400, "bad_request"),
        (json!({ "tokens": 1 }), 400, "bad_request"),
        (json!("30d"), 400, "bad_request"),
    ];
    for (lifetimes, status, problem) in cases {
        let answer = world.api(ROOT, "admin/methods", &grant(lifetimes)).await;
        assert_eq!((answer.status.as_u16(), &*answer.problem()), (status, problem));
    }
    let granted = world.api(ROOT, "admin/methods", &grant(json!({ "token": 3_600 }))).await;
    assert_eq!(granted.status, 204, "{}", granted.text);
    let tokens = world.get(ALICE, "/tokens/api/tokens").await.json();
    assert_eq!(tokens["lifetimes"], json!({ "token": 3_600, "backup": null }));
    // Not said, they stay.
    let methods = json!({ "user": "alice", "methods": ["PUT"], "revision": 2 }).to_string();
    assert_eq!(world.api(ROOT, "admin/methods", &methods).await.status, 204);
    let tokens = world.get(ALICE, "/tokens/api/tokens").await.json();
    assert_eq!(tokens["lifetimes"]["token"], 3_600);
}
