//! Cases: what is kept of every change.

use super::Harness;
use super::sample::{change, entry, events, holder, user};
use super::subject::{Subject, outcome};
use crate::account::Revision;
use crate::audit::{AuditEntry, Event};
use crate::store::{AccountStore, Page, PageSize, Replacement, StoreErrorKind};
use crate::time::Timestamp;
use crate::user::Actor;

/// The history is read from its latest entry on, whatever the size of a page.
pub async fn a_history_begins_with_the_latest<H: Harness>(harness: &H) {
    let rule = "a history is complete and begins with the latest entry";
    let subject = Subject::new(harness, rule).await;
    let written = filled(&subject, "alice", 10).await;
    for size in [1, 2, 3, 5, 9, 10, 11, 1_000] {
        let (mut entries, mut before) = (Vec::new(), None);
        for _ in 0..=written.len() {
            let page = page(&subject, before, size).await;
            entries.extend(page.items);
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        subject.rule.same(&entries, &written, format_args!("the history by pages of {size}"));
    }
}

/// A page of a history holds entries below the revision that it was asked for,
/// and says where to go on if, and only if, more follow.
pub async fn a_history_goes_on_before_a_revision<H: Harness>(harness: &H) {
    let rule = "a page of a history holds the entries below a revision, and says if more follow";
    let subject = Subject::new(harness, rule).await;
    let written = filled(&subject, "alice", 6).await;
    for before in [0, 1, 2, 4, 7, 100] {
        let revision = Revision::from_u64(before);
        let page = page(&subject, Some(revision), 2).await;
        let below = written.iter().filter(|entry| entry.revision < revision);
        let expected = below.clone().take(2).cloned().collect();
        subject.rule.same(&page.items, &expected, format_args!("before revision {before}"));
        let next = (below.count() > 2).then(|| expected[1].revision);
        subject.rule.same(&page.next, &next, format_args!("what follows before {before}"));
    }
}

/// A history holds the changes of its own user.
pub async fn a_history_belongs_to_one_user<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a history holds the changes of its own user").await;
    let alice = filled(&subject, "alice", 3).await;
    let bob = filled(&subject, "alice%", 2).await;
    subject.rule.same(&subject.history(&user("alice")).await, &alice, "the history of one");
    subject.rule.same(&subject.history(&user("alice%")).await, &bob, "the history of the other");
}

/// Every event reads back from the history as it was written.
pub async fn every_event_reads_back<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "every event reads back as it was written").await;
    let written = events().into_iter().map(|event| (Actor::User, event)).collect();
    reads_back(&subject, written).await;
}

/// Every actor reads back from the history as it was written.
pub async fn every_actor_reads_back<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "every actor reads back as it was written").await;
    let names = ["root", "user", "administrator root", "o'brien", "日本語", &"é".repeat(127)];
    let actors = names
        .map(user)
        .into_iter()
        .flat_map(|name| [Actor::User, Actor::Administrator(name.clone()), Actor::Program(name)]);
    reads_back(&subject, actors.map(|actor| (actor, Event::AllRevoked)).collect()).await;
}

/// A change made of several is kept with the entry of each, or with none if it
/// conflicts; the feed tells of it once.
pub async fn a_change_made_of_several_keeps_every_entry<H: Harness>(harness: &H) {
    let rule = "a change made of several keeps the entry of each, or none if it conflicts";
    let subject = Subject::new(harness, rule).await;
    let watch = subject.try_watch().await;
    let (first, second) = (several(1, 3), several(4, 5));
    subject.replace(first.clone()).await;
    let answers = subject.store.replace_many(vec![second.clone(), several(4, 6)]).await;
    let answers = subject.rule.answered(answers, "writing a batch");
    let answers = answers.iter().map(outcome).collect();
    subject.rule.same(&answers, &vec![Ok(()), Err(StoreErrorKind::Conflict)], "a batch");
    let mut written: Vec<_> = first.entries().chain(second.entries()).cloned().collect();
    written.reverse();
    subject.has(&second.account).await;
    subject.rule.same(&subject.history(&user("alice")).await, &written, "the history");
    if let Some(mut watch) = watch {
        let told = watch.changes(subject.feed()).await;
        let told = told.iter().map(|change| change.revision.as_u64()).collect();
        subject.rule.same(&told, &vec![3, 5], "the feed");
    }
}

/// The changes of an account from its revision `first` to its revision `last`,
/// made one.
fn several(first: u64, last: u64) -> Replacement {
    let mut several = change(holder("alice", first, first));
    for revision in first + 1..=last {
        several.append(change(holder("alice", revision, revision)));
    }
    several
}

async fn reads_back<S: AccountStore>(subject: &Subject<S>, changes: Vec<(Actor, Event)>) {
    let mut written = Vec::new();
    for (revision, (actor, event)) in (1..).zip(changes) {
        written.push(write(subject, "alice", revision, actor, event).await);
    }
    written.reverse();
    let history = subject.history(&user("alice")).await;
    for (seen, expected) in history.iter().zip(&written) {
        subject.rule.same(seen, expected, "an entry of the history");
    }
    subject.rule.same(&history.len(), &written.len(), "the length of the history");
}

/// Makes that many changes, and returns their entries with the latest first.
async fn filled<S: AccountStore>(
    subject: &Subject<S>,
    name: &str,
    revisions: u64,
) -> Vec<AuditEntry> {
    let mut written = Vec::new();
    for revision in 1..=revisions {
        written.insert(0, write(subject, name, revision, Actor::User, Event::AllRevoked).await);
    }
    written
}

/// Writes a revision with such an entry, and returns the entry.
async fn write<S: AccountStore>(
    subject: &Subject<S>,
    name: &str,
    revision: u64,
    actor: Actor,
    event: Event,
) -> AuditEntry {
    let number = revision + 1_000 * name.len() as u64;
    let account = holder(name, revision, number);
    let mut entry = entry(&account, actor, event);
    entry.at = Timestamp::from_unix_millis(1_000_000_007 * revision);
    let expected = (revision > 1).then(|| Revision::from_u64(revision - 1));
    subject.replace(Replacement::new(account, expected, entry.clone())).await;
    entry
}

async fn page<S: AccountStore>(
    subject: &Subject<S>,
    before: Option<Revision>,
    size: usize,
) -> Page<AuditEntry, Revision> {
    let page = subject.store.history(&user("alice"), before, PageSize::clamped(size)).await;
    subject.rule.answered(page, "reading a page of the history")
}
