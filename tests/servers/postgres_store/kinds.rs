//! What kind each refusal of the server is.

use std::error::Error;

use tower_api_token::store::{AccountStore, PostgresStore, StoreError, StoreErrorKind, TokenStore};

use crate::postgres::{Database, Server};
use crate::sample::{account, change, digest, user};

#[track_caller]
fn is(error: &StoreError, kind: StoreErrorKind, says: &str) {
    let source = error.source().expect("a cause").to_string();
    assert_eq!(error.kind(), kind, "{error}: {source}");
    assert!(source.contains(says), "{source}");
}

#[tokio::test]
async fn a_database_without_tables_is_not_set_up() {
    let database = Server::shared().database().await;
    let store = database.unmigrated();
    is(&store.load(&user("alice")).await.unwrap_err(), StoreErrorKind::NotSetUp, "migrate it");
    is(&store.find(&digest(1)).await.unwrap_err(), StoreErrorKind::NotSetUp, "migrate it");
    let written = store.replace(change(account("alice", 1, 1))).await.unwrap_err();
    is(&written, StoreErrorKind::NotSetUp, "migrate it");
    store.migrate().await.unwrap();
    assert!(store.find(&digest(1)).await.unwrap().is_none());
    let client = database.client().await;
    client.batch_execute("DROP SCHEMA tower_api_token CASCADE").await.unwrap();
    is(&store.find(&digest(1)).await.unwrap_err(), StoreErrorKind::NotSetUp, "migrate it");
}

#[tokio::test]
async fn a_schema_of_a_later_version_is_refused_by_every_operation_of_a_new_store() {
    let database = Server::shared().database().await;
    let old = database.store().await;
    old.replace(change(account("alice", 1, 1))).await.unwrap();
    let later = "INSERT INTO tower_api_token.migration (version) VALUES (99)";
    database.client().await.batch_execute(later).await.unwrap();
    let store = database.unmigrated();
    for error in [
        store.migrate().await.unwrap_err(),
        store.find(&digest(1)).await.unwrap_err(),
        store.load(&user("alice")).await.unwrap_err(),
        store.pepper_versions().await.unwrap_err(),
    ] {
        is(&error, StoreErrorKind::NewerSchema, "schema version 99");
    }
    assert!(old.find(&digest(1)).await.unwrap().is_some(), "one that is open goes on");
}

/// What a pooler in transaction mode does to prepared statements: another
/// session has them, or has ones of the same name.
#[tokio::test]
async fn a_prepared_statement_that_is_gone_or_there_already_names_the_pooler() {
    let database = Server::shared().database().await;
    database.store().await;
    let pool = database.pool(1);
    let store = PostgresStore::new(pool.clone());
    store.find(&digest(1)).await.unwrap();
    pool.get().await.unwrap().batch_execute("DEALLOCATE ALL").await.unwrap();
    let error = store.find(&digest(1)).await.unwrap_err();
    is(&error, StoreErrorKind::Refused, "26000");
    is(&error, StoreErrorKind::Refused, "a pooler in transaction mode");

    let pool = database.pool(1);
    let store = PostgresStore::new(pool.clone());
    // The driver numbers the statements of a process; other tests count on.
    let client = pool.get().await.unwrap();
    client.prepare("SELECT 1").await.map(std::mem::forget).unwrap();
    let latest = "SELECT substr(name, 2)::int4 FROM pg_prepared_statements";
    let latest = client.simple_query(latest).await.unwrap();
    let tokio_postgres::SimpleQueryMessage::Row(row) = &latest[1] else { panic!("{latest:?}") };
    let latest: u32 = row.get(0).unwrap().parse().unwrap();
    let names =
        (latest + 1..latest + 20_000).map(|number| format!("PREPARE s{number} AS SELECT 1;"));
    client.batch_execute(&names.collect::<String>()).await.unwrap();
    drop(client);
    let error = store.find(&digest(1)).await.unwrap_err();
    is(&error, StoreErrorKind::Refused, "42P05");
    is(&error, StoreErrorKind::Refused, "a pooler in transaction mode");
}

#[tokio::test]
async fn a_change_that_gives_way_for_too_long_may_be_tried_again() {
    let database = Server::shared().database().await;
    database.store().await.replace(change(account("alice", 1, 1))).await.unwrap();
    let fail = "CREATE FUNCTION tower_api_token.fail() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION USING ERRCODE = TG_ARGV[0]; END $$";
    let client = database.client().await;
    client.batch_execute(fail).await.unwrap();
    for (state, kind) in [
        ("40001", StoreErrorKind::Unavailable),
        ("40P01", StoreErrorKind::Unavailable),
        ("53100", StoreErrorKind::Unavailable),
        ("25006", StoreErrorKind::Unavailable),
        ("42501", StoreErrorKind::Refused),
        ("22P05", StoreErrorKind::Refused),
        ("42703", StoreErrorKind::NotSetUp),
        ("XX001", StoreErrorKind::Corrupt),
    ] {
        let trigger = format!(
            "CREATE OR REPLACE TRIGGER fail BEFORE INSERT OR UPDATE ON tower_api_token.account
            FOR EACH ROW EXECUTE FUNCTION tower_api_token.fail('{state}')"
        );
        client.batch_execute(&trigger).await.unwrap();
        let store = database.unmigrated();
        let error = store.replace(change(account("bob", 1, 2))).await.unwrap_err();
        is(&error, kind, state);
        assert!(store.load(&user("bob")).await.unwrap().account.is_none());
    }
}

#[tokio::test]
async fn a_server_that_nobody_answers_for_is_unavailable() {
    let nowhere = Database::at(crate::server::free_address(), "postgres");
    let error = nowhere.unmigrated().find(&digest(1)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
}
