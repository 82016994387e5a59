//! Cases of a store whose connections are cut; for an [`Interrupting`] harness.

use super::Interrupting;
use super::sample::{digest, holder, user};
use super::subject::{Rule, Subject};
use super::watch::patiently;
use crate::store::{AccountStore, FeedItem};

/// A feed whose connection was cut says that something was lost, or brings the
/// change that another node made meanwhile, before anything that follows.
pub async fn a_feed_that_was_cut_off_says_that_it_lost<H: Interrupting>(harness: &H) {
    let rule = "a feed that was cut off says so, or brings what it has missed";
    let subject = Subject::over(harness.interruptible().await, Rule(rule));
    let other = Subject::over(harness.another(&subject.store).await, subject.rule);
    subject.put(&holder("alice", 1, 1)).await;
    let mut watch = subject.watch().await;
    harness.cut_off(&subject.store).await;
    let cut = subject.store.load(&user("alice")).await;
    subject.rule.holds(cut.is_err(), "the harness has not cut the store off");
    other.put(&holder("alice", 2, 2)).await;
    harness.reconnect(&subject.store).await;
    let told = |item: &FeedItem| match item {
        FeedItem::Change(change) => change.digests.contains(&digest(1)) || !change.complete,
        item => *item == FeedItem::Lost,
    };
    let items = watch.items_after_outage(subject.feed()).await;
    subject.rule.holds(items.iter().any(told), "it goes on as if it had missed nothing");
}

/// A store that was cut off answers and makes changes again when it can connect.
pub async fn a_store_that_was_cut_off_recovers<H: Interrupting>(harness: &H) {
    let rule = "a store that was cut off recovers when it can connect again";
    let subject = Subject::over(harness.interruptible().await, Rule(rule));
    let other = Subject::over(harness.another(&subject.store).await, subject.rule);
    subject.put(&holder("alice", 1, 1)).await;
    harness.cut_off(&subject.store).await;
    other.put(&holder("alice", 2, 2)).await;
    harness.reconnect(&subject.store).await;
    let alice = user("alice");
    patiently(subject.rule, || subject.store.load(&alice)).await;
    subject.has(&holder("alice", 2, 2)).await;
    subject.put(&holder("alice", 3, 3)).await;
    other.has(&holder("alice", 3, 3)).await;
}
