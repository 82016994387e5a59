//! `backup` and `restore`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::program::{Place, Ran, finish};
use crate::serving::Serving;

/// Runs the program with an audit file.
fn audited(place: &Place, arguments: &[&str]) -> Ran {
    let mut command = place.command(arguments);
    finish(command.env("TOWER_API_TOKEN_AUDIT_FILE", "audit.jsonl"), "")
}

/// Puts the copy in the store's place, as the documentation says.
fn put_back(place: &Place) {
    for name in ["tokens.db", "tokens.db-wal", "tokens.db-shm"] {
        drop(fs::remove_file(place.path(name)));
    }
    fs::copy(place.path("backup.db"), place.path("tokens.db")).unwrap();
}

fn shown(place: &Place, user: &str) -> Value {
    place.run(&["user", "show", user, "--json"]).succeeded().json().remove(0)
}

#[test]
fn a_backup_is_private_marked_and_overwrites_nothing() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    place.run(&["backup", "backup.db"]).succeeded();
    assert_eq!(fs::metadata(place.path("backup.db")).unwrap().mode() & 0o777, 0o600);
    let copy = fs::read(place.path("backup.db")).unwrap();
    place.run(&["backup", "backup.db"]).exited(2).says("not overwritten");
    assert_eq!(fs::read(place.path("backup.db")).unwrap(), copy);
    place.run(&["backup", "none/backup.db"]).exited(1);
    let left = fs::read_dir(place.directory()).unwrap().count();
    assert_eq!(left, 2, "the store and one copy, and nothing of those that failed");

    let commands: &[&[&str]] = &[
        &["user", "list"],
        &["user", "grant", "bob", "GET"],
        &["migrate"],
        &["backup", "other.db"],
        &["export"],
        &["serve", "--listen", "127.0.0.1:0", "--profile", "original-method"],
    ];
    for arguments in commands {
        let mut command = place.command(arguments);
        finish(command.env("TOWER_API_TOKEN_STORE", "sqlite:backup.db"), "")
            .exited(7)
            .says("backup")
            .says("hint: to serve from it again: tower-api-token restore");
    }
    let mut check = place.command(&["check"]);
    let ran = finish(check.env("TOWER_API_TOKEN_STORE", "sqlite:backup.db"), "").exited(9);
    assert!(ran.out.contains("tower-api-token restore"), "{}", ran.out);
}

#[test]
fn a_backup_made_while_others_write_holds_all_that_was_acknowledged_before() {
    let place = Place::new();
    let token = place.user_with_token("alice", &["GET"]);
    let server = Serving::start(&place, &[]);
    assert_eq!(server.ask(Some(&token), "GET").status, 200);
    let (written, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let before = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                let number = written.load(Ordering::SeqCst);
                place.run(&["user", "grant", &format!("user{number}"), "GET"]).succeeded();
                written.fetch_add(1, Ordering::SeqCst);
            }
        });
        let end = Instant::now() + Duration::from_secs(60);
        while written.load(Ordering::SeqCst) < 5 {
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(1));
        }
        let before = written.load(Ordering::SeqCst);
        place.run(&["backup", "backup.db"]).succeeded();
        done.store(true, Ordering::SeqCst);
        before
    });
    server.stop();
    put_back(&place);
    place.run(&["restore", "--accept-revived"]).succeeded();
    let users = place.run(&["user", "list", "--json"]).succeeded().json();
    for number in 0..before {
        let name = format!("user{number}");
        assert!(users.iter().any(|user| user["user"] == *name), "{name} of {before}");
    }
    let server = Serving::start(&place, &[]);
    assert_eq!(server.ask(Some(&token), "GET").status, 200);
}

#[test]
fn restore_must_be_told_what_becomes_of_the_tokens() {
    let place = Place::new();
    place.run(&["restore"]).exited(2).says("--end-all");
    place.run(&["restore", "--end-all", "--accept-revived"]).exited(2);
    place.run(&["restore", "--end-all", "--audit", "audit.jsonl"]).exited(2);
    place.run(&["restore", "--audit", "none.jsonl"]).exited(2).says("none.jsonl");
}

