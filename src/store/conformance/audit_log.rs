//! Cases: the histories of all accounts as one log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::{JoinHandle, yield_now};

use super::Harness;
use super::concurrency::finished;
use super::erasure::erase;
use super::sample::{NOW, change, entry, events, holder, user};
use super::subject::{Logged, Subject};
use crate::account::Revision;
use crate::audit::{AccountErased, AuditEntry};
use crate::store::{AccountStore, AuditItem, AuditPosition, Erasure, PageSize, Replacement};
use crate::user::{Actor, UserId};

/// Every entry is in the log once, in its account's order: of single changes, of those
/// of a batch, and of those that were made one.
pub async fn every_entry_is_in_the_log_once<H: Harness>(harness: &H) {
    let rule = "every entry of every account is in the log once, in its account's order";
    let subject = Subject::new(harness, rule).await;
    let single = ["alice", "bob"].map(|name| change(holder(name, 1, number_of(name))));
    let made_one = several("carol", 1, 3);
    let batch =
        vec![several("alice", 2, 4), next("bob", 2), several("carol", 4, 5), next("dan", 1)];
    let written = single.iter().chain([&made_one]).chain(&batch);
    let written: Vec<_> = written.flat_map(Replacement::entries).cloned().collect();
    for replacement in single.into_iter().chain([made_one]) {
        subject.replace(replacement).await;
    }
    subject.rule.answered(subject.store.replace_many(batch).await, "writing a batch");
    let log = subject.log().await;
    subject.rule.same(&of_each_user(&log), &by_user(written), "the log");
    agrees_with_the_histories(&subject, &log).await;
}

/// Every event and every actor reads back from the log as it was written.
pub async fn every_entry_reads_back_from_the_log<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "an entry of the log is that of the history").await;
    let actors = [Actor::User, Actor::Administrator(user("root")), Actor::Program(user("nightly"))];
    let mut written = Vec::new();
    for ((revision, event), actor) in (1..).zip(events()).zip(actors.iter().cycle()) {
        let account = holder("alice", revision, revision);
        let entry = entry(&account, actor.clone(), event);
        let expected = (revision > 1).then(|| Revision::from_u64(revision - 1));
        subject.replace(Replacement::new(account, expected, entry.clone())).await;
        written.push(entry);
    }
    let log = subject.log().await;
    for ((_, seen), expected) in log.iter().zip(&written) {
        subject.rule.same(seen, &AuditItem::Entry(expected.clone()), "an item of the log");
    }
    subject.rule.same(&log.len(), &written.len(), "the length of the log");
}

/// Whatever the size of a page and the position that it begins behind, the log is the
/// same.
pub async fn a_log_goes_on_after_any_position<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a log read by pages is the log read at once").await;
    subject.rule.same(&subject.log().await, &vec![], "the log of an empty store");
    for revision in (1..=10).step_by(2) {
        subject.replace(next("alice", revision)).await;
        let batch = vec![next("bob", revision), several("alice", revision + 1, revision + 1)];
        subject.rule.answered(subject.store.replace_many(batch).await, "writing a batch");
        subject.replace(next("bob", revision + 1)).await;
    }
    let log = subject.log().await;
    subject.rule.same(&log.len(), &20, "the length of the log");
    for size in [1, 2, 3, 7, 19, 20, 21] {
        let paged = subject.log_after(AuditPosition::START, size).await;
        subject.rule.same(&paged, &log, format_args!("the log by pages of {size}"));
    }
    for (place, (position, _)) in log.iter().enumerate() {
        let rest = subject.log_after(*position, 3).await;
        subject.rule.same(&rest, &log[place + 1..].to_vec(), format_args!("behind {position:?}"));
    }
}

