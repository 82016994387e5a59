//! `user` and `history`.

use crate::program::Place;

#[test]
fn users_are_granted_listed_shown_and_revoked() {
    let place = Place::new();
    for user in ["carol", "alice", "bob"] {
        place.run(&["user", "grant", user, "GET,POST", "PURGE"]).succeeded();
    }
    let listed = place.run(&["user", "list", "--json"]).succeeded().json();
    let users: Vec<_> = listed.iter().map(|user| user["user"].as_str().unwrap()).collect();
    assert_eq!(users, ["alice", "bob", "carol"]);
    assert_eq!(listed[0]["methods"], serde_json::json!(["GET", "POST", "PURGE"]));
    let some = place.run(&["user", "list", "--after", "alice", "--limit", "1"]).succeeded();
    assert_eq!(
        some.out,
        "USER  METHODS           PRIMARY  BACKUP  PENDING  ENDS  NOTE\n\
                          bob   GET, POST, PURGE  -        -       -        -\n"
    );
    place.run(&["user", "revoke", "bob"]).succeeded().says("bob: API access revoked");
    let shown = place.run(&["user", "show", "bob"]).succeeded();
    assert_eq!(shown.out, "user      bob\nmethods   none\nno tokens\n");
    place.run(&["user", "revoke", "bob"]).exited(4);
    place.run(&["user", "grant", "alice", "GET", "POST", "PURGE"]).exited(4);
}

#[test]
fn a_user_who_does_not_exist_is_told_from_one_without_access() {
    let place = Place::new();
    for command in
        [&["user", "show", "alice"][..], &["user", "revoke", "alice"], &["history", "alice"]]
    {
        let ran = place.run(command).exited(5).says("there is no such user");
        assert_eq!(ran.out, "");
    }
    place.run(&["token", "issue", "alice"]).exited(3).says("hint: grant methods first");
}

#[test]
fn methods_that_would_not_mean_what_they_say_are_refused() {
    let place = Place::new();
    for method in ["get", "*", "TRACE", "CONNECT", "GE T", ""] {
        place.run(&["user", "grant", "alice", method]).exited(2);
    }
    place.run(&["user", "show", "alice"]).exited(5);
}

#[test]
fn the_history_names_who_asked() {
    let place = Place::new();
    place.run(&["user", "grant", "alice", "GET"]).succeeded();
    place.run(&["token", "issue", "alice", "--administrator", "root"]).succeeded();
    place.run(&["user", "revoke", "alice", "--administrator", "root"]).succeeded();
    let history = place.run(&["history", "alice", "--json"]).succeeded().json();
    let told: Vec<_> = history
        .iter()
        .map(|entry| (entry["event"].as_str().unwrap(), entry["by"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ("access_revoked", "administrator root"),
            ("token_issued", "administrator root"),
            ("access_granted", "program tower-api-token"),
        ]
    );
    let older = place.run(&["history", "alice", "--json", "--before", "3", "--limit", "1"]);
    assert_eq!(older.succeeded().json()[0]["revision"], 2);
    place.run(&["user", "list", "--administrator", "a\nb"]).exited(2).says("--administrator");
}

#[test]
fn a_list_can_be_cut_short() {
    let place = Place::new();
    for number in 0..3 {
        place.run(&["user", "grant", &format!("user{number}"), "GET"]).succeeded();
    }
    let command =
        format!("'{}' user list --json | head -n 1", env!("CARGO_BIN_EXE_tower-api-token"));
    let mut shell = std::process::Command::new("bash");
    shell.args(["-c", &format!("set -o pipefail; {command}")]).current_dir(place.directory());
    shell.env("TOWER_API_TOKEN_STORE", &place.store);
    let ran = crate::program::finish(&mut shell, "").succeeded();
    assert_eq!((ran.out.lines().count(), ran.err.as_str()), (1, ""));
}

#[test]
fn errors_for_machines_are_json_too() {
    let place = Place::new();
    let ran = place.run(&["--json", "user", "show", "alice"]).exited(5);
    let error: serde_json::Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!(error["error"]["kind"], "no_such_user");
    assert_eq!(ran.out, "");
}

#[test]
fn an_erased_user_is_gone_and_the_audit_file_names_nobody() {
    let place = Place::new();
    let token = place.user_with_token("alice", &["GET"]);
    place.run(&["user", "grant", "bob", "GET"]).succeeded();
    let audited = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        crate::program::finish(command.env("TOWER_API_TOKEN_AUDIT_FILE", "audit.jsonl"), "")
    };
    let erase = ["user", "erase", "alice", "--yes", "--administrator", "root"];
    let erased = audited(&erase).succeeded().says("alice: erased");
    assert_eq!(erased.out, "");
    let line = std::fs::read_to_string(place.path("audit.jsonl")).unwrap();
    let told: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&told["event"], &told["by"]),
        (&"account_erased".into(), &"administrator root".into())
    );
    assert!(told["at"].is_string() && told.as_object().unwrap().len() == 3, "{line}");
    for command in [&["user", "show", "alice"][..], &["history", "alice"], &erase] {
        place.run(command).exited(5);
    }
    let listed = place.run(&["user", "list", "--json"]).succeeded().json();
    assert_eq!((listed.len(), &listed[0]["user"]), (1, &"bob".into()));
    place.run(&["user", "grant", "alice", "GET"]).succeeded();
    let row = format!("user,token\nalice,{token}\n");
    place.write("tokens.csv", &row);
    place.run(&["import", "tokens.csv"]).exited(8);
    let erased = place.run(&["user", "erase", "alice", "--yes", "--json"]).succeeded().json();
    assert_eq!(erased[0]["event"], "account_erased");
}