/// Every way in which a token ends or access is narrowed, after the backup.
#[test]
fn restore_takes_away_what_the_audit_tells_was_taken_away_and_nothing_else() {
    let place = Place::new();
    let rotate = |user: &str| {
        let generated = audited(&place, &["token", "generate", user, "--json"]).succeeded();
        let code = generated.json()[0]["code"].as_str().unwrap().to_owned();
        place.run_with(&["token", "confirm", user], &code).succeeded();
    };
    let users = [
        "kept",
        "all",
        "access",
        "backup",
        "primary",
        "pending",
        "narrowed",
        "widened",
        "regranted",
    ];
    for user in users {
        place.user_with_token(user, &["GET", "POST"]);
    }
    for user in ["kept", "all", "backup", "primary"] {
        rotate(user);
    }
    place.run(&["token", "generate", "pending"]).succeeded();
    place.run(&["backup", "backup.db"]).succeeded();
    let after: &[&[&str]] = &[
        &["token", "revoke-all", "all"],
        &["user", "revoke", "access"],
        &["token", "delete-backup", "backup", "1", "--even-if-in-use"],
        &["token", "roll-back", "primary", "2", "--even-if-in-use"],
        &["token", "cancel-pending", "pending", "2"],
        &["user", "grant", "narrowed", "GET"],
        &["user", "grant", "widened", "GET", "POST", "DELETE"],
        &["user", "revoke", "regranted"],
        &["user", "grant", "regranted", "GET"],
        &["token", "issue", "regranted"],
        &["user", "grant", "new", "GET"],
    ];
    for arguments in after {
        audited(&place, arguments).succeeded();
    }
    put_back(&place);
    let ran = audited(&place, &["restore", "--audit", "audit.jsonl"]).succeeded();
    ran.says("7 users have less than in the backup");
    let ids = |user: &str| {
        let view = shown(&place, user);
        [&view["primary"]["id"], &view["backup"]["id"], &view["pending"]["id"]].map(Value::as_u64)
    };
    assert_eq!(ids("kept"), [Some(2), Some(1), None]);
    assert_eq!(ids("all"), [None; 3]);
    assert_eq!(ids("backup"), [Some(2), None, None]);
    assert_eq!(ids("primary"), [Some(1), None, None]);
    assert_eq!(ids("pending"), [Some(1), None, None]);
    for (user, methods) in [
        ("access", json!([])),
        ("regranted", json!([])),
        ("narrowed", json!(["GET"])),
        ("widened", json!(["GET", "POST"])),
    ] {
        assert_eq!(shown(&place, user)["methods"], methods, "{user}");
    }
    let history = place.run(&["history", "all", "--json"]).succeeded().json();
    assert_eq!(history[0]["event"], "all_revoked");
    assert_eq!(history[0]["by"], "program tower-api-token");
    // It is a store as any other now, and its audit says the same once more.
    place.run(&["check"]).succeeded();
    audited(&place, &["restore", "--accept-revived"]).succeeded().says("0 users");
}

/// Also of a user whose access was revoked after that, and who may get it anew.
#[test]
fn who_was_suspended_since_the_backup_is_suspended_by_the_restore() {
    let place = Place::new();
    let mut tokens = Vec::new();
    for user in ["mallory", "back", "gone", "twice"] {
        tokens.push(place.user_with_token(user, &["GET", "POST"]));
    }
    place.run(&["backup", "backup.db"]).succeeded();
    let after: &[&[&str]] = &[
        &["user", "suspend", "mallory"],
        &["user", "suspend", "back"],
        &["user", "resume", "back"],
        &["user", "suspend", "gone"],
        &["user", "revoke", "gone"],
        &["user", "suspend", "twice"],
        &["user", "resume", "twice"],
        &["user", "grant", "twice", "GET"],
        &["user", "suspend", "twice"],
    ];
    for arguments in after {
        audited(&place, arguments).succeeded();
    }
    put_back(&place);
    let ran = audited(&place, &["restore", "--audit", "audit.jsonl"]).succeeded();
    ran.says("3 users have less than in the backup");
    assert_eq!(shown(&place, "gone")["methods"], json!([]));
    place.run(&["user", "grant", "gone", "GET"]).succeeded();
    let suspended = |user: &str| !shown(&place, user)["suspended_since"].is_null();
    for (user, is_suspended) in
        [("mallory", true), ("back", false), ("gone", true), ("twice", true)]
    {
        assert_eq!(suspended(user), is_suspended, "{user}");
    }
    assert_eq!(shown(&place, "twice")["methods"], json!(["GET"]));
    let server = Serving::start(&place, &[]);
    let statuses: Vec<_> =
        tokens.iter().map(|token| server.ask(Some(token), "GET").status).collect();
    assert_eq!(statuses, [403, 200, 401, 403]);
}

