//! Cases of a store that nodes or processes share; for a [`Nodes`] harness.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::yield_now;

use super::Nodes;
use super::audit_log::{follow, next};
use super::concurrency::{WRITERS, finished, only_winner};
use super::cursor::{lease, move_to};
use super::due::{due, is_due, put_off};
use super::erasure::erase;
use super::sample::{NOW, change, digest, everywhere, holder, user};
use super::subject::Subject;
use super::watch::{Watch, send};
use crate::account::{Account, LastUse};
use crate::store::{AccountStore, AuditItem, Change, FeedItem};
use crate::token::{TokenDigest, TokenId};

/// How long a node may go on deciding by what it has in its memory.
const PATIENCE: Duration = Duration::from_secs(30);

/// A change that one node has made is loaded by another at once, and found by
/// it within half a minute (a store without a cache finds it at once, too).
pub async fn a_change_is_seen_by_another_node<H: Nodes>(harness: &H) {
    let (one, other) = nodes(harness, "a change by one node is seen by another").await;
    for (writer, reader) in [(&one, &other), (&other, &one)] {
        let name = user("alice");
        let revision = reader.load(&name).await.map_or(1, |seen| seen.revision().as_u64() + 1);
        let account = holder("alice", revision, revision);
        found(reader, &digest(revision), None).await;
        writer.put(&account).await;
        reader.rule.same(&reader.load(&name).await.as_ref(), &Some(&account), "loading");
        found(reader, &digest(revision), Some(&account)).await;
        let history = reader.revisions(&name).await;
        reader.rule.same(&history, &(1..=revision).rev().collect(), "the history");
    }
    found(&one, &digest(1), None).await;
}

/// Waits until the digest leads to that account.
async fn found<S: AccountStore>(
    subject: &Subject<S>,
    digest: &TokenDigest,
    account: Option<&Account>,
) {
    let start = Instant::now();
    loop {
        let found = subject.rule.answered(subject.store.find(digest).await, "finding a digest");
        if found.as_deref() == account {
            return;
        }
        subject.rule.holds(start.elapsed() < PATIENCE, "a node goes on answering by the old state");
        yield_now().await;
    }
}

/// What one node erases is gone for another, and what has to stay of it holds there
/// too.
pub async fn an_erasure_by_one_node_holds_for_another<H: Nodes>(harness: &H) {
    let (one, other) = nodes(harness, "what one node erases is gone for another").await;
    let alice = holder("alice", 1, 1);
    one.put(&alice).await;
    found(&other, &digest(1), Some(&alice)).await;
    erase(&one, &alice).await;
    other.rule.same(&other.load(alice.user()).await, &None, "the account");
    found(&other, &digest(1), None).await;
    let low = other.store.replace(change(holder("alice", 1, 2))).await;
    other.rule.conflicts(&low, "an account that begins below");
}

/// A stale change of another node conflicts, and so does a digest that it
/// claims.
pub async fn a_change_of_another_node_conflicts<H: Nodes>(harness: &H) {
    let (one, other) = nodes(harness, "a stale change or claim by another node conflicts").await;
    one.put(&everywhere("alice")).await;
    for stale in [holder("alice", 1, 9), holder("alice", 3, 9), holder("bob", 1, 1)] {
        other.refuses(change(stale), "a change by another node").await;
    }
    other.put(&holder("alice", 2, 9)).await;
    one.refuses(change(holder("alice", 2, 10)), "a change that another node overtook").await;
}

/// Of several changes of one revision by several nodes exactly one is written.
pub async fn concurrent_changes_of_nodes_have_exactly_one_winner<H: Nodes>(harness: &H) {
    let rule = "of changes of one revision by several nodes exactly one is written";
    let (one, other) = nodes(harness, rule).await;
    for revision in 1..=20 {
        let numbers = (0..WRITERS).map(|writer| revision * WRITERS + writer);
        let proposed: Vec<_> = numbers.map(|number| holder("alice", revision, number)).collect();
        let stores = [Arc::clone(&one.store), Arc::clone(&other.store)];
        let winner = only_winner(&one, &stores, &proposed).await;
        let loaded = other.load(&user("alice")).await;
        other.rule.same(&loaded.as_ref(), &Some(&proposed[winner]), "the other node");
    }
}

/// Changes and heartbeats of each node reach the feeds of all, in order.
pub async fn a_feed_carries_the_changes_of_every_node<H: Nodes>(harness: &H) {
    let (one, other) = nodes(harness, "a feed carries changes and heartbeats of every node").await;
    let mut watches = [one.watch().await, other.watch().await];
    let mut expected = Vec::new();
    for (revision, node) in (1..=10).zip([&one, &other].into_iter().cycle()) {
        let account = holder("alice", revision, 1);
        node.put(&account).await;
        send(node.feed(), revision, node.rule).await;
        let change = Change::new(user("alice"), account.revision(), [digest(1)]);
        expected.extend([FeedItem::Change(change), FeedItem::Heartbeat(revision)]);
    }
    for watch in &mut watches {
        for item in &expected {
            one.rule.same(&passing_opening(watch).await, item, "the next item of a feed");
        }
    }
}

