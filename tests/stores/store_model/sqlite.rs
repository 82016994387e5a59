//! The same on SQLite files.

use std::sync::Arc;

use tower_api_token::store::{SqliteOptions, SqliteStore};
use tower_api_token::test_util::ManualClock;

use crate::store_model::{START, agree};

/// Works on one file through that many stores.
async fn work(stores: usize, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens.db");
        let clock = Arc::new(ManualClock::new(START));
        let open = |_| {
            let options = SqliteOptions::new().clock(Arc::clone(&clock));
            Arc::new(options.open(&path).unwrap())
        };
        let stores: Vec<Arc<SqliteStore>> = (0..stores).map(open).collect();
        stores[0].migrate().await.unwrap();
        agree(&stores, &clock, seed, 120).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn store_035_four_tasks_on_sqlite_leave_the_models_state() {
    work(1, 0..4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rotation_039_four_tasks_on_two_stores_of_one_file_leave_the_models_state() {
    work(2, 4..8).await;
}
