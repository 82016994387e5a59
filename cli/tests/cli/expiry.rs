//! Tokens that have expired, by commands: bug report B51.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::program::{Place, Ran, finish};

const PATIENCE: Duration = Duration::from_secs(60);

fn run(place: &Place, arguments: &[&str]) -> Ran {
    let mut command = place.command(arguments);
    command.env("TOWER_API_TOKEN_POLICY_TOKEN_LIFETIME", "1s");
    finish(&mut command, "")
}

fn rotate(place: &Place) {
    let generated = run(place, &["token", "generate", "alice", "--json"]).succeeded().json();
    let code = generated[0]["code"].as_str().unwrap();
    finish(
        place
            .command(&["token", "confirm", "alice"])
            .env("TOWER_API_TOKEN_POLICY_TOKEN_LIFETIME", "1s"),
        code,
    )
    .succeeded();
}

/// The account once so many of its tokens have expired.
fn expired(place: &Place, count: usize) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let view = run(place, &["user", "show", "alice", "--json"]).succeeded().json().remove(0);
        if view["expired"].as_array().unwrap().len() == count {
            return view;
        }
        assert!(Instant::now() < end, "{view}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_has_expired_is_shown_apart_and_stands_in_nobodys_way() {
    let place = Place::new();
    run(&place, &["user", "grant", "alice", "GET"]).succeeded();
    run(&place, &["token", "issue", "alice"]).succeeded();
    let view = expired(&place, 1);
    assert_eq!((&view["primary"], &view["expired"][0]["id"]), (&Value::Null, &json!(1)));
    let shown = run(&place, &["user", "show", "alice"]).succeeded().out;
    assert!(shown.contains("expired  1") && !shown.contains("primary"), "{shown}");
    assert!(!shown.contains("expires "), "{shown}");
    let listed = run(&place, &["user", "list"]).succeeded().out;
    assert_eq!(
        listed,
        "USER   METHODS  PRIMARY  BACKUP  PENDING  ENDS  NOTE\n\
         alice  GET      -        -       -        -\n"
    );
    for format in ["jsonl", "csv"] {
        let exported = run(&place, &["export", "--format", format]).succeeded().out;
        let last = exported.lines().last().unwrap();
        match format {
            "csv" => assert_eq!(last, format!("alice,GET,2{}1", ",".repeat(11))),
            _ => {
                let account: Value = serde_json::from_str(last).unwrap();
                assert_eq!((&account["primary"], &account["expired"]), (&Value::Null, &json!([1])));
            }
        }
    }
    // Every step of the report: nothing refuses because of what is dead.
    run(&place, &["token", "delete-backup", "alice", "1"]).exited(4);
    run(&place, &["token", "revoke-all", "alice"]).exited(4);
    rotate(&place);
    expired(&place, 1);
    rotate(&place);
    expired(&place, 1);
    run(&place, &["token", "generate", "alice"]).succeeded();
    run(&place, &["token", "issue", "alice"]).succeeded();
    let history = run(&place, &["history", "alice"]).succeeded().out;
    assert!(history.contains("program expiry"), "{history}");
    assert!(history.contains("Token 1 expired"), "{history}");
    let history = run(&place, &["history", "alice", "--json"]).succeeded().json();
    let ended = history.iter().find(|entry| entry["event"] == "token_expired").unwrap();
    assert!(ended["expired_at"].is_string() && ended["promoted"].is_null(), "{ended}");
}
