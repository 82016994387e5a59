//! Cases: the store's time.

use std::time::Duration;

use super::Harness;
use super::sample::{holder, user};
use super::subject::Subject;
use crate::store::AccountStore;
use crate::time::Timestamp;

/// The time that `load` tells does not go backwards, with an account or
/// without.
pub async fn the_time_does_not_go_backwards<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "the store's time does not go backwards").await;
    let mut last = Timestamp::default();
    for revision in 1..=50 {
        let loaded = subject.store.load(&user("alice")).await;
        let now = subject.rule.answered(loaded, "loading an account").now;
        subject.rule.holds(now >= last, format_args!("{now} came after {last}"));
        last = now;
        subject.put(&holder("alice", revision, 1)).await;
    }
}

/// The time that `load` tells is the true one, give or take a day.
pub async fn the_time_is_the_true_one<H: Harness>(harness: &H) {
    const DAY: Duration = Duration::from_secs(86_400);

    let subject = Subject::new(harness, "the store's time is the true one").await;
    let loaded = subject.store.load(&user("alice")).await;
    let told = subject.rule.answered(loaded, "loading an account").now;
    let now = Timestamp::now();
    let near = told <= now + DAY && now <= told + DAY;
    subject.rule.holds(near, format_args!("the store says {told}, this process {now}"));
}
