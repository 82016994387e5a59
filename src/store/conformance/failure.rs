//! Cases: a change that is given up half-way.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use tokio::task::yield_now;

use super::Harness;
use super::sample::{change, digest, holder, user};
use super::subject::{Subject, outcome};
use crate::store::{AccountStore, Replacement, StoreErrorKind};

/// How often a change is tried before the store counts as unusable.
const TRIES: usize = 1_000;

/// A `replace` whose future is dropped after any number of polls leaves the
/// change made or not made, and the store usable.
pub async fn a_dropped_change_leaves_the_store_usable<H: Harness>(harness: &H) {
    let rule = "a change whose future is dropped is made or not made, and the store stays usable";
    let subject = Subject::new(harness, rule).await;
    subject.put(&holder("alice", 1, 1)).await;
    for polls in 0..20 {
        let next = next_change(&subject).await;
        polled(&*subject.store, next, polls).await;
        settled(&subject).await;
    }
}

/// A `replace` whose future is dropped after some time does so too.
pub async fn a_change_that_is_timed_out_leaves_the_store_usable<H: Harness>(harness: &H) {
    let rule = "a change that its caller times out is made or not made, and the store stays usable";
    let subject = Subject::new(harness, rule).await;
    subject.put(&holder("alice", 1, 1)).await;
    for step in 0..20 {
        let next = next_change(&subject).await;
        let limit = Duration::from_micros(step * 200);
        // Whether it is in time is what the loop varies.
        drop(tokio::time::timeout(limit, subject.store.replace(next)).await);
        settled(&subject).await;
    }
}

/// The change of `alice` from what is there to the next revision.
async fn next_change<S: AccountStore>(subject: &Subject<S>) -> Replacement {
    let account = subject.load(&user("alice")).await;
    let account = account.unwrap_or_else(|| panic!("broken rule: {}", subject.rule.0));
    let revision = account.revision().as_u64() + 1;
    change(holder("alice", revision, revision))
}

/// Polls the change at most that often, and drops it.
async fn polled(store: &impl AccountStore, replacement: Replacement, polls: usize) {
    let mut replace = Box::pin(store.replace(replacement));
    for _ in 0..polls {
        if poll_fn(|cx| Poll::Ready(replace.as_mut().poll(cx).is_ready())).await {
            return;
        }
        yield_now().await;
    }
}

/// Writes the next change, which a dropped one may still overtake; holds that
/// account, digests and history then agree.
async fn settled<S: AccountStore>(subject: &Subject<S>) {
    let written = written(subject).await;
    let account = holder("alice", written, written);
    subject.has(&account).await;
    for former in 1..written {
        subject.finds(&digest(former), None, "a digest of a former revision").await;
    }
    let history = subject.revisions(&user("alice")).await;
    subject.rule.same(&history, &(1..=written).rev().collect(), "the history");
}

/// The revision that could be written at last.
async fn written<S: AccountStore>(subject: &Subject<S>) -> u64 {
    for _ in 0..TRIES {
        let next = next_change(subject).await;
        let revision = next.account.revision().as_u64();
        match outcome(&subject.store.replace(next).await) {
            Ok(()) => return revision,
            answer => subject.rule.same(
                &answer,
                &Err(StoreErrorKind::Conflict),
                "writing after a change was dropped",
            ),
        }
    }
    panic!("broken rule: {}: no change gets through any longer", subject.rule.0)
}
