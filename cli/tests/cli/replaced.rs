//! The SQLite file of a running server is replaced.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::program::{Place, finish};
use crate::replaced_file::{WAYS, remove_log};
use crate::serving::Serving;

/// When a replaced file is noticed at the latest.
const BOUND: Duration = Duration::from_secs(1);

/// What a test waits for comes within this.
const PATIENCE: Duration = Duration::from_secs(60);

/// Copies the store and revokes alice's access in the copy alone.
fn revoke_in_copy(place: &Place, path: &Path, other: &Path) {
    let source = rusqlite::Connection::open(path).unwrap();
    source.execute("VACUUM INTO ?1", [other.to_str().unwrap()]).unwrap();
    let mut revoke = place.command(&["user", "revoke", "alice"]);
    finish(revoke.env("TOWER_API_TOKEN_STORE", format!("sqlite:{}", other.display())), "")
        .succeeded();
}

/// Until the token is refused, which it is within the bound.
fn assert_refused(server: &Serving, token: &str, what: &str) {
    let replaced = Instant::now();
    loop {
        let asked = replaced.elapsed();
        match server.ask(Some(token), "GET").status {
            200 => assert!(asked < BOUND, "{what}: 200 after {asked:?}"),
            503 => assert!(asked < PATIENCE, "{what}"),
            401 => return,
            status => panic!("{what}: {status}"),
        }
    }
}

fn revoked_in_the_other_file(cache: &str) {
    for way in WAYS {
        let place = Place::on(&format!("sqlite:{}", way.path));
        let (path, other) = way.prepare(place.directory());
        place.run(&["migrate"]).succeeded();
        let token = place.user_with_token("alice", &["GET"]);
        revoke_in_copy(&place, &path, &other);
        let serve = ["serve", "--listen", "127.0.0.1:0", "--profile", "original-method"];
        let mut command = place.command(&[&serve[..], &["--operations", "127.0.0.1:0"]].concat());
        command.env("TOWER_API_TOKEN_CACHE_ENABLED", cache);
        let server = Serving::run(command);
        // What is asked twice is remembered, and what is recorded is in the log.
        for _ in 0..2 {
            assert_eq!(server.ask(Some(&token), "GET").status, 200);
        }
        place.run(&["user", "grant", "bob", "GET"]).succeeded();
        way.replace(place.directory());
        assert_refused(&server, &token, way.name);
        assert_eq!(server.operations("/ready").status, 200, "{}", way.name);
        // What is changed in the other file by others is heard of as ever.
        let bob = place.user_with_token("bob", &["GET"]);
        assert_eq!(server.ask(Some(&bob), "GET").status, 200, "{}", way.name);
        server.stop();
    }
}

#[test]
fn a_token_revoked_in_another_file_that_takes_the_place_is_refused_in_time() {
    revoked_in_the_other_file("true");
}

#[test]
fn without_a_cache_a_token_revoked_in_another_file_is_refused_in_time_too() {
    revoked_in_the_other_file("false");
}

#[test]
fn while_the_file_is_missing_the_server_is_not_ready_and_then_serves_the_new_one() {
    for cache in ["true", "false"] {
        let place = Place::new();
        let token = place.user_with_token("alice", &["GET"]);
        let serve = ["serve", "--listen", "127.0.0.1:0", "--profile", "original-method"];
        let mut command = place.command(&[&serve[..], &["--operations", "127.0.0.1:0"]].concat());
        command.env("TOWER_API_TOKEN_CACHE_ENABLED", cache);
        let server = Serving::run(command);
        assert_eq!(server.ask(Some(&token), "GET").status, 200);
        assert_eq!(server.operations("/ready").status, 200);
        fs::remove_file(place.path("tokens.db")).unwrap();
        remove_log(place.directory(), "tokens.db");
        let removed = Instant::now();
        while server.ask(Some(&token), "GET").status == 200 {
            assert!(removed.elapsed() < BOUND);
        }
        assert_eq!(server.ask(Some(&token), "GET").status, 503);
        assert_eq!(server.operations("/ready").status, 503);
        // Nor is an empty file an answer, or one that nobody has set up.
        fs::write(place.path("tokens.db"), "").unwrap();
        assert_eq!(server.ask(Some(&token), "GET").status, 503);
        assert_eq!(server.operations("/ready").status, 503);
        place.run(&["migrate"]).succeeded();
        let migrated = Instant::now();
        while server.ask(Some(&token), "GET").status != 401 {
            assert!(migrated.elapsed() < PATIENCE);
        }
        let token = place.user_with_token("alice", &["GET"]);
        assert_eq!(server.ask(Some(&token), "GET").status, 200);
        assert_eq!(server.operations("/ready").status, 200);
        server.stop();
    }
}
