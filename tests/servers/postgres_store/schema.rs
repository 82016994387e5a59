//! The tables: how they come to be, and what they refuse.

use tokio_postgres::error::SqlState;
use tower_api_token::store::AccountStore;
use tower_api_token::user::UserId;

use crate::postgres::Server;
use crate::sample::{account, change, user};

#[tokio::test]
async fn migrating_again_and_again_changes_nothing() {
    let database = Server::shared().database().await;
    let store = database.store().await;
    store.replace(change(account("alice", 1, 1))).await.unwrap();
    for _ in 0..3 {
        store.migrate().await.unwrap();
    }
    assert!(store.load(&user("alice")).await.unwrap().account.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_start_together_migrate_once() {
    let database = Server::shared().database().await;
    let nodes: Vec<_> = (0..16).map(|_| database.unmigrated()).collect();
    let migrations =
        nodes.into_iter().map(|node| tokio::spawn(async move { node.migrate().await }));
    for migration in migrations.collect::<Vec<_>>() {
        migration.await.unwrap().unwrap();
    }
    let client = database.client().await;
    let count = client.query_one("SELECT count(*) FROM tower_api_token.migration", &[]).await;
    assert_eq!(count.unwrap().get::<_, i64>(0), 3);
}

#[tokio::test]
async fn a_user_without_the_right_to_make_schemas_migrates_one_that_is_there() {
    let database = Server::shared().database().await;
    let client = database.client().await;
    let role = format!("role_of_{}", database.name);
    let statements =
        format!("CREATE ROLE {role} LOGIN; CREATE SCHEMA tower_api_token AUTHORIZATION {role}");
    client.batch_execute(&statements).await.unwrap();
    let mut restricted = database.clone();
    restricted.config.user(role);
    restricted.store().await.replace(change(account("alice", 1, 1))).await.unwrap();
}

#[tokio::test]
async fn a_user_who_may_only_read_and_write_rows_migrates_what_is_up_to_date() {
    let database = Server::shared().database().await;
    database.store().await;
    let client = database.client().await;
    let role = format!("guest_of_{}", database.name);
    let statements = format!(
        "DROP ROLE IF EXISTS {role}; CREATE ROLE {role} LOGIN;
        GRANT USAGE ON SCHEMA tower_api_token TO {role};
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA tower_api_token TO {role}"
    );
    client.batch_execute(&statements).await.unwrap();
    let mut restricted = database.clone();
    restricted.config.user(role);
    restricted.store().await.replace(change(account("alice", 1, 1))).await.unwrap();
}

#[test]
fn store_007_a_user_id_of_any_length_but_a_sane_one_never_reaches_the_driver() {
    for length in [256, 1 << 16, 1 << 26] {
        assert!(UserId::new("a".repeat(length)).is_err(), "{length}");
    }
}

#[tokio::test]
async fn store_008_the_table_refuses_a_digest_that_is_not_32_bytes_long() {
    let database = Server::shared().database().await;
    database.store().await.replace(change(account("alice", 1, 1))).await.unwrap();
    let client = database.client().await;
    let insert = "INSERT INTO tower_api_token.digest (digest, user_id) VALUES ($1, 'alice')";
    for length in [0, 31, 33] {
        let error = client.execute(insert, &[&vec![7_u8; length]]).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::CHECK_VIOLATION), "{length}");
    }
    client.execute(insert, &[&vec![7_u8; 32]]).await.unwrap();
}

/// Over a database whose collation puts these names together.
#[tokio::test]
async fn store_006_names_that_look_alike_are_different_users_in_byte_order() {
    let database = Server::shared().database().await;
    let store = database.store().await;
    let mut names = ["alice", "Alice", "al\u{ed}ce", "ali\u{301}ce", "Zoe", "b", "*", "a%_"];
    for (number, name) in (1..).zip(names) {
        store.replace(change(account(name, 1, number))).await.unwrap();
    }
    let page = store.list(None, Default::default()).await.unwrap();
    let listed: Vec<_> = page.items.iter().map(|account| account.user().as_str()).collect();
    names.sort_unstable();
    assert_eq!(listed, names);
}
