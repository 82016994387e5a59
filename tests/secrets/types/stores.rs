//! Stores, what they are given and what they answer.

use std::sync::Arc;

use tokio_postgres::NoTls;
use tower_api_token::account::Account;
use tower_api_token::store::{
    AccountStore, AuditCursor, AuditItem, AuditPosition, Change, ChangeFeed, Due, Erasure,
    FeedItem, Loaded, Page, PageSize, PostgresStore, RedisOpenError, RedisOptions, Replacement,
    SqliteError, SqliteOptions, SqliteStore, StoreErrorKind,
};
use tower_api_token::time::Timestamp;
use tower_api_token::user::Actor;

use super::List;
use crate::life::Life;
use crate::postgres_server;
use crate::redis_server::Server;

pub(super) async fn show(life: &Life, list: &mut List) {
    let account: &Account = &life.account;
    let entry = life.entries[0].clone();
    let replacement = Replacement::new(account.clone(), None, entry.clone());
    let refused = life.store.replace(replacement.clone()).await.expect_err("it is there already");
    let change = Change::between(None, account);
    let page = Page::of_accounts(vec![Arc::clone(&life.account)], PageSize::clamped(1));
    list.add("Loaded", &Loaded::new(Some(Arc::clone(&life.account)), Timestamp::default()));
    list.add("Replacement", &replacement);
    list.add("Erasure", &Erasure::new(account.clone(), Timestamp::default(), Actor::User));
    list.add("StoreError", &refused);
    list.add("StoreErrorKind", &StoreErrorKind::Corrupt);
    list.add("Change", &change);
    list.add("FeedItem", &FeedItem::Change(change));
    list.add("Feed", &life.store.changes().await.unwrap());
    list.add("Page", &page);
    list.add("Page", &Page::of_entries(vec![entry], PageSize::clamped(1)));
    list.add("PageSize", &PageSize::clamped(1));
    list.add("AuditItem", &AuditItem::Entry(life.entries[0].clone()));
    list.add("AuditPosition", &AuditPosition::START);
    list.add("AuditCursor", &AuditCursor::new("reader", AuditPosition::START));
    list.add("Due", &Due::new(Timestamp::default(), life.alice.clone()));
    list.add("MemoryStore", &life.store);
    sqlite(&replacement, list).await;
    postgres(&replacement, life, list).await;
    redis(&replacement, life, list).await;
}

async fn sqlite(replacement: &Replacement, list: &mut List) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("accounts.db");
    let store = SqliteStore::open(&path).unwrap();
    let unmigrated = store.replace(replacement.clone()).await.expect_err("no tables");
    store.migrate().await.unwrap();
    store.replace(replacement.clone()).await.unwrap();
    let conflict = store.replace(replacement.clone()).await.expect_err("it is there already");
    let durability = store.durability().await.unwrap();
    list.add("SqliteStore", &(&store, unmigrated, conflict));
    list.add("Durability", &durability);
    list.add("SqliteOptions", &SqliteOptions::new());
    let opened = SqliteStore::open(":memory:").err();
    let here = std::env::current_exe().expect("a file that is no database");
    let refused = SqliteStore::copy_of_backup(&here, &here).err();
    list.add("SqliteError", &(opened, refused, SqliteError::NoTables));
}

async fn postgres(replacement: &Replacement, life: &Life, list: &mut List) {
    let server = postgres_server::Server::start(&["fsync=off"]);
    let mut database = server.database().await;
    // A password is a secret as any token.
    database.config.password(life.issued.token.expose_secret());
    let store = PostgresStore::new(database.pool(1)).listen_with(database.config.clone(), NoTls);
    let unmigrated = store.replace(replacement.clone()).await.expect_err("no tables");
    store.migrate().await.unwrap();
    store.replace(replacement.clone()).await.unwrap();
    let conflict = store.replace(replacement.clone()).await.expect_err("it is there already");
    server.kill();
    let gone = store.replace(replacement.clone()).await.expect_err("no server");
    list.add("PostgresStore", &(&store, unmigrated, conflict, gone));
}

async fn redis(replacement: &Replacement, life: &Life, list: &mut List) {
    let server = Server::start(&["--appendonly yes", "--appendfsync everysec"]);
    let deployment = server.deployment();
    let refused = deployment.options().open().await.err().map(|it: RedisOpenError| it);
    // A password is a secret as any token.
    let password = life.issued.token.expose_secret();
    server.tell(&format!("ACL SETUSER host on >{password} ~* &* +@all"));
    let url = format!("redis://host:{password}@{}/", server.address());
    let options = RedisOptions::new(redis::Client::open(url).unwrap());
    let options = options.dangerous_accept_data_loss(true);
    list.add("RedisOptions", &options);
    list.add("RedisOpenError", &refused);
    let store = options.open().await.unwrap();
    let nothing = store.replace(replacement.clone()).await.expect_err("no deployment");
    store.create().await.unwrap();
    store.replace(replacement.clone()).await.unwrap();
    let conflict = store.replace(replacement.clone()).await.expect_err("it is there already");
    server.kill();
    let gone = store.replace(replacement.clone()).await.expect_err("no server");
    list.add("RedisStore", &(&store, nothing, conflict, gone));
}