/// When a change has returned its entries are in the log.
pub async fn a_change_is_in_the_log_when_it_returns<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a change is in the log when it has returned").await;
    let mut last = AuditPosition::START;
    for revision in (1..=20).step_by(2) {
        subject.replace(next("alice", revision)).await;
        last = has_come(&subject, last, &[("alice", revision)]).await;
        let batch = vec![next("alice", revision + 1), next("bob", revision.div_ceil(2))];
        subject.rule.answered(subject.store.replace_many(batch).await, "writing a batch");
        let both = [("alice", revision + 1), ("bob", revision.div_ceil(2))];
        last = has_come(&subject, last, &both).await;
    }
}

/// Holds that behind that position these revisions have come and nothing else, in
/// whatever order, and returns the last position.
async fn has_come<S: AccountStore>(
    subject: &Subject<S>,
    after: AuditPosition,
    expected: &[(&str, u64)],
) -> AuditPosition {
    let come = subject.log_after(after, 100).await;
    let mut seen: Vec<_> = come.iter().filter_map(|(_, item)| revision_of(item)).collect();
    seen.sort_unstable();
    subject.rule.same(&seen, &expected.to_vec(), "what has come into the log");
    come.last().map_or(after, |(position, _)| *position)
}

fn revision_of(item: &AuditItem) -> Option<(&str, u64)> {
    match item {
        AuditItem::Entry(entry) => Some((entry.user.as_str(), entry.revision.as_u64())),
        AuditItem::Erased(_) | AuditItem::Unreadable { .. } => None,
    }
}

/// Behind the end of the log comes what happens from then on, and nothing of before.
pub async fn a_log_ends_with_its_last_entry<H: Harness>(harness: &H) {
    let rule = "behind the end of the log comes what happens from now on";
    let subject = Subject::new(harness, rule).await;
    for revision in 1..=5 {
        let end = end(&subject).await;
        subject.rule.same(&subject.log_after(end, 10).await, &vec![], "behind the end");
        subject.replace(next("alice", revision)).await;
        has_come(&subject, end, &[("alice", revision)]).await;
    }
    let last = subject.log().await.last().map(|(position, _)| *position);
    subject.rule.same(&Some(end(&subject).await), &last, "the end");
}

async fn end<S: AccountStore>(subject: &Subject<S>) -> AuditPosition {
    subject.rule.answered(subject.audit_log().audit_end().await, "asking for the log's end")
}

/// Whoever reads an entry in the log can read the change, too.
pub async fn a_change_can_be_read_when_the_log_has_it<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "what is in the log can be read otherwise").await;
    let (rule, store) = (subject.rule, Arc::clone(&subject.store));
    let check = async move |entry: &AuditEntry| {
        let loaded = rule.answered(store.load(&entry.user).await, "loading an account");
        let revision = loaded.account.as_ref().map(|account| account.revision());
        let what = format!("the log has revision {}, the store {revision:?}", entry.revision);
        rule.holds(revision >= Some(entry.revision), what);
        let history = store.history(&entry.user, None, PageSize::clamped(1)).await;
        let history = rule.answered(history, "reading a history").items;
        let known = history.first().is_some_and(|latest| latest.revision >= entry.revision);
        rule.holds(known, format_args!("the history ends before {entry:?}"));
    };
    let writers = [write_singly(&subject, "alice", 40), write_singly(&subject, "bob", 40)];
    let (mut last, mut seen) = (AuditPosition::START, 0);
    while seen < 80 {
        let page = subject.audit_log().audit(last, PageSize::MAX).await;
        for (position, item) in rule.answered(page, "reading the audit log") {
            if let AuditItem::Entry(entry) = &item {
                check(entry).await;
            }
            (last, seen) = (position, seen + 1);
        }
        yield_now().await;
    }
    for writer in writers {
        finished(writer).await;
    }
}

