//! The webhook of the settings, who is told what happens, and what is pruned.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::program::Place;
use crate::serving::Serving;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n";
const FORMER: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD\n";

/// How long a message may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a receiver was sent.
struct Message {
    head: String,
    body: Value,
}

impl Message {
    fn signatures(&self) -> usize {
        let line = self.head.lines().find(|line| line.starts_with("webhook-signature:"));
        line.expect("a signature").matches("v1,").count()
    }
}

/// A receiver that takes every message.
fn receiver() -> (SocketAddr, Receiver<Message>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let (sender, messages) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let mut head = String::new();
            while reader.read_line(&mut head).is_ok_and(|read| read > 2) {}
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.expect("a length").trim().parse().expect("a number");
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("a body");
            let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
            reader.get_mut().write_all(answer).expect("a peer");
            let body = serde_json::from_slice(&body).expect("JSON");
            if sender.send(Message { head, body }).is_err() {
                return;
            }
        }
    });
    (address, messages)
}

fn settings(place: &Place, address: SocketAddr, more: &str) {
    place.write("secret", SECRET);
    let file = format!(
        "[webhook]\nurl = \"http://{address}/hook\"\nsecret-file = \"secret\"\n\
         former-secret-file = \"former\"\n{more}"
    );
    place.write("config.toml", &file);
}

fn serve(place: &Place) -> Serving {
    let server = Serving::start(place, &["--config", "config.toml"]);
    server.logged("forward-auth");
    server
}

