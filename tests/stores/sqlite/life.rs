//! Opening, using, dropping and opening again.

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tower_api_token::account::{Account, Ending, LastUse, Retired, Revision};
use tower_api_token::store::{
    AccountStore, ChangeFeed, LastUses, PageSize, SqliteOptions, StoreErrorKind, TokenStore,
};
use tower_api_token::test_util::ManualClock;
use tower_api_token::time::Timestamp;
use tower_api_token::token::TokenId;
use tower_api_token::user::ClientLabel;

use super::support::{
    Place, account, assert_sound, block_on, count, digest, poll_once, step, token, user,
};

#[tokio::test]
async fn everything_is_there_after_opening_again() {
    let place = Place::new();
    let label = ClientLabel::new("curl/8.5.0").unwrap();
    let at = Timestamp::from_unix_millis(5_000);
    let usage = LastUse::new(TokenId::from_u64(1), at, Some(label));
    {
        let store = place.store().await;
        store.replace(step(account("alice", 1, 1))).await.unwrap();
        store.record_usage(&[(user("alice"), usage.clone())]).await.unwrap();
    }
    let store = place.store().await;
    let found = store.find(&digest(1)).await.unwrap().unwrap();
    assert_eq!(*found, account("alice", 1, 1));
    assert_eq!(store.usage(&user("alice")).await.unwrap(), [usage]);
    let history = store.history(&user("alice"), None, PageSize::default()).await.unwrap();
    assert_eq!(history.items, [step(account("alice", 1, 1)).entry]);
}

#[tokio::test]
async fn the_store_s_time_is_its_clock_s() {
    let place = Place::new();
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(7)));
    let store = SqliteOptions::new().clock(Arc::clone(&clock)).open(place.path()).unwrap();
    store.migrate().await.unwrap();
    assert_eq!(store.load(&user("alice")).await.unwrap().now.unix_millis(), 7);
    clock.advance(Duration::from_millis(1));
    assert_eq!(store.load(&user("alice")).await.unwrap().now.unix_millis(), 8);
}

