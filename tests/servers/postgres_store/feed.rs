//! The feed: what breaks it, and what a listener is told then.

use std::error::Error;
use std::time::{Duration, Instant};

use tokio_postgres::NoTls;
use tower_api_token::account::{Account, Ending, Retired, Revision};
use tower_api_token::store::{
    AccountStore, Change, ChangeFeed, FeedItem, PostgresStore, StoreErrorKind,
};
use tower_api_token::time::Timestamp;
use tower_api_token::token::{PepperVersion, StoredDigest, TokenId};

use crate::postgres::{Database, Server};
use crate::relay::{Mode, Relay};
use crate::sample::{account, change, digest, token, user};
use crate::watch::{echo, lost, next, next_change};

/// A store whose listener goes through the relay, and whose pool does not.
async fn listening_through(database: &Database, relay: &Relay) -> PostgresStore {
    let listener = database.through(relay.address).config;
    let store = PostgresStore::new(database.pool(4)).listen_with(listener, NoTls);
    store.migrate().await.unwrap();
    store
}

#[tokio::test]
async fn cache_004_a_terminated_listener_is_a_loss_and_the_next_one_hears_again() {
    let database = Server::shared().database().await;
    let (other, store) = (database.store().await, database.store().await);
    let mut feed = store.changes().await.unwrap();
    let client = database.client().await;
    for round in 1..=10 {
        let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
            AND query IN ('LISTEN tower_api_token', '')";
        assert_eq!(client.query(terminate, &[]).await.unwrap().len(), 1);
        // In the gap, or just before or after it.
        other.replace(change(account("alice", round, round))).await.unwrap();
        lost(&mut feed).await;
        lost(&mut feed).await;
        let later = other.replace(change(account(&format!("after {round}"), 1, 100 + round)));
        later.await.unwrap();
        assert_eq!(next_change(&mut feed).await.user, user(&format!("after {round}")));
        echo(&store, &mut feed).await;
    }
}

#[tokio::test]
async fn cache_005_a_half_open_listener_is_noticed_and_replaced() {
    let server = Server::shared();
    let database = server.database().await;
    let relay = Relay::to(server.address()).await;
    let store = listening_through(&database, &relay).await;
    let mut feed = store.changes().await.unwrap();
    relay.set(Mode::HalfOpen);
    store.replace(change(account("alice", 1, 1))).await.unwrap();
    store.heartbeat(5).await.unwrap();
    let start = Instant::now();
    assert_eq!(next(&mut feed).await, FeedItem::Lost, "nothing came through");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    relay.set(Mode::Open);
    lost(&mut feed).await;
    echo(&store, &mut feed).await;
    relay.set(Mode::Cut);
    lost(&mut feed).await;
    relay.set(Mode::Open);
    lost(&mut feed).await;
    echo(&store, &mut feed).await;
}

/// A full queue of notifications makes the commit itself fail, after
/// the statement has succeeded. A deferred trigger with the SQLSTATE of that
/// failure stands for the eight gigabytes that would fill the queue.
#[tokio::test]
async fn cache_006_a_change_that_cannot_be_told_of_fails_and_is_not_made() {
    let database = Server::shared().database().await;
    let store = database.store().await;
    store.replace(change(account("alice", 1, 1))).await.unwrap();
    let client = database.client().await;
    let queue_full = "CREATE FUNCTION tower_api_token.queue_full() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE SQLSTATE '54000' USING MESSAGE = 'too many notifications'; END $$;
        CREATE CONSTRAINT TRIGGER queue_full AFTER UPDATE ON tower_api_token.account
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tower_api_token.queue_full()";
    client.batch_execute(queue_full).await.unwrap();
    let error = store.replace(change(account("alice", 2, 2))).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let source = error.source().unwrap().to_string();
    assert_eq!(source, "too many notifications (SQLSTATE 54000)");
    let many = vec![change(account("alice", 2, 2)), change(account("bob", 1, 3))];
    let error = store.replace_many(many).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let alice = store.load(&user("alice")).await.unwrap().account.unwrap();
    assert_eq!(*alice, account("alice", 1, 1));
    assert!(store.load(&user("bob")).await.unwrap().account.is_none());
}

#[tokio::test]
async fn cache_007_changes_of_one_transaction_are_told_of_once_each() {
    let database = Server::shared().database().await;
    let store = database.store().await;
    let mut feed = store.changes().await.unwrap();
    let changes: Vec<_> = (1..=3).map(|step| change(account("alice", step, 1))).collect();
    for answer in store.replace_many(changes).await.unwrap() {
        answer.unwrap();
    }
    for revision in 1..=3 {
        let expected = Change::new(user("alice"), Revision::from_u64(revision), [digest(1)]);
        assert_eq!(next_change(&mut feed).await, expected);
    }
}

