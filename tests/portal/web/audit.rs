//! The audit log, for administrators.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tower_api_token::TokenManager;
use tower_api_token::manage::Confirmation;
use tower_api_token::method::MethodSet;
use tower_api_token::portal::Portal;
#[cfg(feature = "sqlite")]
use tower_api_token::store::SqliteStore;
use tower_api_token::user::Actor;

use crate::generated;
use crate::web::world::{ALICE, Answer, ROOT, World, user};

const LOG: &str = "/tokens/admin/audit";

/// What a page lists, as `user: what`.
fn listed(page: &Answer) -> Vec<String> {
    let entries = page.text.split("<li><span class=\"what\">").skip(1);
    let text = |entry: &str| {
        let what = entry.split("</span>").next().unwrap();
        let parts = what.split('<').filter_map(|part| part.split_once('>'));
        parts.map(|(_, text)| text).collect::<String>()
    };
    entries.map(text).collect()
}

fn link(page: &Answer, name: &str) -> Option<String> {
    let before = page.text.split(&format!("\">{name}</a>")).next().filter(|it| *it != page.text)?;
    Some(before.rsplit("href=\"").next()?.replace("&#38;", "&"))
}

/// Everything that the pages from this one on list.
async fn all(world: &World, first: &str) -> Vec<String> {
    let (mut page, mut entries) = (world.get(ROOT, first).await, Vec::new());
    for _ in 0..100 {
        entries.extend(listed(&page));
        let next = link(&page, "Earlier entries").or_else(|| link(&page, "Go on looking"));
        let Some(next) = next else { return entries };
        page = world.get(ROOT, &next).await;
    }
    panic!("the log does not end");
}

async fn grant(world: &World, name: &str, methods: &[&str]) {
    let root = Actor::administrator("root").unwrap();
    let methods = MethodSet::new(methods.iter().copied()).unwrap();
    world.manager.grant(&root, &user(name), methods).await.unwrap();
}

#[tokio::test]
async fn what_has_happened_to_everybody_stands_there_the_latest_first() {
    let world = World::new().await;
    world.rotate(ALICE).await;
    let admin = world.get(ROOT, "/tokens/admin").await;
    assert!(admin.text.contains(&format!("href=\"{LOG}\"")), "{}", admin.text);
    let page = world.get(ROOT, LOG).await;
    let expected = [
        "alice: Token 1 confirmed as the primary",
        "alice: Token 1 generated, waiting for confirmation",
        "bob: API access granted: GET",
        "alice: API access granted: GET",
    ];
    assert_eq!(listed(&page), expected);
    assert!(page.text.contains("by <bdi>administrator root</bdi>"), "{}", page.text);
    assert!(page.text.contains("by <bdi>the user</bdi>"), "{}", page.text);
    assert!(page.text.contains("2026-01-01 00:00 UTC"), "{}", page.text);
    assert!(page.text.contains("href=\"/tokens/admin/user?user=bob\""), "{}", page.text);
    assert_eq!(world.get(ALICE, LOG).await.status, 403);
}