#[test]
fn nobody_is_erased_unasked() {
    let place = Place::new();
    place.run(&["user", "grant", "alice", "GET"]).succeeded();
    place.run_with(&["user", "erase", "alice"], "yes\n").exited(2).says("--yes");
    let ran = place.run(&["--json", "user", "erase", "alice"]).exited(2);
    let error: serde_json::Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!(error["error"]["kind"], "usage");
    place.run(&["user", "show", "alice"]).succeeded();
    place.run(&["user", "erase", "bob"]).exited(5).says("there is no such user");
}

#[test]
fn users_are_found_by_what_is_to_be_done_about_them() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    place.run(&["user", "grant", "bob", "GET", "--token-lifetime", "5d"]).succeeded();
    place.run(&["token", "issue", "bob"]).succeeded();
    place.run(&["user", "grant", "carol", "GET"]).succeeded();
    place.run(&["user", "suspend", "carol"]).succeeded();
    let generated = place.run(&["token", "generate", "alice", "--json"]).succeeded().json();
    let code = generated[0]["code"].as_str().unwrap();
    place.run_with(&["token", "confirm", "alice"], code).succeeded();
    let found = |arguments: &[&str]| {
        let listed = place.run(&[&["user", "list", "--json"], arguments].concat());
        let users = listed.succeeded().json();
        users.iter().map(|user| user["user"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found(&["--expiring-within", "6d"]), ["bob"]);
    assert_eq!(found(&["--expiring-within", "4d"]), [""; 0]);
    assert_eq!(found(&["--unused-for", "0s"]), ["alice", "bob"]);
    assert_eq!(found(&["--unused-for", "1h"]), [""; 0]);
    assert_eq!(found(&["--on-backup"]), ["alice"]);
    assert_eq!(found(&["--pepper", "0"]), ["alice", "bob"]);
    assert_eq!(found(&["--pepper", "1"]), [""; 0]);
    assert_eq!(found(&["--suspended"]), ["carol"]);
    assert_eq!(found(&["--on-backup", "--suspended"]), [""; 0]);
    assert_eq!(found(&["--pepper", "0", "--limit", "1"]), ["alice"]);
    assert_eq!(found(&["--pepper", "0", "--after", "alice"]), ["bob"]);
    let listed = place.run(&["user", "list", "--suspended"]).succeeded().out;
    assert_eq!(
        listed,
        "USER   METHODS  PRIMARY  BACKUP  PENDING  ENDS  NOTE\n\
         carol  GET      -        -       -        -     suspended\n"
    );
    let ends = place.run(&["user", "list", "--after", "alice", "--limit", "1"]).succeeded().out;
    let [year, ..] = ends.lines().last().unwrap().rsplit(' ').collect::<Vec<_>>()[..] else {
        panic!("{ends}")
    };
    assert!(year.starts_with("20") && year.ends_with('Z'), "{ends}");
    place.run(&["user", "list", "--unused-for", "long"]).exited(2).says("such as 7d");
}
