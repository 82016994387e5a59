//! Several processes on one SQLite file.

use std::time::{Duration, Instant};

use crate::program::Place;
use crate::serving::Serving;

/// The staleness bound that the server promises by default.
const D: Duration = Duration::from_secs(5);

#[test]
fn a_revoke_in_another_process_takes_effect_within_the_bound() {
    let place = Place::new();
    let server = Serving::start(&place, &[]);
    let mut delays = Vec::new();
    for round in 0..15 {
        let user = format!("user{round}");
        let token = place.user_with_token(&user, &["GET"]);
        // Asked twice, so that the second answer is the cache's.
        assert_eq!(server.ask(Some(&token), "GET").status, 200);
        assert_eq!(server.ask(Some(&token), "GET").status, 200);
        place.run(&["user", "revoke", &user]).succeeded();
        let revoked = Instant::now();
        while server.ask(Some(&token), "GET").status != 401 {
            assert!(revoked.elapsed() < D, "round {round}");
        }
        delays.push(revoked.elapsed());
    }
    delays.sort_unstable();
    let (p50, most) = (delays[delays.len() / 2], delays[delays.len() - 1]);
    println!("revoke in another process, refused here: p50 {p50:?}, greatest {most:?}");
}

#[test]
fn a_grant_and_a_first_token_work_in_a_server_that_runs() {
    let place = Place::new();
    let server = Serving::start(&place, &[]);
    server.address("forward-auth");
    let token = place.user_with_token("alice", &["GET"]);
    assert_eq!(server.ask(Some(&token), "GET").status, 200);
    assert_eq!(server.ask(Some(&token), "PUT").status, 403);
    place.run(&["user", "grant", "alice", "GET", "PUT"]).succeeded();
    let granted = Instant::now();
    while server.ask(Some(&token), "PUT").status != 200 {
        assert!(granted.elapsed() < D);
    }
}

#[test]
fn cli_007_processes_that_rotate_at_once_make_each_change_once() {
    const PROCESSES: usize = 6;
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    let server = Serving::start(&place, &[]);
    server.address("forward-auth");
    let rotate = || {
        let generated = place.run(&["token", "generate", "alice", "--json"]);
        if generated.code != Some(0) {
            return (generated.code, None);
        }
        let value = generated.json().remove(0);
        let code = value["code"].as_str().unwrap().to_owned();
        let confirmed = place.run_with(&["token", "confirm", "alice"], &code);
        (confirmed.code, Some(value["token"].as_str().unwrap().to_owned()))
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let processes: Vec<_> = (0..PROCESSES).map(|_| scope.spawn(rotate)).collect();
        processes.into_iter().map(|process| process.join().unwrap()).collect()
    });
    // One confirms; the pending tokens of the others were superseded, or there
    // was a backup already.
    let winners: Vec<_> = results.iter().filter(|(code, _)| *code == Some(0)).collect();
    assert_eq!(winners.len(), 1, "{:?}", results.iter().map(|(code, _)| code).collect::<Vec<_>>());
    assert!(results.iter().all(|(code, _)| matches!(code, Some(0 | 3))));
    let history = place.run(&["history", "alice", "--json"]).succeeded().json();
    let confirmed = history.iter().filter(|entry| entry["event"] == "primary_confirmed").count();
    assert_eq!(confirmed, 1);
    let revisions: Vec<_> = history.iter().map(|it| it["revision"].as_u64().unwrap()).collect();
    let expected: Vec<_> = (1..=history.len() as u64).rev().collect();
    assert_eq!(revisions, expected, "each change has a revision of its own");
    // The server accepts the winner's token and nobody else's.
    let confirmed = Instant::now();
    for (code, token) in &results {
        let Some(token) = token else { continue };
        let expected = if *code == Some(0) { 200 } else { 401 };
        while server.ask(Some(token), "GET").status != expected {
            assert!(confirmed.elapsed() < D, "{code:?}");
        }
    }
}