#[test]
fn tokens_live_no_longer_after_a_restore_than_was_granted_since_the_backup() {
    let place = Place::new();
    for user in ["shorter", "longer", "both"] {
        place.user_with_token(user, &["GET", "POST"]);
    }
    audited(&place, &["user", "grant", "longer", "GET", "--token-lifetime", "1h"]).succeeded();
    place.run(&["backup", "backup.db"]).succeeded();
    let after: &[&[&str]] = &[
        &["user", "grant", "shorter", "GET", "POST", "--token-lifetime", "2h"],
        &["user", "grant", "shorter", "GET", "POST", "--token-lifetime", "1d"],
        &["user", "grant", "longer", "GET", "--token-lifetime", "1d"],
        &["user", "grant", "both", "GET", "--token-lifetime", "3h", "--backup-lifetime", "1m"],
    ];
    for arguments in after {
        audited(&place, arguments).succeeded();
    }
    put_back(&place);
    // The policy may have become stricter meanwhile.
    let mut restore = place.command(&["restore", "--audit", "audit.jsonl"]);
    let restore = restore.env("TOWER_API_TOKEN_POLICY_TOKEN_LIFETIME", "150m");
    finish(restore, "").succeeded().says("2 users have less than in the backup");
    let granted = |user: &str| {
        let view = shown(&place, user);
        [&view["token_lifetime"], &view["backup_lifetime"]].map(Value::as_u64)
    };
    assert_eq!(granted("shorter"), [Some(7_200), None]);
    assert_eq!(granted("longer"), [Some(3_600), None]);
    assert_eq!(granted("both"), [Some(9_000), Some(60)]);
    assert_eq!(shown(&place, "both")["methods"], json!(["GET"]));
    assert!(!shown(&place, "shorter")["primary"]["expires_at"].is_null());
}

/// Rotates the token of alice under this setting, and makes a backup; then the
/// token `expired` expires, and a change records its end in the audit.
fn expires_after_the_backup(setting: &str, expired: u64) -> Place {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    let run = |arguments: &[&str], input: &str| {
        let mut command = place.command(arguments);
        finish(command.env(setting, "1s"), input).succeeded()
    };
    let generated = run(&["token", "generate", "alice", "--json"], "").json();
    run(&["token", "confirm", "alice"], generated[0]["code"].as_str().unwrap());
    place.run(&["backup", "backup.db"]).succeeded();
    let end = Instant::now() + Duration::from_secs(60);
    while shown(&place, "alice")["expired"][0]["id"] != expired {
        assert!(Instant::now() < end, "{}", shown(&place, "alice"));
        std::thread::sleep(Duration::from_millis(20));
    }
    audited(&place, &["user", "grant", "alice", "GET", "POST"]).succeeded();
    let audit = fs::read_to_string(place.path("audit.jsonl")).unwrap();
    assert!(audit.contains(&format!("\"ended\":[{expired}]")), "{audit}");
    put_back(&place);
    place
}

#[test]
fn a_primary_outlives_the_restore_where_its_backup_has_expired() {
    let place = expires_after_the_backup("TOWER_API_TOKEN_POLICY_BACKUP_LIFETIME", 1);
    audited(&place, &["restore", "--audit", "audit.jsonl"]).succeeded();
    assert_eq!(shown(&place, "alice")["primary"]["id"], 2);
}

#[test]
fn a_backup_outlives_the_restore_where_its_primary_has_expired() {
    let place = expires_after_the_backup("TOWER_API_TOKEN_POLICY_TOKEN_LIFETIME", 2);
    audited(&place, &["restore", "--audit", "audit.jsonl"]).succeeded();
    assert_eq!(shown(&place, "alice")["primary"]["id"], 1);
}

/// On a disk that is full.
#[test]
fn a_line_that_cannot_be_written_stands_on_the_standard_error() {
    let place = Place::new();
    let mut command = place.command(&["user", "grant", "alice", "GET"]);
    let ran = finish(command.env("TOWER_API_TOKEN_AUDIT_FILE", "/dev/full"), "").succeeded();
    ran.says("the audit file cannot be written").says("access_granted");
}

