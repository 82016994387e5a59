//! The log of all accounts and what is due: what is kept of them, in which pieces, and
//! who may write it.

use std::error::Error;
use std::time::Duration;

use redis::Client;
use tower_api_token::store::{
    AccountStore, AuditItem, AuditLog, AuditPosition, Due, DueAccounts, Erasure, PageSize,
    RedisOptions, RedisStore, Replacement, StoreErrorKind,
};
use tower_api_token::time::Timestamp;
use tower_api_token::user::{Actor, UserId};

use crate::redis_server::{DURABLE, Deployment, Server, replicated};
use crate::sample::{account, change, user};

const EVER: Timestamp = Timestamp::from_unix_millis(u64::MAX);
const HOUR: Duration = Duration::from_secs(3_600);

/// Everything in the log, page by page: the positions, and user and revision of each
/// entry, or nobody.
pub(crate) async fn log(store: &RedisStore) -> Vec<(AuditPosition, Option<(UserId, u64)>)> {
    let (mut found, mut after) = (Vec::new(), AuditPosition::START);
    loop {
        let page = store.audit(after, PageSize::MAX).await.unwrap();
        let Some((last, _)) = page.last() else { return found };
        after = *last;
        found.extend(page.into_iter().map(|(position, item)| match item {
            AuditItem::Entry(entry) => (position, Some((entry.user, entry.revision.as_u64()))),
            _ => (position, None),
        }));
    }
}

/// That many accounts with `revisions` entries each.
pub(crate) async fn fill(store: &RedisStore, accounts: u64, revisions: u64) {
    for revision in 1..=revisions {
        let changes = (1..=accounts).map(|number| nth(number, revision)).collect();
        for answer in store.replace_many(changes).await.unwrap() {
            answer.unwrap();
        }
    }
}

fn nth(number: u64, revision: u64) -> Replacement {
    change(account(&format!("user {number:05}"), revision, number))
}

async fn erase(store: &RedisStore, name: &str, revision: u64, number: u64) {
    let at = Timestamp::from_unix_millis(1_700_000_000_000);
    let erasure = Erasure::new(account(name, revision, number), at, Actor::User);
    store.erase(erasure).await.unwrap();
}

/// A stream keeps what was removed from it, so no name may ever come into the log.
#[tokio::test]
async fn nothing_on_the_server_names_an_erased_user() {
    let server = Server::start(&DURABLE);
    let deployment = server.deployment();
    let store = deployment.store().await;
    store.replace(change(account("erasedname", 1, 1)).with_due(Some(EVER))).await.unwrap();
    store.replace(change(account("keptname", 1, 2)).with_due(Some(EVER))).await.unwrap();
    erase(&store, "erasedname", 1, 1).await;
    let mut keys = Vec::new();
    for key in ["deployment", "users", "tokens", "numbers", "audit", "audit-users", "due"] {
        let content = server.tell(&format!("DUMP {}", deployment.key(key)));
        assert!(!content.starts_with("$-1"), "{key} is there");
        assert!(!content.contains("erasedname"), "{key}");
        keys.push(content);
    }
    assert!(keys.iter().any(|content| content.contains("keptname")));
    server.tell("BGREWRITEAOF");
    crate::server::wait_until("the file is rewritten", || {
        server.tell("INFO persistence").contains("aof_rewrite_in_progress:0")
            && server.tell("INFO persistence").contains("aof_rewrites:1")
    });
    let files = std::fs::read_dir(server.directory().join("appendonlydir")).unwrap();
    let files: Vec<_> = files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    let on_disk = |name: &str| {
        let name = name.as_bytes();
        files.iter().any(|file| file.windows(name.len()).any(|bytes| bytes == name))
    };
    assert!(on_disk("keptname") && !on_disk("erasedname"));
}

/// However many accounts in a row are gone, what follows them is found; and what they
/// have left behind is removed with the rest.
#[tokio::test]
async fn a_long_gap_of_erased_accounts_hides_nothing() {
    let server = Server::start(&DURABLE);
    let deployment = server.deployment();
    let store = deployment.store().await;
    fill(&store, 300, 2).await;
    for number in 1..300 {
        erase(&store, &format!("user {number:05}"), 2, number).await;
    }
    let found = log(&store).await;
    assert_eq!(found.len(), 2 + 299);
    let of_the_last: Vec<_> = found.iter().filter_map(|(_, entry)| entry.clone()).collect();
    assert_eq!(of_the_last, [1, 2].map(|revision| (user("user 00300"), revision)));
    let one = store.audit(AuditPosition::START, PageSize::clamped(1)).await.unwrap();
    assert_eq!(one[0].0, found[0].0);
    assert_eq!(store.prune_audit(EVER).await.unwrap(), 300);
    let length = server.tell(&format!("XLEN {}", deployment.key("audit")));
    assert!(length.starts_with(":1\r\n"), "{length}");
    let end = store.audit_end().await.unwrap();
    assert_eq!(end.as_u64(), 600 + 299);
}