/// Whoever follows the log misses nothing, whatever is committed at the same time:
/// short changes, long batches, and changes made of several.
pub async fn nothing_comes_behind_a_position_that_was_given_out<H: Harness>(harness: &H) {
    let rule = "no entry comes behind a position that has been given out";
    let subject = Subject::new(harness, rule).await;
    let done = Arc::new(AtomicBool::new(false));
    let followers = [1, 50].map(|size| follow(&subject, size, &done));
    let singly = (0..4).map(|writer| write_singly(&subject, &format!("single {writer}"), 60));
    let in_batches = (0..4).map(|writer| write_in_batches(&subject, writer));
    for writer in singly.chain(in_batches).collect::<Vec<_>>() {
        finished(writer).await;
    }
    done.store(true, Ordering::SeqCst);
    let log = subject.log().await;
    for follower in followers {
        let followed = finished(follower).await;
        let missed = log.iter().find(|item| !followed.contains(item));
        subject.rule.holds(missed.is_none(), format_args!("a reader missed {missed:?}"));
        subject.rule.holds(followed == log, "a reader was given another log");
    }
    subject.rule.same(&log.len(), &(4 * 60 + 4 * BATCHES * (PER_BATCH + 2)), "the entries");
    agrees_with_the_histories(&subject, &log).await;
}

const BATCHES: usize = 8;
const PER_BATCH: usize = 20;

/// Reads the log until the writers are done and there is no more.
pub(super) fn follow<S: AccountStore>(
    subject: &Subject<S>,
    size: usize,
    done: &Arc<AtomicBool>,
) -> JoinHandle<Vec<Logged>> {
    let (rule, store, done) = (subject.rule, Arc::clone(&subject.store), Arc::clone(done));
    tokio::spawn(async move {
        let follower = Subject { store, rule };
        let (mut followed, mut last) = (Vec::new(), AuditPosition::START);
        loop {
            let were_done = done.load(Ordering::SeqCst);
            let come = follower.log_after(last, size).await;
            last = come.last().map_or(last, |(position, _)| *position);
            if come.is_empty() && were_done {
                return followed;
            }
            followed.extend(come);
            yield_now().await;
        }
    })
}

fn write_singly<S: AccountStore>(
    subject: &Subject<S>,
    name: &str,
    revisions: u64,
) -> JoinHandle<()> {
    let (rule, store, name) = (subject.rule, Arc::clone(&subject.store), name.to_owned());
    tokio::spawn(async move {
        for revision in 1..=revisions {
            rule.answered(store.replace(next(&name, revision)).await, "writing a change");
            yield_now().await;
        }
    })
}

/// Batches of changes of several users, one of which is made of three.
fn write_in_batches<S: AccountStore>(subject: &Subject<S>, writer: usize) -> JoinHandle<()> {
    let (rule, store) = (subject.rule, Arc::clone(&subject.store));
    tokio::spawn(async move {
        for round in 1..=BATCHES as u64 {
            let name = |number| format!("batch {writer} {number}");
            let mut batch = vec![several(&name(0), 3 * round - 2, 3 * round)];
            batch.extend((1..PER_BATCH).map(|number| next(&name(number), round)));
            let answers = rule.answered(store.replace_many(batch).await, "writing a batch");
            for answer in answers {
                rule.answered(answer, "writing a change of a batch");
            }
            yield_now().await;
        }
    })
}

/// An erasure takes the account's entries out of the log, and leaves one item at the
/// end that names nobody.
pub async fn an_erasure_leaves_one_item_that_names_nobody<H: Harness>(harness: &H) {
    let rule = "an erased account's entries are gone, and one item that names nobody is left";
    let subject = Subject::new(harness, rule).await;
    for revision in 1..=3 {
        for name in ["alice", "bob"] {
            subject.replace(next(name, revision)).await;
        }
    }
    let before = subject.log().await;
    let alice = user("alice");
    // Somebody may erase an account of the very name that they have themselves.
    let erasure = Erasure::new(holder("alice", 3, number_of("alice")), NOW, Actor::Program(alice));
    subject.rule.answered(subject.store.erase(erasure).await, "erasing an account");
    let mut log = subject.log().await;
    subject.rule.holds(!log.is_empty(), "the log is empty");
    let Some((position, erased)) = log.pop() else { return };
    let nameless = AccountErased::new(&user("x"), NOW, &Actor::User);
    subject.rule.same(&erased, &AuditItem::Erased(nameless), "the last item");
    subject.rule.holds(before.iter().all(|(other, _)| *other < position), "it is not at the end");
    let of_bob = |(_, item): &&Logged| matches!(item, AuditItem::Entry(entry) if entry.user.as_str() == "bob");
    subject.rule.same(&log, &before.iter().filter(of_bob).cloned().collect(), "the other items");
    subject.replace(next("bob", 4)).await;
    has_come(&subject, position, &[("bob", 4)]).await;
}

