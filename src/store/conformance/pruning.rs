//! Cases: which entries of the audit log are pruned.

use std::time::Duration;

use super::Harness;
use super::audit_log::{next, number_of};
use super::cursor::{lease, move_to, remove};
use super::sample::{DAY, NOW, holder, user};
use super::subject::{Logged, Subject};
use crate::store::{AccountStore, AuditItem, Erasure};
use crate::time::Timestamp;
use crate::user::Actor;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// Later than everything.
const EVER: Timestamp = Timestamp::from_unix_millis(u64::MAX);

/// Entries from before that time are pruned out of the log and out of the history,
/// and no others; accounts stay as they are.
pub async fn old_entries_are_pruned_out_of_log_and_history<H: Harness>(harness: &H) {
    let rule = "entries from before that time go out of log and history, and no others do";
    let subject = Subject::new(harness, rule).await;
    for day in 1..=6 {
        write(&subject, "alice", day, NOW + DAY * day as u32).await;
        write(&subject, "bob", day, NOW + DAY * day as u32).await;
    }
    for day in [0, 1, 2, 4, 4] {
        prunes(&subject, NOW + DAY * day as u32, |item| at(item) >= NOW + DAY * day as u32).await;
    }
    for name in ["alice", "bob"] {
        let revisions = subject.revisions(&user(name)).await;
        subject.rule.same(&revisions, &vec![6, 5, 4], format_args!("the history of {name}"));
        subject.has(&holder(name, 6, number_of(name))).await;
        write(&subject, name, 7, NOW + DAY * 7).await;
    }
}

/// Nothing is pruned that any cursor has not come past, whether or not it is leased.
pub async fn nothing_is_pruned_that_a_cursor_has_not_come_past<H: Harness>(harness: &H) {
    let rule = "nothing is pruned that a cursor has not come past";
    let subject = Subject::new(harness, rule).await;
    for name in ["a reader", "mail", "webhook"] {
        lease(&subject, name, 1, HOUR).await;
    }
    for revision in 1..=8 {
        write(&subject, "alice", revision, NOW).await;
    }
    let log = subject.log().await;
    prunes(&subject, EVER, |_| true).await;
    move_to(&subject, "mail", 1, log[1].0).await;
    move_to(&subject, "webhook", 1, log[4].0).await;
    prunes(&subject, EVER, |_| true).await;
    lease(&subject, "a reader", 1, Duration::ZERO).await;
    prunes(&subject, EVER, |_| true).await;
    move_to(&subject, "a reader", 1, log[7].0).await;
    prunes(&subject, EVER, |(position, _)| *position > log[1].0).await;
    remove(&subject, "mail").await;
    prunes(&subject, EVER, |(position, _)| *position > log[4].0).await;
    remove(&subject, "webhook").await;
    prunes(&subject, EVER, |(position, _)| *position == log[7].0).await;
}

/// The last entry of each account stays for as long as the account.
pub async fn the_last_entry_of_each_account_stays<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "the last entry of each account stays").await;
    for (name, revision) in [("alice", 1), ("bob", 1), ("bob", 2), ("carol", 1), ("bob", 3)] {
        write(&subject, name, revision, NOW).await;
    }
    write(&subject, "carol", 2, NOW).await;
    let latest = |item: &Logged| match &item.1 {
        AuditItem::Entry(entry) => [("alice", 1), ("bob", 3), ("carol", 2)]
            .contains(&(entry.user.as_str(), entry.revision.as_u64())),
        AuditItem::Erased(_) | AuditItem::Unreadable { .. } => false,
    };
    prunes(&subject, EVER, latest).await;
    for (name, revision) in [("alice", 1), ("bob", 3), ("carol", 2)] {
        subject.rule.same(&subject.revisions(&user(name)).await, &vec![revision], name);
        write(&subject, name, revision + 1, NOW).await;
    }
    prunes(&subject, EVER, |item| !latest(item)).await;
}

/// What is younger than an hour stays, whatever is asked for.
pub async fn what_is_younger_than_an_hour_stays<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "what is younger than an hour stays").await;
    let loaded = subject.rule.answered(subject.store.load(&user("alice")).await, "loading");
    let ago = |minutes: u32| before(loaded.now, MINUTE * minutes);
    for (revision, minutes) in [(1, 120), (2, 70), (3, 50), (4, 5), (5, 0)] {
        write(&subject, "alice", revision, ago(minutes)).await;
    }
    prunes(&subject, ago(50), |item| at(item) >= ago(50)).await;
    prunes(&subject, loaded.now, |item| at(item) >= ago(50)).await;
    prunes(&subject, EVER, |item| at(item) >= ago(50)).await;
    subject.rule.same(&subject.revisions(&user("alice")).await, &vec![5, 4, 3], "the history");
}