#[tokio::test]
async fn pages_go_back_through_the_whole_log_without_a_gap_or_a_repetition() {
    let world = World::new().await;
    for number in 0..1_130 {
        grant(&world, &format!("robot-{number:04}"), &["GET"]).await;
    }
    // Entries that are gone leave gaps.
    let root = Actor::administrator("root").unwrap();
    for number in 10..40 {
        world.manager.erase(&root, &user(&format!("robot-{number:04}"))).await.unwrap();
    }
    let page = world.get(ROOT, LOG).await;
    assert_eq!(listed(&page).len(), 50);
    assert!(link(&page, "To the latest").is_none(), "{}", page.text);
    let second = world.get(ROOT, &link(&page, "Earlier entries").unwrap()).await;
    assert_eq!(link(&second, "To the latest").as_deref(), Some(LOG));
    let entries = all(&world, LOG).await;
    let erased = std::iter::repeat_n("A user was erased".to_owned(), 30);
    let robots = (0..10).chain(40..1_130).rev();
    let robots = robots.map(|number| format!("robot-{number:04}: API access granted: GET"));
    let first = ["bob", "alice"].map(|name| format!("{name}: API access granted: GET"));
    assert_eq!(entries, erased.chain(robots).chain(first).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_page_looks_through_a_bounded_part_and_then_offers_to_go_on() {
    let world = World::new().await;
    for number in 0..5_100 {
        let methods: &[&str] = if number % 2 == 0 { &["PUT"] } else { &["GET"] };
        grant(&world, "alice", methods).await;
        grant(&world, "bob", methods).await;
    }
    let erasing = format!("{LOG}?event=account_erased");
    let page = world.get(ROOT, &erasing).await;
    assert!(page.text.contains("Not everything has been looked through yet"), "{}", page.text);
    assert!(page.text.contains("None among those that were looked through"), "{}", page.text);
    let next = link(&page, "Go on looking").expect("a link");
    assert!(next.starts_with(&erasing), "{next}");
    let page = world.get(ROOT, &next).await;
    assert!(page.text.contains("<p class=\"dim\">None.</p>"), "{}", page.text);
    // The history of one user is asked for by itself.
    let page = world.get(ROOT, &format!("{LOG}?user=bob&event=access_granted")).await;
    assert_eq!(listed(&page).len(), 50);
    assert!(listed(&page).iter().all(|entry| entry.starts_with("bob: ")), "{}", page.text);
}

#[tokio::test]
async fn a_filter_becomes_an_address_that_can_be_kept() {
    let world = World::new().await;
    world.rotate(ALICE).await;
    world.wait(Duration::from_secs(86_400));
    grant(&world, "alice", &["PUT"]).await;
    grant(&world, "bob", &["PUT"]).await;
    world.manager.erase(&Actor::administrator("root").unwrap(), &user("bob")).await.unwrap();
    let [put, get, confirmed] =
        ["API access granted: PUT", "API access granted: GET", "Token 1 confirmed as the primary"]
            .map(|what| format!("alice: {what}"));
    let generated = "alice: Token 1 generated, waiting for confirmation";
    let erased = "A user was erased";
    let found = async |fields: &[(&str, &str)], query: &str, expected: &[&str]| {
        let found = world.submit(ROOT, LOG, fields).await;
        assert_eq!(found.header("location"), format!("{LOG}{query}"));
        let page = world.get(ROOT, found.header("location")).await;
        assert_eq!(listed(&page), expected, "{query}: {}", page.text);
        for (name, value) in fields {
            assert!(page.text.contains(&format!("value=\"{}\"", value.trim())), "{name}");
        }
    };
    found(&[("user", " alice ")], "?user=alice", &[&put, &confirmed, generated, &get]).await;
    found(&[("event", "access_granted")], "?event=access_granted", &[&put, &get]).await;
    found(&[("event", "account_erased")], "?event=account_erased", &[erased]).await;
    found(&[("since", "2026-01-02")], "?since=2026-01-02", &[erased, &put]).await;
    let all = [("user", "alice"), ("event", "primary_confirmed"), ("since", "2026-01-01")];
    let query = "?user=alice&event=primary_confirmed&since=2026-01-01";
    found(&all, query, &[&confirmed]).await;
    found(&[("user", "bob")], "?user=bob", &[]).await;
    assert_eq!(world.submit(ROOT, LOG, &[]).await.header("location"), LOG);
    let user_page = world.get(ROOT, "/tokens/admin/user?user=alice").await;
    assert!(user_page.text.contains(&format!("{LOG}?user=alice")), "{}", user_page.text);
}

#[tokio::test]
async fn what_cannot_be_looked_for_is_refused() {
    let world = World::new().await;
    let secret = generated::token("tat");
    for bad in [
        "event=nothing",
        "since=yesterday",
        "since=2026-1-1",
        "before=x",
        &format!("user={secret}"),
        "user=a&user=b",
    ] {
        let answer = world.get(ROOT, &format!("{LOG}?{bad}")).await;
        assert_eq!(answer.status, 400, "{bad}");
        assert!(!answer.text.contains(&secret));
    }
    let answer = world.submit(ROOT, LOG, &[("user", &secret)]).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (400, ""));
    for before in ["0", "1", "18446744073709551615"] {
        assert_eq!(world.get(ROOT, &format!("{LOG}?before={before}")).await.status, 200);
    }
}

#[tokio::test]
async fn a_name_in_the_log_is_text() {
    let world = World::new().await;
    let name = "<script>alert(1)</script>\u{202e}&\"'";
    grant(&world, name, &["GET"]).await;
    let encoded = utf8_percent_encode(name, NON_ALPHANUMERIC);
    for page in [LOG.to_owned(), format!("{LOG}?user={encoded}")] {
        let page = world.get(ROOT, &page).await;
        assert!(!page.text.contains("<script>alert") && page.text.contains("\\u{202e}"));
    }
}

#[tokio::test]
async fn a_program_reads_the_log_in_order_and_goes_on_where_it_was() {
    let world = World::new().await;
    let page = world.get(ROOT, "/tokens/api/admin/audit?size=1").await.json();
    let expected = json!({
        "entries": [{
            "position": 1, "user": "alice", "revision": 1, "at": "2026-01-01T00:00:00.000Z",
            "actor": "administrator root", "event": "access_granted", "token": null,
        }],
        "next": 1,
    });
    assert_eq!(page, expected);
    world.manager.erase(&Actor::administrator("root").unwrap(), &user("bob")).await.unwrap();
    let page = world.get(ROOT, "/tokens/api/admin/audit?after=1").await.json();
    let entry = &page["entries"][0];
    assert_eq!((&entry["event"], &entry["user"]), (&json!("account_erased"), &Value::Null));
    let next = page["next"].as_u64().unwrap();
    let page = world.get(ROOT, &format!("/tokens/api/admin/audit?after={next}")).await.json();
    assert_eq!(page, json!({ "entries": [], "next": next }));
    let refused = world.get(ALICE, "/tokens/api/admin/audit").await;
    assert_eq!(refused.problem(), "not_administrator");
}

/// As one that a newer version has written.
#[cfg(feature = "sqlite")]
#[tokio::test]
async fn an_entry_that_cannot_be_read_stands_there_as_such() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tokens.db");
    let store = SqliteStore::open(&path).unwrap();
    store.migrate().await.unwrap();
    let builder = TokenManager::builder(store).confirmation(Confirmation::ByCaller);
    let mut world = World::new().await;
    world.manager = builder.build().await.unwrap();
    world.router = Portal::new(world.manager.clone()).into_router();
    for name in ["alice", "bob"] {
        grant(&world, name, &["GET"]).await;
    }
    let later = r#"UPDATE history SET at = 7, event = '{"event":"later"}' WHERE position = 1"#;
    let file = rusqlite::Connection::open(&path).unwrap();
    assert_eq!(file.execute(later, []).unwrap(), 1);
    let page = world.get(ROOT, LOG).await;
    assert_eq!(
        listed(&page),
        ["bob: API access granted: GET", "alice: An entry that this version cannot read"]
    );
    let log = world.get(ROOT, "/tokens/api/admin/audit?size=1").await.json();
    let expected = json!({
        "position": 1, "user": "alice", "revision": null, "at": "1970-01-01T00:00:00.007Z",
        "actor": null, "event": "unreadable", "token": null,
    });
    assert_eq!(log["entries"], json!([expected]));
}