/// The log is emptied and removed by the connection that is closed last.
#[tokio::test]
async fn dropping_the_store_completes_its_writes_and_closes_the_file() {
    let place = Place::new();
    let store = Arc::new(place.store().await);
    let writes = (1..=50).map(|number| {
        let store = Arc::clone(&store);
        let name = format!("user {number}");
        tokio::spawn(async move { store.replace(step(account(&name, 1, number))).await })
    });
    let writes: Vec<_> = writes.collect();
    let _feed = store.changes().await.unwrap();
    drop(store);
    for write in writes {
        write.await.unwrap().unwrap();
    }
    let left: Vec<_> = std::fs::read_dir(place.directory()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(count(&place.raw(), "accounts"), 50);
}

#[tokio::test]
async fn a_change_that_is_dropped_half_way_is_made_or_not_and_the_store_goes_on() {
    let place = Place::new();
    let store = place.store().await;
    let mut revision = 0;
    for attempt in 0..200 {
        let next = account("alice", revision + 1, attempt);
        {
            let mut change = pin!(store.replace(step(next)));
            let _ = poll_once(change.as_mut());
        }
        // Behind it in the queue, so that it is over whatever came of it.
        store.heartbeat(attempt).await.unwrap();
        let loaded = store.load(&user("alice")).await.unwrap().account;
        let found = loaded.map_or(0, |account| account.revision().as_u64());
        assert!(found == revision || found == revision + 1);
        assert_eq!(store.find(&digest(attempt)).await.unwrap().is_some(), found > revision);
        revision = found;
    }
    store.replace(step(account("alice", revision + 1, 1_000))).await.unwrap();
    assert_eq!(count(&place.raw(), "history"), revision as i64 + 1);
    assert_sound(&place.raw());
}

#[tokio::test]
async fn a_change_that_nobody_waits_for_any_longer_is_not_begun() {
    let place = Place::new();
    let store = place.store().await;
    let raw = place.raw();
    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut first = pin!(store.replace(step(account("alice", 1, 1))));
    assert!(poll_once(first.as_mut()).is_pending());
    {
        let mut second = pin!(store.replace(step(account("bob", 1, 2))));
        assert!(poll_once(second.as_mut()).is_pending());
    }
    raw.execute_batch("COMMIT").unwrap();
    first.await.unwrap();
    store.heartbeat(1).await.unwrap();
    assert!(store.load(&user("bob")).await.unwrap().account.is_none());
}

#[test]
fn without_a_runtime_everything_works_on_the_calling_thread() {
    let place = Place::new();
    let store = block_on(place.store());
    block_on(store.replace(step(account("alice", 1, 1)))).unwrap();
    assert!(block_on(store.find(&digest(1))).unwrap().is_some());
    assert_eq!(block_on(store.list(None, PageSize::default())).unwrap().items.len(), 1);
    assert_eq!(block_on(store.pepper_versions()).unwrap().len(), 1);
    block_on(store.changes()).unwrap();
}

#[tokio::test]
async fn pepper_versions_count_the_tokens_in_use_and_no_retired_ones() {
    let place = Place::new();
    let store = place.store().await;
    store.replace(step(account("alice", 1, 1))).await.unwrap();
    let retired = {
        let first = token(1, 1);
        Retired::new(first.id, first.digest, Timestamp::default(), Ending::Deleted)
    };
    let next = Account::builder(user("alice")).revision(Revision::from_u64(2));
    let next = next.primary(token(3, 3)).backup(token(2, 2)).retired([retired]).build().unwrap();
    store.replace(step(next)).await.unwrap();
    assert_eq!(store.pepper_versions().await.unwrap(), [(Default::default(), 2)]);
    assert!(store.find(&digest(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn recorded_uses_write_nothing_but_their_own_table() {
    let place = Place::new();
    let store = place.store().await;
    store.replace(step(account("alice", 1, 1))).await.unwrap();
    let before = tables(&place.raw());
    let at = Timestamp::from_unix_millis;
    let uses = (0..2_500).map(|number| {
        let usage = LastUse::new(TokenId::from_u64(number % 3), at(number), None);
        (user("alice"), usage)
    });
    store.record_usage(&uses.collect::<Vec<_>>()).await.unwrap();
    let early = LastUse::new(TokenId::from_u64(1), at(0), None);
    let stray = LastUse::new(TokenId::from_u64(1), at(9), None);
    let late = [(user("alice"), early), (user("nobody"), stray)];
    store.record_usage(&late).await.unwrap();
    assert_eq!(tables(&place.raw()), before);
    let usage = store.usage(&user("alice")).await.unwrap();
    assert_eq!(
        usage.iter().map(|usage| usage.at).collect::<Vec<_>>(),
        [2_499, 2_497, 2_498].map(at)
    );
}

/// Every row but those of last uses.
fn tables(connection: &rusqlite::Connection) -> Vec<String> {
    let rows = "
        SELECT number || hex(user_id) || revision || hex(record) FROM accounts
        UNION ALL SELECT hex(digest) || account || pepper || in_use FROM digests
        UNION ALL SELECT account || revision || at || actor || event FROM history
        UNION ALL SELECT sequence || hex(user_id) || revision FROM changes";
    let mut rows = connection.prepare(rows).unwrap();
    rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_digest_named_elsewhere_conflicts_and_no_error_shows_it() {
    let place = Place::new();
    let store = place.store().await;
    store.replace(step(account("alice", 1, 1))).await.unwrap();
    let error = store.replace(step(account("bob", 1, 1))).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Conflict);
    assert!(store.load(&user("bob")).await.unwrap().account.is_none());
    let source = error.source().unwrap();
    assert!(source.is::<rusqlite::Error>());
    let shown = format!("{error} {error:?} {source} {source:?}").to_lowercase();
    let bytes = digest(1);
    let hex: String = bytes.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(!shown.contains(&hex[..16]) && !shown.contains(&format!("{:?}", bytes.as_bytes())));
}

/// Three loops over all digests within loops over all of them took minutes.
#[tokio::test]
async fn an_account_with_very_many_digests_is_changed_in_a_time_that_grows_no_faster() {
    const DIGESTS: u64 = 20_000;
    let place = Place::new();
    let store = place.store().await;
    let next = |revision: u64| {
        let retired = (2..DIGESTS).map(|number| {
            let token = token(number, number);
            Retired::new(token.id, token.digest, Timestamp::default(), Ending::Deleted)
        });
        let next = Account::builder(user("alice")).revision(Revision::from_u64(revision));
        next.primary(token(1, DIGESTS + revision)).retired(retired).build().unwrap()
    };
    let begun = Instant::now();
    for revision in 1..=3 {
        store.replace(step(next(revision))).await.unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(count(&place.raw(), "digests"), DIGESTS as i64 - 1);
    assert!(store.find(&digest(DIGESTS + 2)).await.unwrap().is_none());
    assert!(store.find(&digest(DIGESTS + 3)).await.unwrap().is_some());
}
