//! What the driver logs: every statement's parameters, at level `debug`.

use std::sync::Mutex;

use log::{LevelFilter, Log, Metadata, Record};
use tower_api_token::store::{AccountStore, TokenStore};

use crate::postgres::Server;
use crate::sample::{account, change, digest, user};

static LOGGED: Mutex<String> = Mutex::new(String::new());

struct Logger;

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mut logged = LOGGED.lock().unwrap();
        *logged += &format!("{}\n", record.args());
    }

    fn flush(&self) {}
}

#[tokio::test]
async fn log_008_no_digest_and_no_record_is_logged_by_the_driver() {
    log::set_logger(&Logger).unwrap();
    log::set_max_level(LevelFilter::Debug);
    let database = Server::shared().database().await;
    let store = database.store().await;
    store.replace(change(account("logged alice", 1, 1))).await.unwrap();
    store.replace_many(vec![change(account("logged bob", 1, 2))]).await.unwrap();
    store.find(&digest(2)).await.unwrap().unwrap();
    store.load(&user("logged bob")).await.unwrap();
    log::set_max_level(LevelFilter::Off);
    let logged = LOGGED.lock().unwrap();
    for seen in ["logged alice", "logged bob", "(..)"] {
        assert!(logged.contains(seen), "parameters are logged: {seen}");
    }
    // Every sample digest ends with these bytes.
    assert!(!logged.contains("209, 209") && !logged.contains("d1d1"), "{logged}");
}