/// Whoever reads a pipe may be gone.
#[test]
fn an_audit_file_that_is_a_pipe_which_nobody_reads_is_not_waited_for() {
    let place = Place::new();
    let made = std::process::Command::new("mkfifo").arg(place.path("audit.jsonl")).status();
    assert!(made.unwrap().success());
    audited(&place, &["user", "grant", "alice", "GET"]).exited(2).says("AUDIT_FILE");
}

/// As by a disk that was full, within a character.
#[test]
fn half_a_line_of_the_audit_is_named_by_file_and_number_and_restores_nothing() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    place.run(&["backup", "backup.db"]).succeeded();
    let mut half = "\n{\"user\":\"\u{e9}".as_bytes().to_vec();
    half.pop();
    fs::write(place.path("audit.jsonl"), half).unwrap();
    audited(&place, &["token", "revoke-all", "alice"]).succeeded();
    put_back(&place);
    let ran = place.run(&["restore", "--audit", "audit.jsonl"]).exited(2);
    ran.says("audit.jsonl, line 2").says("removed");
    place.run(&["user", "list"]).exited(7);
    let audit = fs::read(place.path("audit.jsonl")).unwrap();
    let lines: Vec<_> = audit.split(|byte| *byte == b'\n').collect();
    fs::write(place.path("audit.jsonl"), lines[2]).unwrap();
    place.run(&["restore", "--audit", "audit.jsonl"]).succeeded();
    assert_eq!(shown(&place, "alice")["primary"], Value::Null);
}

/// Alice's backup holds revision 2, the audit tells of 4 and 7, and lines 3, 5
/// and 6 are lost; of bob it tells all, of carol nothing.
fn with_an_audit_that_has_gaps() -> Place {
    let place = Place::new();
    for user in ["alice", "bob", "carol"] {
        place.user_with_token(user, &["GET"]);
    }
    place.run(&["backup", "backup.db"]).succeeded();
    place.run(&["token", "generate", "alice"]).succeeded();
    audited(&place, &["token", "cancel-pending", "alice", "2"]).succeeded();
    place.run(&["token", "revoke-all", "alice"]).succeeded();
    place.run(&["token", "issue", "alice"]).succeeded();
    audited(&place, &["user", "grant", "alice", "GET", "POST"]).succeeded();
    audited(&place, &["user", "grant", "bob", "GET", "POST"]).succeeded();
    put_back(&place);
    place
}

#[test]
fn an_audit_with_gaps_restores_nothing_and_names_users_and_revisions() {
    let place = with_an_audit_that_has_gaps();
    let ran = audited(&place, &["restore", "--audit", "audit.jsonl"]).exited(2);
    let ran = ran.says("alice lacks revision 3, 5 to 6").says("--end-incomplete");
    assert!(!ran.err.contains("bob") && !ran.err.contains("carol"), "{}", ran.err);
    place.run(&["user", "list"]).exited(7);
    place.run(&["restore", "--accept-revived", "--end-incomplete"]).exited(2);
}

#[test]
fn where_an_audit_has_gaps_every_token_of_that_user_can_be_ended() {
    let place = with_an_audit_that_has_gaps();
    let arguments = ["restore", "--end-incomplete", "--audit", "audit.jsonl"];
    audited(&place, &arguments).succeeded().says("1 users");
    assert_eq!(shown(&place, "alice")["primary"], Value::Null);
    for user in ["bob", "carol"] {
        assert_eq!(shown(&place, user)["primary"]["id"], 1, "{user}");
    }
}

#[test]
fn serve_writes_to_a_new_audit_file_once_the_former_one_was_moved() {
    let place = Place::new();
    let token = place.user_with_token("alice", &["GET"]);
    let mut command =
        place.command(&["serve", "--listen", "127.0.0.1:0", "--profile", "original-method"]);
    command.env("TOWER_API_TOKEN_AUDIT_FILE", "audit.jsonl");
    let server = Serving::run(command);
    assert_eq!(server.ask(Some(&token), "GET").status, 200);
    fs::rename(place.path("audit.jsonl"), place.path("audit.1.jsonl")).unwrap();
    place.run(&["token", "revoke-all", "alice"]).succeeded();
    let end = Instant::now() + Duration::from_secs(60);
    while server.ask(Some(&token), "GET").status != 401 {
        assert!(Instant::now() < end);
    }
    server.stop();
    let line = fs::read_to_string(place.path("audit.jsonl")).unwrap();
    assert!(line.contains("retired_token_used"), "{line}");
    assert_eq!(fs::metadata(place.path("audit.jsonl")).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::read(place.path("audit.1.jsonl")).unwrap(), b"");
}