/// Pruning works in pieces, and goes on where it has ended.
#[tokio::test]
async fn a_long_log_is_pruned_in_pieces() {
    let server = Server::start(&DURABLE);
    let deployment = server.deployment();
    let store = deployment.store().await;
    fill(&store, 2_500, 6).await;
    let mut removed = Vec::new();
    loop {
        removed.push(store.prune_audit(EVER).await.unwrap());
        if removed.last() == Some(&0) {
            break;
        }
    }
    assert_eq!(removed.iter().sum::<u64>(), 2_500 * 5);
    assert!(removed.len() > 2 && removed.iter().all(|removed| *removed < 10_100), "{removed:?}");
    let found = log(&store).await;
    assert_eq!(found.len(), 2_500);
    assert!(found.iter().all(|(_, entry)| entry.as_ref().unwrap().1 == 6));
    store.replace(nth(1, 7)).await.unwrap();
    assert_eq!(store.prune_audit(EVER).await.unwrap(), 1);
    let history = store.history(&user("user 00001"), None, PageSize::MAX).await.unwrap().items;
    assert_eq!(history.len(), 1);
}

/// A stream gives back the memory of whole blocks, so what an account with a long
/// history takes is bounded by pruning.
#[tokio::test]
async fn a_long_history_takes_less_memory_when_it_is_pruned() {
    let server = Server::start(&DURABLE);
    let deployment = server.deployment();
    let store = deployment.store().await;
    for revision in 1..=1_000 {
        store.replace(change(account("alice", revision, 1))).await.unwrap();
    }
    let memory = |key: &str| {
        let answer = server.tell(&format!("MEMORY USAGE {} SAMPLES 0", deployment.key(key)));
        answer[1..].lines().next().unwrap().parse::<u64>().unwrap()
    };
    let before = ["history:alice", "audit"].map(memory);
    assert_eq!(store.prune_audit(EVER).await.unwrap(), 999);
    let after = ["history:alice", "audit"].map(memory);
    assert!(after[0] * 5 < before[0] && after[1] * 2 < before[1], "{before:?} {after:?}");
}

/// A page may begin in the middle of any number of accounts that are due at one time.
#[tokio::test]
async fn accounts_that_are_due_at_the_greatest_times_are_found() {
    let store = Server::shared().deployment().store().await;
    for (number, millis) in [(1, 0), (2, 1 << 53), (3, (1 << 53) + 1), (4, u64::MAX)] {
        let due = Timestamp::from_unix_millis(millis);
        store.replace(nth(number, 1).with_due(Some(due))).await.unwrap();
    }
    let due = async |until, after: Option<&Due>| {
        let until = Timestamp::from_unix_millis(until);
        store.due(until, after, PageSize::MAX).await.unwrap().items
    };
    assert_eq!(due(0, None).await.len(), 1);
    assert_eq!(due(1 << 53, None).await.len(), 2);
    let all = due(u64::MAX, None).await;
    assert_eq!(all.len(), 4);
    assert_eq!(due(u64::MAX, Some(&all[1])).await, all[2..]);
}

/// Every operation on the log and on what is due.
pub(crate) async fn everything(store: &RedisStore, user: &UserId) {
    let revision = store.load(user).await.unwrap().revision().unwrap();
    store.lease_cursor("reader", 1, HOUR).await.unwrap().unwrap();
    assert!(!store.audit(AuditPosition::START, PageSize::MAX).await.unwrap().is_empty());
    let end = store.audit_end().await.unwrap();
    assert!(store.move_cursor("reader", 1, end).await.unwrap());
    store.prune_audit(EVER).await.unwrap();
    assert_eq!(store.audit_cursors().await.unwrap().len(), 1);
    store.remove_cursor("reader").await.unwrap();
    store.put_off(user, revision, Some(EVER)).await.unwrap();
    assert_eq!(store.due(EVER, None, PageSize::MAX).await.unwrap().items.len(), 1);
    store.keep_schedule(7).await.unwrap();
    assert_eq!(store.schedule().await.unwrap(), 7);
}

async fn limited(server: &Server, deployment: &Deployment, lacks: &str) -> RedisStore {
    server.tell(&format!("ACL SETUSER limited reset on >secret ~* &* +@all {lacks}"));
    let url = format!("redis://limited:secret@{}/", server.address());
    let options = RedisOptions::new(Client::open(url).unwrap());
    options.deployment(&deployment.name).open().await.unwrap()
}

