//! An entry that one version cannot read and another can.

use std::sync::Arc;

use tower_api_token::Tokens;
use tower_api_token::manage::Confirmation;
use tower_api_token::store::{AccountStore, SqliteStore};

use crate::delivery::{LEASE, POLL, Scripted, change, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_waits_for_a_version_that_can_and_holds_up_its_user_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tokens.db");
    let store = Arc::new(SqliteStore::open(&path).unwrap());
    store.migrate().await.unwrap();
    let receiver = Scripted::new(|_, _: &str| Ok(()));
    let builder = Tokens::builder(Arc::clone(&store)).confirmation(Confirmation::ByCaller);
    let builder = builder.delivery_times(LEASE, POLL).deliver_to("test", Arc::clone(&receiver));
    let tokens = builder.build().await.unwrap();
    tokens.start();
    while store.audit_log().unwrap().audit_cursors().await.unwrap().is_empty() {
        tokio::time::sleep(POLL).await;
    }
    tokens.close().await.unwrap();
    change(&tokens.manager(), "alice", 3).await;
    change(&tokens.manager(), "bob", 2).await;
    let file = rusqlite::Connection::open(&path).unwrap();
    let set = |event: &str| {
        let set = "UPDATE history SET event = ?1 WHERE position = 2";
        assert_eq!(file.execute(set, [event]).unwrap(), 1);
    };
    let event: String = file
        .query_row("SELECT event FROM history WHERE position = 2", [], |row| row.get(0))
        .unwrap();
    set(r#"{"event":"of_a_later_version"}"#);
    tokens.start();
    eventually("the others", || receiver.came().len() == 3).await;
    tokio::time::sleep(POLL * 10).await;
    tokens.close().await.unwrap();
    let entries = |of: &[(&str, u64)]| {
        of.iter().map(|(user, at)| ((*user).to_owned(), *at)).collect::<Vec<_>>()
    };
    let mut came = receiver.came();
    came.sort();
    assert_eq!(came, entries(&[("alice", 1), ("bob", 1), ("bob", 2)]));
    set(&event);
    tokens.start();
    eventually("those of alice", || receiver.came().len() == 5).await;
    tokens.close().await.unwrap();
    assert_eq!(receiver.came()[3..], entries(&[("alice", 2), ("alice", 3)]));
}