#[test]
fn a_line_of_the_audit_that_cannot_be_understood_restores_nothing() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    place.run(&["backup", "backup.db"]).succeeded();
    put_back(&place);
    let line = r#"{"user":"alice","revision":3,"at":"2026-01-01T00:00:00.000Z","ended":"all"}"#;
    place.write("audit.jsonl", &format!("{line}\nno JSON\n"));
    place.run(&["restore", "--audit", "audit.jsonl"]).exited(2).says("audit.jsonl, line 2");
    place.run(&["user", "list"]).exited(7);
}

#[test]
fn a_log_that_belongs_to_another_file_is_not_read_with_the_backup() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    place.run(&["backup", "backup.db"]).succeeded();
    put_back(&place);
    place.write("tokens.db-wal", "the log of a file that was there before");
    place.run(&["restore", "--end-all"]).exited(2).says("tokens.db-wal").says("remove it first");
}

/// The server answers 503 while a backup is in the place of its store.
#[test]
fn a_running_server_serves_what_was_restored_and_never_the_backup() {
    let place = Place::new();
    let tokens = ["alice", "bob"].map(|user| place.user_with_token(user, &["GET"]));
    let server = Serving::start(&place, &[]);
    assert_eq!(server.ask(Some(&tokens[0]), "GET").status, 200);
    place.run(&["backup", "backup.db"]).succeeded();
    audited(&place, &["token", "revoke-all", "alice"]).succeeded();
    put_back(&place);
    let replaced = Instant::now();
    while server.ask(Some(&tokens[1]), "GET").status != 503 {
        assert!(replaced.elapsed() < Duration::from_secs(1));
    }
    assert_eq!(server.operations("/ready").status, 503);
    audited(&place, &["restore", "--audit", "audit.jsonl"]).succeeded();
    let restored = Instant::now();
    while server.ask(Some(&tokens[1]), "GET").status != 200 {
        assert!(restored.elapsed() < Duration::from_secs(60));
    }
    assert_eq!(server.ask(Some(&tokens[0]), "GET").status, 401);
    server.stop();
}

/// The form that `docs/operating.md` promises.
#[test]
fn the_lines_of_the_audit_file_keep_their_form() {
    let place = Place::new();
    audited(&place, &["user", "grant", "alice", "POST", "GET"]).succeeded();
    audited(&place, &["token", "issue", "alice"]).succeeded();
    audited(&place, &["token", "generate", "alice", "--administrator", "root"]).succeeded();
    audited(&place, &["token", "generate", "alice"]).succeeded();
    audited(&place, &["user", "revoke", "alice"]).succeeded();
    let path = place.path("audit.jsonl");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            let at = line["at"].take();
            assert!(at.as_str().is_some_and(|at| at.len() == 24 && at.ends_with('Z')), "{at}");
            line
        })
        .collect();
    let by = "program tower-api-token";
    assert_eq!(
        Value::from(lines),
        json!([
            { "user": "alice", "revision": 1, "at": null, "by": by, "event": "access_granted",
              "methods": ["GET", "POST"] },
            { "user": "alice", "revision": 2, "at": null, "by": by, "event": "token_issued",
              "token": 1 },
            { "user": "alice", "revision": 3, "at": null, "by": "administrator root",
              "event": "primary_generated", "token": 2 },
            { "user": "alice", "revision": 4, "at": null, "by": by, "event": "primary_generated",
              "token": 3, "superseded": 2, "ended": [2] },
            { "user": "alice", "revision": 5, "at": null, "by": by, "event": "access_revoked",
              "ended": "all", "methods": [] },
        ])
    );
}

#[tokio::test]
async fn where_other_tools_make_the_backup_the_command_says_so() {
    for (store, tool) in
        [("postgres://u@127.0.0.1:1/db", "pg_dump"), ("redis://127.0.0.1:1", "redis-cli")]
    {
        Place::on(store).run(&["backup", "backup.db"]).exited(2).says(tool);
    }
}