/// A position is good when its entry is gone, and none is given to two items.
pub async fn a_position_stays_good_when_its_entry_is_gone<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a position stays good when its entry is gone").await;
    let mut before = Vec::new();
    for (name, revision) in [("alice", 1), ("bob", 1), ("alice", 2), ("bob", 2), ("alice", 3)] {
        subject.replace(next(name, revision)).await;
        // What is read one after the other has this order in every store.
        before = subject.log().await;
    }
    let rest_behind = async |position: AuditPosition| {
        let rest = subject.log_after(position, 2).await;
        let rest: Vec<_> = rest.iter().map(|(_, item)| revision_of(item)).collect();
        rest.iter().map(|of| of.map(|(_, revision)| revision)).collect::<Vec<_>>()
    };
    erase(&subject, &holder("alice", 3, number_of("alice"))).await;
    for (place, rest) in
        [(0, vec![Some(1), Some(2), None]), (2, vec![Some(2), None]), (4, vec![None])]
    {
        let what = format_args!("behind the position of an erased entry, the {place}th");
        subject.rule.same(&rest_behind(before[place].0).await, &rest, what);
    }
    let last = subject.log().await.last().map(|(position, _)| *position);
    erase(&subject, &holder("bob", 2, number_of("bob"))).await;
    let log = subject.log().await;
    let erased = log.iter().all(|(_, item)| matches!(item, AuditItem::Erased(_)));
    subject.rule.holds(erased && log.len() == 2, format_args!("the log is {log:?}"));
    subject.rule.holds(Some(log[1].0) > last, "a position was given to two items");
}

/// Holds that the log has the entries of each history, and in its order.
async fn agrees_with_the_histories<S: AccountStore>(subject: &Subject<S>, log: &[Logged]) {
    for (user, entries) in of_each_user(log) {
        let mut history = subject.history(&user).await;
        history.reverse();
        subject.rule.same(&entries, &history, format_args!("the log and the history of {user:?}"));
    }
}

/// The entries of each user in the order of the log.
fn of_each_user(log: &[Logged]) -> BTreeMap<UserId, Vec<AuditEntry>> {
    by_user(log.iter().filter_map(|(_, item)| match item {
        AuditItem::Entry(entry) => Some(entry.clone()),
        AuditItem::Erased(_) | AuditItem::Unreadable { .. } => None,
    }))
}

fn by_user(entries: impl IntoIterator<Item = AuditEntry>) -> BTreeMap<UserId, Vec<AuditEntry>> {
    let mut by_user: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for entry in entries {
        by_user.entry(entry.user.clone()).or_default().push(entry);
    }
    by_user
}

/// The change that brings the account of `name` to that revision.
pub(super) fn next(name: &str, revision: u64) -> Replacement {
    change(holder(name, revision, number_of(name)))
}

/// The changes that bring it from the one before `first` to `last`, made one.
fn several(name: &str, first: u64, last: u64) -> Replacement {
    let mut several = next(name, first);
    for revision in first + 1..=last {
        several.append(next(name, revision));
    }
    several
}

/// A number of its own for each name of these cases.
pub(super) fn number_of(name: &str) -> u64 {
    name.bytes().fold(1, |number, byte| (number * 131 + u64::from(byte)) % (1 << 19))
}