/// An account of the user with that many retired tokens.
fn with_retired(name: &str, count: u64) -> Account {
    let retired = (1..=count).map(|id| {
        let stored = StoredDigest::new(digest(id), PepperVersion::NONE);
        Retired::new(TokenId::from_u64(id), stored, Timestamp::default(), Ending::Deleted)
    });
    Account::builder(user(name))
        .primary(token(count + 1, count + 1))
        .retired(retired)
        .build()
        .unwrap()
}

/// Ids are bounded by their type, and a change whose digests do not fit all the
/// same names its user.
#[tokio::test]
async fn cache_008_a_message_is_never_too_long_for_its_change() {
    let database = Server::shared().database().await;
    let store = database.store().await;
    let mut feed = store.changes().await.unwrap();
    // A name whose characters take four bytes each, as long as one can be.
    let longest = format!("{}abc", "\u{1f511}".repeat(63));
    assert_eq!(longest.len(), 255);
    let mut seen = [false; 2];
    for count in [1, 170, 178, 179, 180, 181, 182, 500] {
        store.replace(change(with_retired(&longest, count))).await.unwrap();
        match next(&mut feed).await {
            FeedItem::Change(change) if change.complete => {
                assert_eq!(change.digests.len() as u64, count + 1);
                seen[0] = true;
            }
            item => {
                let whole = Change::of_user(user(&longest), Revision::from_u64(1));
                assert_eq!(item, FeedItem::Change(whole), "{count}");
                seen[1] = true;
            }
        }
        let client = database.client().await;
        client
            .batch_execute("TRUNCATE tower_api_token.history, tower_api_token.account CASCADE")
            .await
            .unwrap();
    }
    assert_eq!(seen, [true, true], "some messages fit and some do not");
}

/// Like a pooler that gives the connection to somebody else after
/// each transaction, the relay swallows notifications.
#[tokio::test]
async fn cache_009_a_pooler_that_swallows_messages_is_found_at_the_start() {
    let server = Server::shared();
    let database = server.database().await;
    let relay = Relay::filtering(server.address(), without_notifications).await;
    let store = listening_through(&database, &relay).await;
    let error = store.changes().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let source = error.source().unwrap().to_string();
    assert!(source.contains("no pooler that works by transaction"), "{source}");
}

/// The server's messages without those of type `A`.
fn without_notifications(bytes: &[u8]) -> Vec<u8> {
    let (mut rest, mut kept) = (bytes, Vec::new());
    while let [kind, a, b, c, d, ..] = *rest {
        let length = 1 + u32::from_be_bytes([a, b, c, d]) as usize;
        let (message, after) = rest.split_at(length.min(rest.len()));
        if kind != b'A' {
            kept.extend_from_slice(message);
        }
        rest = after;
    }
    kept.extend_from_slice(rest);
    kept
}

#[tokio::test]
async fn another_database_behind_the_listener_is_found_at_the_start() {
    let (here, there) = (Server::shared().database().await, Server::shared().database().await);
    here.store().await;
    let store = PostgresStore::new(here.pool(2)).listen_with(there.config.clone(), NoTls);
    assert_eq!(store.changes().await.unwrap_err().kind(), StoreErrorKind::Unavailable);
}

#[tokio::test]
async fn a_store_that_was_not_told_how_to_listen_has_no_feed() {
    let database = Server::shared().database().await;
    let error = PostgresStore::new(database.pool(2)).changes().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let source = error.source().unwrap().to_string();
    assert_eq!(source, "the store was not told how to open a connection to listen on");
}

#[tokio::test]
async fn feeds_share_one_connection_and_end_with_their_store() {
    let database = Server::shared().database().await;
    let store = database.store().await;
    let mut feeds = Vec::new();
    for _ in 0..5 {
        feeds.push(store.changes().await.unwrap());
    }
    let client = database.client().await;
    let count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND query IN ('LISTEN tower_api_token', '')";
    let listeners = async || client.query_one(count, &[]).await.unwrap().get::<_, i64>(0);
    assert_eq!(listeners().await, 1);
    drop(store);
    for mut feed in feeds {
        use futures_util::StreamExt;
        while feed.next().await.is_some() {}
    }
    while listeners().await > 0 {
        tokio::task::yield_now().await;
    }
}

/// What other programs send on the channel is not understood, and therefore a
/// loss.
#[tokio::test]
async fn a_message_that_cannot_be_read_is_a_loss() {
    let database = Server::shared().database().await;
    let store = database.store().await;
    let mut feed = store.changes().await.unwrap();
    let client = database.client().await;
    client.batch_execute("NOTIFY tower_api_token, 'c1 of a later version'").await.unwrap();
    assert_eq!(next(&mut feed).await, FeedItem::Lost);
}
