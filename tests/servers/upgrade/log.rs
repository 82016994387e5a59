//! The log of what earlier versions have written, and what is due of it.

use std::collections::BTreeMap;

use tower_api_token::store::{AuditItem, AuditPosition, Due, PageSize};
use tower_api_token::time::Timestamp;
use tower_api_token::user::Actor;

use crate::upgrade::fixture::Fixture;
use crate::upgrade::stores::{Kind, Opened};
use crate::upgrade::{VERSIONS, manager};

/// Everything behind a position, page by page.
async fn read(opened: &Opened, mut after: AuditPosition) -> Vec<(AuditPosition, AuditItem)> {
    let log = opened.store.audit_log().unwrap();
    let mut items = Vec::new();
    loop {
        let page = log.audit(after, PageSize::clamped(37)).await.unwrap();
        let Some((last, _)) = page.last() else { return items };
        after = *last;
        items.extend(page);
    }
}

/// Each entry comes once: those of an account in the order of its revisions, all in
/// the order of time.
async fn the_log_has_every_entry_once(kind: Kind, version: &str) {
    let (fixture, opened) = kind.open(version).await;
    let items = read(&opened, AuditPosition::START).await;
    assert!(items.is_sorted_by(|(one, _), (next, _)| one < next));
    let (mut by_user, mut times) = (BTreeMap::<_, Vec<_>>::new(), Vec::new());
    for (_, item) in &items {
        let AuditItem::Entry(entry) = item else { panic!("{item:?}") };
        by_user.entry(entry.user.clone()).or_default().push(entry.clone());
        times.push(entry.at);
    }
    assert!(times.is_sorted());
    for account in &opened.store.list(None, PageSize::MAX).await.unwrap().items {
        let history = opened.store.history(account.user(), None, PageSize::MAX).await.unwrap();
        let mut found = by_user.remove(account.user()).unwrap();
        found.reverse();
        assert_eq!(found, history.items, "{}", account.user());
    }
    assert!(by_user.is_empty());
    goes_on(&fixture, &opened, items.last().unwrap().0).await;
}

/// What is changed after the migration comes behind the end that the log had.
async fn goes_on(fixture: &Fixture, opened: &Opened, last: AuditPosition) {
    assert_eq!(opened.store.audit_log().unwrap().audit_end().await.unwrap(), last);
    let manager = manager(&opened.store, fixture).await;
    let user = opened.store.list(None, PageSize::MAX).await.unwrap().items[0].user().clone();
    manager.revoke_all(&Actor::User, &user).await.unwrap();
    manager.erase(&Actor::User, &user).await.unwrap();
    let items = read(opened, last).await;
    assert!(matches!(&items[..], [(position, AuditItem::Erased(_))] if *position > last));
    let before = read(opened, AuditPosition::START).await;
    assert!(before.iter().all(|(_, item)| match item {
        AuditItem::Entry(entry) => entry.user != user,
        _ => true,
    }));
}

/// Until a change says so, or whoever looks at all accounts.
async fn nothing_is_due(kind: Kind, version: &str) {
    let (_, opened) = kind.open(version).await;
    let accounts = opened.store.due_accounts().unwrap();
    let end = Timestamp::from_unix_millis(u64::MAX);
    let due = async || accounts.due(end, None, PageSize::MAX).await.unwrap().items;
    assert!(due().await.is_empty());
    assert_eq!(accounts.schedule().await.unwrap(), 0);
    let account = opened.store.list(None, PageSize::MAX).await.unwrap().items[0].clone();
    let at = Timestamp::from_unix_millis(7);
    accounts.put_off(account.user(), account.revision(), Some(at)).await.unwrap();
    assert_eq!(due().await, [Due::new(at, account.user().clone())]);
}

macro_rules! for_stores_with_a_log {
    ($($case:ident),+ $(,)?) => {
        for_stores_with_a_log!(@kind sqlite, Sqlite, $($case)+);
        for_stores_with_a_log!(@kind postgres_server, Postgres, $($case)+);
        for_stores_with_a_log!(@kind redis_server, Redis, $($case)+);
    };
    (@kind $module:ident, $kind:ident, $($case:ident)+) => {
        mod $module {
            $(
                #[tokio::test]
                async fn $case() {
                    for version in super::VERSIONS {
                        super::$case(super::Kind::$kind, version).await;
                    }
                }
            )+
        }
    };
}

for_stores_with_a_log! {
    the_log_has_every_entry_once,
    nothing_is_due,
}