/// The item that an erasure leaves is pruned by its age.
pub async fn an_item_of_an_erasure_is_pruned_by_its_age<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "the item of an erasure is pruned by its age").await;
    let loaded = subject.rule.answered(subject.store.load(&user("alice")).await, "loading");
    for name in ["alice", "bob", "carol"] {
        write(&subject, name, 1, NOW).await;
    }
    for (name, erased_at) in [("alice", NOW), ("bob", NOW + DAY), ("carol", loaded.now)] {
        erase_at(&subject, name, erased_at).await;
    }
    prunes(&subject, NOW + DAY, |item| at(item) > NOW).await;
    prunes(&subject, EVER, |item| at(item) == loaded.now).await;
}

/// No position is given out again when what had it was pruned, even at the log's end.
pub async fn positions_go_on_after_what_was_pruned<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "positions go on after what was pruned").await;
    for name in ["alice", "bob"] {
        write(&subject, name, 1, NOW).await;
    }
    // What is read before the erasure comes before it in every store.
    subject.log().await;
    erase_at(&subject, "alice", NOW).await;
    let last = subject.log().await.last().map(|(position, _)| *position).unwrap_or_default();
    prunes(&subject, EVER, |(position, _)| *position < last).await;
    let end = subject.rule.answered(subject.audit_log().audit_end().await, "asking for the end");
    subject.rule.same(&lease(&subject, "reader", 1, HOUR).await, &Some(end), "a new cursor");
    subject.replace(next("bob", 2)).await;
    for position in [last, end] {
        let come: Vec<_> = subject.log_after(position, 10).await;
        subject.rule.same(&come.len(), &1, format_args!("what has come behind {position:?}"));
    }
}

/// Prunes until there is no more, and holds that exactly the items that are not to be
/// kept are gone, and were counted.
async fn prunes<S: AccountStore>(
    subject: &Subject<S>,
    before: Timestamp,
    is_kept: impl Fn(&Logged) -> bool,
) {
    let (kept, gone): (Vec<_>, Vec<_>) = subject.log().await.into_iter().partition(is_kept);
    let mut pruned = 0;
    loop {
        let removed = subject.audit_log().prune_audit(before).await;
        match subject.rule.answered(removed, "pruning the log") {
            0 => break,
            removed => pruned += removed,
        }
    }
    subject.rule.same(&subject.log().await, &kept, format_args!("the log pruned to {before}"));
    subject.rule.same(&pruned, &(gone.len() as u64), "how many were removed");
    for (_, item) in &gone {
        let AuditItem::Entry(entry) = item else { continue };
        let stays = subject.history(&entry.user).await.contains(entry);
        subject.rule.holds(!stays, format_args!("the history keeps {entry:?}"));
    }
    for (_, item) in &kept {
        let AuditItem::Entry(entry) = item else { continue };
        let stays = subject.history(&entry.user).await.contains(entry);
        subject.rule.holds(stays, format_args!("the history has lost {entry:?}"));
    }
}

fn at((_, item): &Logged) -> Timestamp {
    match item {
        AuditItem::Entry(entry) => entry.at,
        AuditItem::Erased(erased) => erased.at,
        AuditItem::Unreadable { at, .. } => *at,
    }
}

fn before(time: Timestamp, length: Duration) -> Timestamp {
    let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_unix_millis(time.unix_millis().saturating_sub(millis))
}

/// Writes a revision whose entry is of that time.
async fn write<S: AccountStore>(subject: &Subject<S>, name: &str, revision: u64, at: Timestamp) {
    let mut replacement = next(name, revision);
    replacement.entry.at = at;
    subject.replace(replacement).await;
}

async fn erase_at<S: AccountStore>(subject: &Subject<S>, name: &str, at: Timestamp) {
    let erasure = Erasure::new(holder(name, 1, number_of(name)), at, Actor::User);
    subject.rule.answered(subject.store.erase(erasure).await, "erasing an account");
}
