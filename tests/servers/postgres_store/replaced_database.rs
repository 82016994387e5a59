//! A database that is not the one it was, under a node that remembers a live
//! token of the one before.

use std::path::Path;
use std::process::Command;

use tokio_postgres::NoTls;
use tower_api_token::store::{AccountStore, PostgresStore};

use crate::postgres::{Database, Server};
use crate::replaced::{Answer, Node};
use crate::sample::{account, change, digest};
use crate::server::run;

const OLD: u64 = 1;
const NEW: u64 = 2;

/// Alice has the old token, and after this the new one instead.
async fn replace_token(store: &PostgresStore) {
    store.replace(change(account("alice", 2, NEW))).await.unwrap();
}

async fn with_old_token(database: &Database) -> PostgresStore {
    let store = database.store().await;
    store.replace(change(account("alice", 1, OLD))).await.unwrap();
    store
}

/// Makes the database a copy of another, or an empty one.
async fn make_anew(server: &Server, name: &str, template: &str) {
    let administrator = Database::at(server.address(), "postgres").client().await;
    let statement = format!("DROP DATABASE {name} WITH (FORCE)");
    administrator.batch_execute(&statement).await.unwrap();
    let statement = format!("CREATE DATABASE {name} TEMPLATE {template}");
    administrator.batch_execute(&statement).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_dropped_and_made_anew_is_answered_by() {
    let server = Server::start(&["fsync=off"]);
    let database = server.database().await;
    let old = with_old_token(&database).await;
    let node = Node::that_knows(old, &digest(OLD)).await;
    make_anew(&server, &database.name, "template1").await;
    node.comes_to_say(&digest(OLD), Answer::Unavailable).await;
    // With the same account, but another token.
    let anew = database.store().await;
    node.comes_to_say(&digest(OLD), Answer::Refused).await;
    anew.replace(change(account("alice", 1, NEW))).await.unwrap();
    node.comes_to_say(&digest(NEW), Answer::Accepted).await;
    node.comes_to_say(&digest(OLD), Answer::Refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_restored_to_an_earlier_time_is_answered_by() {
    let server = Server::start(&["fsync=off"]);
    let (database, backup) = (server.database().await, server.database().await);
    drop(with_old_token(&backup).await);
    let store = with_old_token(&database).await;
    replace_token(&store).await;
    let node = Node::that_knows(store, &digest(NEW)).await;
    let left = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
    let administrator = Database::at(server.address(), "postgres").client().await;
    administrator.execute(left, &[&backup.name]).await.unwrap();
    make_anew(&server, &database.name, &backup.name).await;
    node.comes_to_say(&digest(NEW), Answer::Refused).await;
    node.comes_to_say(&digest(OLD), Answer::Accepted).await;
}

/// No connection is lost, and no message is sent.
#[tokio::test(flavor = "multi_thread")]
async fn tables_that_are_replaced_under_open_connections_are_answered_by() {
    let server = Server::shared();
    let statements = [
        ("TRUNCATE tower_api_token.account, tower_api_token.history CASCADE", Answer::Refused),
        ("DROP SCHEMA tower_api_token CASCADE", Answer::Unavailable),
        ("ALTER SCHEMA tower_api_token RENAME TO elsewhere", Answer::Unavailable),
        ("BEGIN; DELETE FROM tower_api_token.digest; COMMIT", Answer::Refused),
    ];
    for (statement, expected) in statements {
        let database = server.database().await;
        let node = Node::that_knows(with_old_token(&database).await, &digest(OLD)).await;
        let client = database.client().await;
        client.batch_execute(statement).await.unwrap();
        node.comes_to_say(&digest(OLD), expected).await;
        client.batch_execute("DROP SCHEMA IF EXISTS elsewhere CASCADE").await.unwrap();
        drop(database.store().await);
        if expected == Answer::Unavailable {
            node.comes_to_say(&digest(OLD), Answer::Refused).await;
        }
    }
}

fn copy(from: &Path, to: &Path) {
    run(Command::new("rm").arg("-rf").arg(to));
    run(Command::new("cp").arg("-a").arg(from).arg(to));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_again_with_an_older_data_directory_is_answered_by() {
    let server = Server::start(&["fsync=off"]);
    let database = server.database().await;
    let store = with_old_token(&database).await;
    let (data, older) = (server.data(), server.data().with_extension("older"));
    server.kill();
    copy(&data, &older);
    server.start_again();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while store.replace(change(account("alice", 2, NEW))).await.is_err() {
        assert!(std::time::Instant::now() < end);
    }
    let node = Node::that_knows(store, &digest(NEW)).await;
    server.kill();
    copy(&older, &data);
    server.start_again();
    node.comes_to_say(&digest(NEW), Answer::Refused).await;
    node.comes_to_say(&digest(OLD), Answer::Accepted).await;
}

/// A standby that was cut off before the last change takes the primary's place.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_with_less_that_is_promoted_is_answered_by() {
    let primary = Server::start(&["fsync=off"]);
    let database = primary.database().await;
    drop(with_old_token(&database).await);
    let standby = Server::standby_of(&primary);
    let administrator = Database::at(standby.address(), "postgres").client().await;
    let cut_off = "ALTER SYSTEM SET primary_conninfo = ''";
    administrator.batch_execute(cut_off).await.unwrap();
    administrator.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let receiving = "SELECT count(*) FROM pg_stat_wal_receiver";
    while administrator.query_one(receiving, &[]).await.unwrap().get::<_, i64>(0) > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }

    let mut both = database.clone();
    both.config.host("127.0.0.1").port(standby.address().port());
    both.config.target_session_attrs(tokio_postgres::config::TargetSessionAttrs::ReadWrite);
    let store = PostgresStore::new(both.pool(4)).listen_with(both.config.clone(), NoTls);
    replace_token(&store).await;
    let node = Node::that_knows(store, &digest(NEW)).await;
    primary.kill();
    administrator.batch_execute("SELECT pg_promote()").await.unwrap();
    node.comes_to_say(&digest(NEW), Answer::Refused).await;
    node.comes_to_say(&digest(OLD), Answer::Accepted).await;
}
