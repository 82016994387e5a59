//! The log of all accounts' entries in the file.

use tower_api_token::account::{Account, Revision};
use tower_api_token::method::MethodSet;
use tower_api_token::store::{
    AccountStore, AuditItem, AuditLog, AuditPosition, Erasure, PageSize, Replacement,
    StoreErrorKind,
};
use tower_api_token::time::Timestamp;
use tower_api_token::user::Actor;

use super::support::{Place, account, step, token, user};

/// An account that begins above what erased ones have reached.
fn above_the_erased(name: &str) -> Account {
    Account::builder(user(name))
        .revision(Revision::from_u64(9))
        .methods(MethodSet::new(["GET"]).unwrap())
        .primary(token(9, 2))
        .build()
        .unwrap()
}

fn made(account: Account) -> Replacement {
    let mut made = step(account);
    made.expected = None;
    made
}

/// Whoever has read up to the end would not see what comes there once more.
#[tokio::test]
async fn a_position_whose_entry_is_gone_is_not_given_again() {
    let place = Place::new();
    let store = place.store().await;
    store.replace(step(account("alice", 1, 1))).await.unwrap();
    store.replace(step(account("alice", 2, 1))).await.unwrap();
    let loaded = store.load(&user("alice")).await.unwrap();
    let alice = (*loaded.account.unwrap()).clone();
    let at = Timestamp::from_unix_millis(1_000);
    store.erase(Erasure::new(alice, at, Actor::User)).await.unwrap();
    let end = store.audit_end().await.unwrap();
    let items = store.audit(AuditPosition::START, PageSize::MAX).await.unwrap();
    assert!(
        matches!(&items[..], [(last, AuditItem::Erased(erased))] if *last == end && erased.at == at)
    );
    assert_eq!(store.prune_audit(loaded.now).await.unwrap(), 1);
    drop(store);
    let store = place.store().await;
    assert_eq!(store.audit_end().await.unwrap(), end);
    store.replace(made(above_the_erased("bob"))).await.unwrap();
    let items = store.audit(end, PageSize::MAX).await.unwrap();
    assert!(matches!(&items[..], [(position, _)] if *position > end));
}

/// As one that a newer version has written.
#[tokio::test]
async fn an_entry_that_cannot_be_read_holds_up_none_behind_it_in_the_log() {
    let place = Place::new();
    let store = place.store().await;
    for (name, number) in [("alice", 1), ("bob", 2), ("carol", 3)] {
        store.replace(step(account(name, 1, number))).await.unwrap();
    }
    let whole = store.audit(AuditPosition::START, PageSize::MAX).await.unwrap();
    let AuditItem::Entry(of_bob) = &whole[1].1 else { panic!("{whole:?}") };
    for damage in [r#"event = '{"event":"from_the_future"}'"#, "event = '7'", "actor = ''"] {
        let damaged = format!("UPDATE history SET {damage} WHERE position = 2");
        assert_eq!(place.raw().execute(&damaged, []).unwrap(), 1);
        let read = store.audit(AuditPosition::START, PageSize::MAX).await.unwrap();
        assert_eq!((&read[0], &read[2]), (&whole[0], &whole[2]), "{damage}");
        let unreadable = AuditItem::Unreadable { user: Some(user("bob")), at: of_bob.at };
        assert_eq!(read[1], (whole[1].0, unreadable), "{damage}");
        let history = store.history(&user("bob"), None, PageSize::MAX).await.unwrap_err();
        assert_eq!(history.kind(), StoreErrorKind::Corrupt, "{damage}");
    }
}

/// Many more than are looked at in one transaction, behind others that stay.
#[tokio::test]
async fn a_long_log_is_pruned_whole() {
    const KEPT: u64 = 1_500;
    let place = Place::new();
    let store = place.store().await;
    let single = (0..KEPT).map(|number| step(account(&format!("user {number}"), 1, number)));
    store.replace_many(single.collect()).await.unwrap();
    let long = (1..=2_500).map(|revision| step(account("alice", revision, KEPT)));
    store.replace_many(long.collect()).await.unwrap();
    let now = Timestamp::now();
    assert_eq!(store.prune_audit(now).await.unwrap(), 2_499);
    assert_eq!(store.prune_audit(now).await.unwrap(), 0);
    let history = store.history(&user("alice"), None, PageSize::MAX).await.unwrap().items;
    assert_eq!(history.iter().map(|entry| entry.revision.as_u64()).collect::<Vec<_>>(), [2_500]);
}