/// Waits until the store knows where the webhook begins.
fn begun(place: &Place) {
    let end = std::time::Instant::now() + PATIENCE;
    while place.run(&["receiver", "list", "--json"]).succeeded().json().is_empty() {
        assert!(std::time::Instant::now() < end, "the webhook has not begun");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_happens_is_sent_once_wherever_it_was_done_and_across_a_stop() {
    let place = Place::new();
    let (address, messages) = receiver();
    settings(&place, address, "");
    let server = serve(&place);
    begun(&place);
    place.run(&["user", "grant", "alice", "GET"]).succeeded();
    let first = messages.recv_timeout(PATIENCE).expect("a message");
    assert_eq!(first.body["type"], "access_granted");
    assert_eq!(first.body["data"]["user"], "alice");
    assert_eq!(first.signatures(), 1, "the former secret's file does not exist");
    server.stop();

    place.run(&["user", "suspend", "alice"]).succeeded();
    place.write("former", FORMER);
    let server = serve(&place);
    let second = messages.recv_timeout(PATIENCE).expect("what was done meanwhile");
    assert_eq!(second.body["type"], "access_suspended", "and not the first again");
    assert_eq!(second.signatures(), 2);
    let log = server.stop();
    assert!(!log.contains(&SECRET[6..20]), "{log}");
    let listed = place.run(&["receiver", "list", "--json"]).succeeded().json();
    let position = &listed[0]["position"];
    assert_eq!(listed, [json!({ "receiver": "webhook", "position": position, "end": position })]);
}

#[test]
fn only_the_events_that_are_named_are_sent() {
    let place = Place::new();
    let (address, messages) = receiver();
    settings(&place, address, "events = [\"access_suspended\", \"account_erased\"]\n");
    let server = serve(&place);
    begun(&place);
    place.run(&["user", "grant", "alice", "GET"]).succeeded();
    place.run(&["user", "suspend", "alice"]).succeeded();
    place.run(&["user", "erase", "alice", "--yes"]).succeeded();
    let next = || messages.recv_timeout(PATIENCE).expect("a message").body;
    // Where the erasure came first there is nothing else to be sent.
    let first = next();
    let erased = if first["type"] == "access_suspended" { next() } else { first };
    assert_eq!(erased["type"], "account_erased");
    assert!(!erased.to_string().contains("alice"), "{erased}");
    server.stop();
}

#[test]
fn a_secret_of_another_form_is_refused_before_anything_is_served() {
    let place = Place::new();
    settings(&place, ([127, 0, 0, 1], 9).into(), "");
    place.write("secret", "whsec_too-short-and-no-base64\n");
    let refused = place.run(&["serve", "--config", "config.toml", "--ext-authz", "127.0.0.1:0"]);
    let refused = refused.exited(2).says("webhook.secret-file").says("whsec_");
    assert!(!refused.err.contains("too-short"), "{refused:?}");
    place.write("secret", SECRET);
    place.write("former", "whsec_AAAA\n");
    let refused = place.run(&["serve", "--config", "config.toml", "--ext-authz", "127.0.0.1:0"]);
    refused.exited(2).says("webhook.former-secret-file").says("24 to 64");
}

#[test]
fn a_receiver_that_is_gone_is_removed() {
    let place = Place::new();
    let (address, _messages) = receiver();
    settings(&place, address, "");
    let server = serve(&place);
    begun(&place);
    place.run(&["receiver", "remove", "webhook"]).exited(3).says("is being delivered to");
    server.stop();
    let listed = place.run(&["receiver", "list"]).succeeded().out;
    assert_eq!(listed, "RECEIVER  POSITION  END OF THE LOG\nwebhook   0         0\n");
    place.run(&["receiver", "remove", "webhook"]).succeeded().says("webhook: forgotten");
    place.run(&["receiver", "remove", "webhook"]).exited(5).says("there is no such receiver");
    assert!(place.run(&["receiver", "list", "--json"]).succeeded().json().is_empty());
}

#[test]
fn old_entries_are_pruned_and_the_last_of_each_user_stays() {
    let place = Place::new();
    for user in ["alice", "bob"] {
        for command in [&["user", "grant", user, "GET"][..], &["user", "suspend", user]] {
            place.run(command).succeeded();
        }
    }
    place.run(&["prune", "--older-than", "0s"]).succeeded().says("0 entries from before");
    let connection = rusqlite::Connection::open(place.path("tokens.db")).unwrap();
    connection.execute("UPDATE history SET at = at - 2 * 86400000", []).unwrap();
    let pruned = place.run(&["prune", "--older-than", "1d", "--json"]).succeeded().json();
    assert_eq!(pruned[0]["removed"], 2);
    let left = place.run(&["history", "--all", "--json"]).succeeded().json();
    let left: Vec<_> = left.iter().map(|entry| (&entry["user"], &entry["event"])).collect();
    let (alice, bob, last) = (json!("alice"), json!("bob"), json!("access_suspended"));
    assert_eq!(left, [(&alice, &last), (&bob, &last)]);
    place.run(&["prune"]).exited(2).says("--older-than");
    place.run(&["prune", "--older-than", "soon"]).exited(2).says("such as 7d");
}

#[test]
fn an_entry_of_a_later_version_stands_in_the_log_as_such() {
    let place = Place::new();
    for user in ["alice", "bob"] {
        place.run(&["user", "grant", user, "GET"]).succeeded();
    }
    let connection = rusqlite::Connection::open(place.path("tokens.db")).unwrap();
    let later = r#"UPDATE history SET event = '{"event":"of_a_later_version"}' WHERE position = 1"#;
    assert_eq!(connection.execute(later, []).unwrap(), 1);
    let log =
        place.run(&["history", "--all", "--json"]).succeeded().says("unreadable record").json();
    assert_eq!((&log[0]["user"], &log[0]["event"]), (&json!("alice"), &json!("unreadable")));
    assert_eq!((&log[1]["user"], &log[1]["event"]), (&json!("bob"), &json!("access_granted")));
    let log = place.run(&["history", "--all"]).succeeded().out;
    let first = log.lines().next().unwrap();
    assert!(first.ends_with(" alice: An entry that this version cannot read"), "{first}");
    place.run(&["history", "alice"]).exited(7).says("a later version has written it");
}