/// The next item but for the heartbeat by which the other feed was opened.
async fn passing_opening(watch: &mut Watch) -> FeedItem {
    loop {
        match watch.next().await {
            FeedItem::Heartbeat(beat) if beat > 10 => {}
            item => return item,
        }
    }
}

/// Uses that nodes have seen come together, the latest of each token.
pub async fn uses_of_every_node_come_together<H: Nodes>(harness: &H) {
    let (one, other) = nodes(harness, "the uses that nodes record come together").await;
    one.put(&everywhere("alice")).await;
    let used = |id, seconds| {
        let at = NOW + Duration::from_secs(seconds);
        (user("alice"), LastUse::new(TokenId::from_u64(id), at, None))
    };
    for (node, uses) in [(&one, [used(3, 1), used(4, 9)]), (&other, [used(3, 5), used(4, 2)])] {
        node.rule.answered(node.uses().record_usage(&uses).await, "recording uses");
    }
    for node in [&one, &other] {
        let expected = vec![used(3, 5).1, used(4, 9).1];
        node.rule.same(&node.usage(&user("alice")).await, &expected, "the uses");
    }
}

/// One log holds the changes of every node, and each node reads it so; whoever follows
/// it on one of them misses nothing.
pub async fn one_log_holds_the_changes_of_every_node<H: Nodes>(harness: &H) {
    let (one, other) = nodes(harness, "one log holds the changes of every node").await;
    let write = |node: &Subject<H::Store>, name: &'static str, in_batches: bool| {
        let (store, rule) = (Arc::clone(&node.store), node.rule);
        tokio::spawn(async move {
            for change in (1..=50).map(|revision| next(name, revision)) {
                if in_batches {
                    rule.answered(store.replace_many(vec![change]).await, "writing a batch");
                } else {
                    rule.answered(store.replace(change).await, "writing a change");
                }
                yield_now().await;
            }
        })
    };
    let done = Arc::new(AtomicBool::new(false));
    let follower = follow(&one, 10, &done);
    let writers = [(&one, "alice", false), (&other, "bob", true), (&one, "carol", true)];
    let writers = writers.map(|(node, name, in_batches)| write(node, name, in_batches));
    for writer in writers.into_iter().chain([write(&other, "dan", false)]) {
        finished(writer).await;
    }
    done.store(true, Ordering::SeqCst);
    let followed = finished(follower).await;
    for node in [&one, &other] {
        node.rule.same(&node.log().await, &followed, "the log that a node has followed");
    }
    for name in ["alice", "bob", "carol", "dan"] {
        let entries = followed.iter().filter_map(|(_, item)| match item {
            AuditItem::Entry(entry) if entry.user.as_str() == name => Some(entry.revision.as_u64()),
            _ => None,
        });
        one.rule.same(&entries.collect(), &(1..=50).collect::<Vec<_>>(), name);
    }
}

/// A cursor that one node has leased is not another's, and what one has moved is moved
/// for all.
pub async fn a_cursor_is_leased_by_one_node<H: Nodes>(harness: &H) {
    let (one, other) = nodes(harness, "a cursor is leased by one node at a time").await;
    let first = lease(&one, "reader", 1, PATIENCE * 100).await;
    one.rule.same(&lease(&other, "reader", 2, PATIENCE).await, &None, "another node");
    one.put(&holder("alice", 1, 1)).await;
    let position = one.log().await.last().map(|(position, _)| *position);
    one.rule.holds(position > first, "the log has no later position");
    let position = position.unwrap_or_default();
    one.rule.holds(!move_to(&other, "reader", 2, position).await, "another node moves it");
    one.rule.holds(move_to(&one, "reader", 1, position).await, "its holder does not move it");
    lease(&one, "reader", 1, Duration::ZERO).await;
    let leased = lease(&other, "reader", 2, PATIENCE).await;
    one.rule.same(&leased, &Some(position), "another node afterwards");
}

/// What one node has made due is due for another, which may put it off.
pub async fn an_account_is_due_for_every_node<H: Nodes>(harness: &H) {
    let (one, other) = nodes(harness, "an account is due for every node").await;
    one.replace(due("alice", 1, Some(NOW))).await;
    one.rule.same(&other.due().await, &vec![is_due(NOW, "alice")], "for another node");
    let later = NOW + Duration::from_secs(1);
    put_off(&other, "alice", 1, Some(later)).await;
    one.rule.same(&one.due().await, &vec![is_due(later, "alice")], "when the other has put it off");
    other.replace(due("alice", 2, None)).await;
    one.rule.same(&one.due().await, &vec![], "when the other has changed it");
    let kept = other.due_accounts().keep_schedule(5).await;
    one.rule.answered(kept, "keeping a schedule");
    let seen = one.rule.answered(one.due_accounts().schedule().await, "reading a schedule");
    one.rule.same(&seen, &5, "the schedule");
}

/// Two stores over the same data.
async fn nodes<H: Nodes>(
    harness: &H,
    rule: &'static str,
) -> (Subject<H::Store>, Subject<H::Store>) {
    let one = Subject::new(harness, rule).await;
    let other = harness.another(&one.store).await;
    let other = Subject::over(other, one.rule);
    (one, other)
}
