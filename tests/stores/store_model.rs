//! Four tasks at once on one store, as four managers would use it: what they
//! leave behind is what a plain model makes of their acts in the order in which
//! they were written.

#[cfg(feature = "sqlite")]
mod sqlite;
mod verdict;
mod worker;

use std::sync::Arc;

use tower_api_token::store::{AccountStore, MemoryStore};
use tower_api_token::test_util::ManualClock;
use tower_api_token::time::Timestamp;
use tower_api_token::user::UserId;

use verdict::Watch;
use worker::{Log, Shared, Worker};

const START: Timestamp = Timestamp::from_unix_millis(1_767_323_045_678);
const TASKS: u64 = 4;

fn users() -> [UserId; 3] {
    ["alice", "o'brien", "日本"].map(|name| UserId::new(name).unwrap())
}

/// Lets the tasks work on these nodes of one store, and judges what they leave
/// behind.
async fn agree<S: AccountStore>(
    nodes: &[Arc<S>],
    clock: &Arc<ManualClock>,
    seed: u64,
    acts: usize,
) {
    let watch = Watch::open(&*nodes[0]).await;
    let shared = Shared { clock: Arc::clone(clock), codes: Arc::default() };
    // Together: on a busy machine the first could end before the last begins.
    let start_line = Arc::new(tokio::sync::Barrier::new(TASKS as usize));
    let start = |task: u64| {
        let node = Arc::clone(&nodes[task as usize % nodes.len()]);
        let worker = Worker::new(node, shared.clone(), task, seed * TASKS + task);
        let start_line = Arc::clone(&start_line);
        tokio::spawn(async move {
            start_line.wait().await;
            worker.work(acts).await
        })
    };
    let mut logs = Vec::new();
    for task in (0..TASKS).map(start).collect::<Vec<_>>() {
        logs.push(task.await.unwrap());
    }
    let log = logs.into_iter().reduce(Log::and).unwrap();
    assert!(log.written.len() > acts / 2, "too few acts had an effect: {}", log.written.len());
    assert!(log.overtaken > 0, "no task has overtaken another");
    for node in nodes {
        log.judge(&**node).await;
    }
    watch.judge(&*nodes[0], &log).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn store_035_four_tasks_on_memory_leave_the_models_state() {
    for seed in 0..20 {
        let clock = Arc::new(ManualClock::new(START));
        let store = Arc::new(MemoryStore::with_clock(Arc::clone(&clock)));
        agree(&[store], &clock, seed, 250).await;
    }
}