/// Nothing undoes what a script has written before it fails.
#[tokio::test]
async fn a_user_who_lacks_a_right_writes_nothing_to_the_log_and_of_what_is_due() {
    let server = Server::start(&[DURABLE.as_slice(), &["--enable-debug-command yes"]].concat());
    let deployment = server.deployment();
    let store = deployment.store().await;
    fill(&store, 2, 2).await;
    let due = nth(1, 3).with_due(Some(EVER));
    store.replace(due).await.unwrap();
    let alice = user("user 00001");
    let revision = store.load(&alice).await.unwrap().revision().unwrap();
    store.lease_cursor("reader", 1, HOUR).await.unwrap();
    let before = server.tell("DEBUG DIGEST");
    let refused = |answer: Result<(), _>, lacks: &str, what: &str| {
        let error: tower_api_token::store::StoreError = answer.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Refused, "{what} {lacks}: {error:?}");
        assert_eq!(server.tell("DEBUG DIGEST"), before, "{what} {lacks}");
    };
    let pruned = limited(&server, &deployment, "-xdel").await.prune_audit(EVER).await;
    refused(pruned.map(drop), "-xdel", "pruning");
    for lacks in ["-hset", "-hdel", "-zadd", "-zrem"] {
        let limited = limited(&server, &deployment, lacks).await;
        refused(limited.put_off(&alice, revision, None).await, lacks, "putting off");
        if ["-zadd", "-zrem"].contains(&lacks) {
            refused(limited.replace(nth(1, 4)).await, lacks, "a change");
        }
    }
    let without_hset = limited(&server, &deployment, "-hset").await;
    refused(without_hset.lease_cursor("new", 1, HOUR).await.map(drop), "-hset", "leasing");
    let moved = without_hset.move_cursor("reader", 1, AuditPosition::from_u64(9)).await;
    refused(moved.map(drop), "-hset", "moving");
    refused(without_hset.keep_schedule(1).await, "-hset", "the schedule");
    let without_hdel = limited(&server, &deployment, "-hdel").await;
    refused(without_hdel.remove_cursor("reader").await, "-hdel", "removing");
    for lacks in ["-hdel", "-xadd"] {
        let at = Timestamp::from_unix_millis(7);
        let erasure = Erasure::new(account("user 00001", 3, 1), at, Actor::User);
        let erased = limited(&server, &deployment, lacks).await.erase(erasure).await;
        refused(erased, lacks, "erasing");
    }
}

/// What a failover could lose is given out to nobody: its position would come again
/// with another entry.
#[tokio::test]
async fn what_too_few_replicas_have_is_not_read_from_the_log() {
    let server = Server::start(&DURABLE);
    let replica = server.replica();
    let deployment = server.deployment();
    let (store, other) = (deployment.store().await, deployment.store().await);
    store.replace(nth(1, 1)).await.unwrap();
    store.lease_cursor("reader", 1, HOUR).await.unwrap();
    let first = store.audit(AuditPosition::START, PageSize::MAX).await.unwrap();
    assert_eq!(first.len(), 1);
    replica.freeze(true);
    store.replace(nth(1, 2)).await.unwrap_err();
    // Not by a node that did not write it, either.
    for failed in [
        other.audit(first[0].0, PageSize::MAX).await.map(drop),
        other.audit_end().await.map(drop),
        other.move_cursor("reader", 1, first[0].0).await.map(drop),
        other.lease_cursor("another", 1, HOUR).await.map(drop),
        other.keep_schedule(7).await,
        other.put_off(&user("user 00001"), account("x", 2, 9).revision(), None).await,
    ] {
        let error = failed.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        let source = error.source().unwrap().to_string();
        assert_eq!(source, "0 of 1 replicas have the change");
    }
    replica.freeze(false);
    replicated(&other).await;
    let items = other.audit(first[0].0, PageSize::MAX).await.unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!(other.audit_end().await.unwrap(), items[0].0);
}

/// As one that a newer version has written.
#[tokio::test]
async fn an_entry_that_cannot_be_read_holds_up_none_behind_it() {
    let server = Server::start(&DURABLE);
    let deployment = server.deployment();
    let store = deployment.store().await;
    for (name, number) in [("alice", 1), ("bob", 2), ("carol", 3)] {
        store.replace(change(account(name, 1, number))).await.unwrap();
    }
    let whole = store.audit(AuditPosition::START, PageSize::MAX).await.unwrap();
    let history = deployment.key("history:bob");
    let event = r#"{\"event\":\"of_a_later_version\"}"#;
    for (at, actor, event, read) in [
        ("7", "user", event, 7),
        ("7", "", r#"{\"event\":\"all_revoked\"}"#, 7),
        ("x", "user", event, 0),
    ] {
        assert!(server.tell(&format!("DEL {history}")).starts_with(":1"));
        let id =
            server.tell(&format!(r#"XADD {history} 1-0 at {at} actor "{actor}" event "{event}""#));
        assert!(id.contains("1-0"), "{id}");
        let log = store.audit(AuditPosition::START, PageSize::MAX).await.unwrap();
        assert_eq!((&log[0], &log[2]), (&whole[0], &whole[2]), "{at} {actor} {event}");
        let at = Timestamp::from_unix_millis(read);
        let unreadable = AuditItem::Unreadable { user: Some(user("bob")), at };
        assert_eq!(log[1], (whole[1].0, unreadable), "{at} {actor} {event}");
        let history = store.history(&user("bob"), None, PageSize::MAX).await.unwrap_err();
        assert_eq!(history.kind(), StoreErrorKind::Corrupt);
    }
}
