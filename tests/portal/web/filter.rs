//! The administrator's list of those of whom something holds.

use std::time::Duration;

use tower_api_token::account::Lifetimes;
use tower_api_token::method::MethodSet;
use tower_api_token::user::Actor;

use crate::web::world::{ALICE, Answer, ROOT, World, user};

const DAY: Duration = Duration::from_secs(86_400);

/// The names on a page.
fn listed(page: &Answer) -> Vec<String> {
    let rows = page.text.split("<th scope=\"row\">").skip(1);
    let name = |row: &str| row.split("<bdi>").nth(1)?.split("</bdi>").next().map(str::to_owned);
    rows.map(|row| name(row).expect("a name")).collect()
}

async fn found(world: &World, query: &str) -> Vec<String> {
    let page = world.get(ROOT, &format!("/tokens/admin?{query}")).await;
    assert_eq!(page.status, 200, "{query}: {}", page.text);
    listed(&page)
}

/// The link to what follows a page.
fn next(page: &Answer, name: &str) -> String {
    let before = page.text.split(&format!("\">{name}</a>")).next().expect("a link");
    before.rsplit("href=\"").next().expect("an address").replace("&#38;", "&")
}

async fn grant(world: &World, name: &str) {
    let root = Actor::administrator("root").unwrap();
    world.manager.grant(&root, &user(name), MethodSet::new(["GET"]).unwrap()).await.unwrap();
}

#[tokio::test]
async fn the_list_shows_those_of_whom_everything_holds_that_is_chosen() {
    let world = World::new().await;
    let root = Actor::administrator("root").unwrap();
    for name in ["carol", "dave"] {
        grant(&world, name).await;
        world.manager.issue(&root, &user(name)).await.unwrap();
    }
    let week = Lifetimes { token: Some(7 * DAY), backup: None };
    let methods = MethodSet::new(["GET"]).unwrap();
    world.manager.grant_with_lifetimes(&root, &user("carol"), methods, week).await.unwrap();
    world.rotate(ALICE).await;
    world.rotate(ALICE).await;
    for name in ["bob", "carol"] {
        world.manager.suspend(&root, &user(name)).await.unwrap();
    }
    let all = ["alice", "bob", "carol", "dave"];
    let cases: [(&str, &[&str]); 11] = [
        ("", &all),
        ("expiring_within=&unused_for=&pepper=", &all),
        ("expiring_within=7d", &["carol"]),
        ("expiring_within=6d", &[]),
        ("suspended=yes", &["bob", "carol"]),
        ("on_backup=yes", &["alice"]),
        ("pepper=0", &["alice", "carol", "dave"]),
        ("pepper=3", &[]),
        ("suspended=yes&expiring_within=30d", &["carol"]),
        ("suspended=yes&on_backup=yes", &[]),
        ("unused_for=30d", &[]),
    ];
    for (query, expected) in cases {
        assert_eq!(found(&world, query).await, expected, "{query}");
        let users = world.get(ROOT, &format!("/tokens/api/admin/users?{query}")).await.json();
        let users = users["users"].as_array().unwrap().iter();
        let names: Vec<_> = users.map(|account| account["user"].clone()).collect();
        assert_eq!(names, expected, "{query}");
    }
    world.wait(5 * DAY);
    let dave = world.view("dave").await.primary.unwrap().id;
    world.used("dave", dave, "curl/8").await;
    assert_eq!(found(&world, "unused_for=5d").await, ["alice", "carol"]);
}

#[tokio::test]
async fn the_form_is_an_address_and_shows_what_was_chosen() {
    let world = World::new().await;
    let page = world.get(ROOT, "/tokens/admin").await;
    let form = page.between("<form method=\"get\"", "</form>").text;
    assert!(form.starts_with(" action=\"/tokens/admin\"") && !form.contains("form_token"));
    assert!(
        !form.contains("type=\"text\""),
        "nothing can be typed that must stay out of addresses"
    );
    assert!(!page.text.contains("<details class=\"card\" open>"), "{}", page.text);
    let query = "expiring_within=45d&unused_for=90d&on_backup=yes&suspended=yes&pepper=2";
    let page = world.get(ROOT, &format!("/tokens/admin?{query}")).await;
    assert!(page.text.contains("<details class=\"card\" open>"), "{}", page.text);
    for chosen in [
        "<option value=\"45d\" selected>45 days",
        "<option value=\"90d\" selected>90 days",
        "name=\"on_backup\" value=\"yes\" checked",
        "name=\"suspended\" value=\"yes\" checked",
        "placeholder=\"any\" value=\"2\"",
    ] {
        assert!(page.text.contains(chosen), "{chosen}: {}", page.text);
    }
    for bad in ["expiring_within=soon", "unused_for=0d", "pepper=x", "pepper=70000", "pepper=-1"] {
        for list in ["/tokens/admin", "/tokens/api/admin/users"] {
            assert_eq!(world.get(ROOT, &format!("{list}?{bad}")).await.status, 400, "{bad}");
        }
    }
    assert_eq!(world.get(ALICE, "/tokens/admin?suspended=yes").await.status, 403);
}

#[tokio::test]
async fn pages_go_through_everybody_of_whom_it_holds() {
    let world = World::new().await;
    let root = Actor::administrator("root").unwrap();
    for number in 0..430 {
        let name = format!("robot-{number:03}");
        grant(&world, &name).await;
        if number % 3 == 0 {
            world.manager.suspend(&root, &user(&name)).await.unwrap();
        }
    }
    let mut page = world.get(ROOT, "/tokens/admin?suspended=yes").await;
    let mut names = listed(&page);
    while page.text.contains("More users") {
        assert_eq!(listed(&page).len(), 25);
        page = world.get(ROOT, &next(&page, "More users")).await;
        names.extend(listed(&page));
    }
    let expected = (0..430).filter(|number| number % 3 == 0);
    assert_eq!(names, expected.map(|number| format!("robot-{number:03}")).collect::<Vec<_>>());
    // Without a filter it is everybody.
    let mut page = world.get(ROOT, "/tokens/admin").await;
    let mut count = listed(&page).len();
    while page.text.contains("More users") {
        page = world.get(ROOT, &next(&page, "More users")).await;
        count += listed(&page).len();
    }
    assert_eq!(count, 432);
}

#[tokio::test]
async fn a_page_looks_through_a_bounded_number_and_then_offers_to_go_on() {
    let world = World::new().await;
    for number in 0..10_000 {
        grant(&world, &format!("robot-{number:05}")).await;
    }
    grant(&world, "zoe").await;
    world.manager.suspend(&Actor::administrator("root").unwrap(), &user("zoe")).await.unwrap();
    let page = world.get(ROOT, "/tokens/admin?suspended=yes").await;
    assert!(page.text.contains("None among those that were looked through."), "{}", page.text);
    assert!(page.text.contains("Not everybody has been looked at yet."), "{}", page.text);
    let page = world.get(ROOT, &next(&page, "Go on looking")).await;
    assert_eq!(listed(&page), ["zoe"]);
    assert!(!page.text.contains("Go on looking"), "{}", page.text);
}
