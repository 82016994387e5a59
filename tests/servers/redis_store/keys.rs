//! What a server is asked, by which names.

use std::collections::BTreeSet;

use tower_api_token::account::LastUse;
use tower_api_token::store::{AccountStore, ChangeFeed, LastUses, PageSize, TokenStore};
use tower_api_token::time::Timestamp;
use tower_api_token::token::TokenId;
use tower_api_token::user::UserId;

use crate::redis_server::{DURABLE, Server};
use crate::sample::{account, change, digest, user};

/// Each of them means something to a command that takes patterns, to the tag of
/// a key, or to a script.
const NAMES: [&str; 16] = [
    "*",
    "a*",
    "a?c",
    "abc",
    "[abc]",
    "[^x]",
    "a:b",
    "a",
    "b",
    "{b}",
    "}",
    "a}b{",
    "a\\*",
    "%d",
    "' .. '",
    "\u{1f511}",
];

#[tokio::test]
async fn store_030_names_with_wildcards_are_exact_and_no_key_is_searched_for() {
    assert!(UserId::new("a\nb").is_err(), "no name holds a line's end");
    let server = Server::start(&DURABLE);
    let store = server.deployment().store().await;
    let mut feed = store.changes().await.unwrap();
    for (number, name) in (1..).zip(NAMES) {
        store.replace(change(account(name, 1, number))).await.unwrap();
        store.record_usage(&[used(name, number)]).await.unwrap();
        assert_eq!(crate::watch::next_change(&mut feed).await.user, user(name));
    }
    // What ends for one of them ends for nobody else.
    store.replace(change(account("*", 2, 100))).await.unwrap();
    for (number, name) in (1..).zip(NAMES).skip(1) {
        let found = store.find(&digest(number)).await.unwrap().expect("its account");
        assert_eq!(found.user(), &user(name));
        let loaded = store.load(&user(name)).await.unwrap().account.unwrap();
        assert_eq!(*loaded, account(name, 1, number));
        let history = store.history(&user(name), None, PageSize::MAX).await.unwrap().items;
        assert_eq!(history.len(), 1, "{name}");
        assert_eq!(store.usage(&user(name)).await.unwrap(), [used(name, number).1]);
    }
    assert!(store.find(&digest(1)).await.unwrap().is_none());
    let listed = store.list(None, PageSize::MAX).await.unwrap().items;
    let listed: Vec<_> = listed.iter().map(|account| account.user().as_str().to_owned()).collect();
    let expected: BTreeSet<_> = NAMES.map(str::to_owned).into();
    assert_eq!(listed, Vec::from_iter(expected));
    store.heartbeat(1).await.unwrap();
    store.pepper_versions().await.unwrap();
    let asked = server.tell("INFO commandstats");
    assert!(asked.contains("cmdstat_evalsha"), "{asked}");
    for search in ["cmdstat_keys", "scan", "cmdstat_sort"] {
        assert!(!asked.contains(search), "{search}: {asked}");
    }
}

fn used(name: &str, number: u64) -> (UserId, LastUse) {
    let at = Timestamp::from_unix_millis(number);
    (user(name), LastUse::new(TokenId::from_u64(1), at, None))
}

/// A look-up is one command, and nothing before or after it.
#[tokio::test]
async fn a_look_up_is_one_round_trip() {
    let server = Server::start(&DURABLE);
    let store = server.deployment().store().await;
    store.replace(change(account("alice", 1, 1))).await.unwrap();
    store.find(&digest(1)).await.unwrap();
    let commands = || {
        let stats = server.tell("INFO stats");
        let count = stats.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
        count.expect("a count").trim().parse::<u64>().expect("a number")
    };
    // What asking for the count costs.
    let first = commands();
    let before = commands();
    let own = before - first;
    for _ in 0..100 {
        assert!(store.find(&digest(1)).await.unwrap().is_some());
        assert!(store.find(&digest(2)).await.unwrap().is_none());
    }
    let after = commands();
    // The commands of a script are counted too: the digest, and the account or
    // the marker.
    assert_eq!(after - before - own, 200 * (1 + 2));
}

/// A server does nothing else during a transaction, so a long batch is several:
/// look-ups come between, and no answer takes as long as the whole batch.
#[tokio::test]
async fn a_long_batch_is_several_transactions() {
    let server = Server::start(&DURABLE);
    let store = server.deployment().store().await;
    let numbered = |number| change(account(&format!("user {number}"), 1, number));
    // The server is given the script with the first change.
    store.replace(numbered(1_201)).await.unwrap();
    server.tell("CONFIG RESETSTAT");
    let answers = store.replace_many((1..=1_200).map(numbered).collect()).await.unwrap();
    assert!(answers.len() == 1_200 && answers.iter().all(Result::is_ok));
    assert!(store.find(&digest(1_200)).await.unwrap().is_some());
    let asked = server.tell("INFO commandstats");
    assert!(asked.contains("cmdstat_exec:calls=3,"), "{asked}");
}

/// The names of keys are no part of an error, whatever the server says.
#[tokio::test]
async fn a_refusal_that_quotes_a_digest_is_told_without_it() {
    let server = Server::start(&[
        "--appendonly yes",
        "--appendfsync always",
        "--rename-command EVALSHA HIDDEN",
    ]);
    let deployment = server.deployment();
    let store = deployment.opened().await;
    server.tell(&format!("SET {} \"\\xff3:here\"", deployment.key("deployment")));
    let error = store.find(&digest(7)).await.unwrap_err();
    let told = format!("{error:?} {error}");
    assert!(told.contains("unknown command"), "{told}");
    assert!(!told.contains("digest") && !told.contains("EVALSHA"), "{told}");
}
