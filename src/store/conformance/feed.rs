//! Cases: every change reaches every feed.

use std::sync::Arc;

use super::Harness;
use super::sample::{DAY, Life, account, built, change, digest, everywhere, holder, retired, user};
use super::subject::Subject;
use super::watch::{Watch, send, sorted};
use crate::account::{Account, Ending, Revision};
use crate::store::{AccountStore, Change, FeedItem, Replacement};
use crate::token::TokenDigest;

/// Every change reaches the feed, with the user, the revision, and every digest
/// that the account named before or names after it.
pub async fn every_change_reaches_the_feed_with_all_its_digests<H: Harness>(harness: &H) {
    let rule = "every change reaches the feed with all digests of before and after";
    let subject = Subject::new(harness, rule).await;
    let mut watch = subject.watch().await;
    let mut life = Life::of("alice", 1);
    let started = [Life::grant, Life::issue, Life::generate, Life::generate, Life::confirm];
    let further = [Life::generate, Life::confirm, Life::roll_back, Life::generate, Life::cancel];
    let ended = [Life::generate, Life::confirm, Life::delete_backup, Life::revoke_all];
    for next in started.into_iter().chain(further).chain(ended) {
        step(&subject, &mut watch, &mut life, next).await;
    }
    // Long enough for retired tokens to be forgotten, too.
    for next in [Life::issue, Life::revoke_all].into_iter().cycle().take(30) {
        life.wait(DAY * 40);
        step(&subject, &mut watch, &mut life, next).await;
    }
}

/// Makes the next change, and holds that the feed reports it.
async fn step<S: AccountStore>(
    subject: &Subject<S>,
    watch: &mut Watch,
    life: &mut Life,
    next: fn(&mut Life) -> Replacement,
) {
    let before = life.digests();
    subject.replace(next(life)).await;
    reported(subject, watch, &before, life.account()).await;
}

/// A digest that the account no longer names is in the change that dropped it,
/// so that no cache goes on answering for it.
pub async fn a_change_in_the_feed_has_the_digests_of_before<H: Harness>(harness: &H) {
    let rule = "a change in the feed has the digests that the account no longer names";
    let subject = Subject::new(harness, rule).await;
    let before = everywhere("alice");
    subject.put(&before).await;
    let mut watch = subject.watch().await;
    let after = holder("alice", 2, 9);
    subject.put(&after).await;
    let before: Vec<_> = before.digests().map(|stored| stored.digest).collect();
    reported(&subject, &mut watch, &before, &after).await;
}

/// Holds that exactly the change from these digests to `after` has come.
async fn reported<S: AccountStore>(
    subject: &Subject<S>,
    watch: &mut Watch,
    before: &[TokenDigest],
    after: &Account,
) {
    let changes = watch.changes(subject.feed()).await;
    subject.rule.same(&named(&changes), &vec![(after.user().as_str(), number(after))], "the feed");
    let digests = before.iter().chain(after.digests().map(|stored| &stored.digest));
    let (seen, expected) = (sorted(&*changes[0].digests), sorted(digests));
    let counts = format_args!("{} digests, not {}", seen.len(), expected.len());
    subject.rule.holds(seen == expected, format_args!("revision {}: {counts}", number(after)));
}

fn number(account: &Account) -> u64 {
    account.revision().as_u64()
}

/// Whose account changed, and to which revision.
fn named(changes: &[Change]) -> Vec<(&str, u64)> {
    changes.iter().map(|change| (change.user.as_str(), change.revision.as_u64())).collect()
}

/// When the feed tells of a change, that change can be read: no cache that asks
/// again at once may get the account of before.
pub async fn a_change_can_be_read_when_the_feed_tells_of_it<H: Harness>(harness: &H) {
    let rule = "a message does not come before its change can be read";
    let subject = Subject::new(harness, rule).await;
    let mut watch = subject.watch().await;
    for revision in 1..=50 {
        let account = holder("alice", revision, revision);
        let (store, next) = (Arc::clone(&subject.store), change(account.clone()));
        let write = tokio::spawn(async move { store.replace(next).await });
        subject.rule.same(&named(&[watch.change().await]), &vec![("alice", revision)], "the feed");
        subject.rule.same(&subject.load(account.user()).await.as_ref(), &Some(&account), "loading");
        let what = "a digest that the change has added";
        subject.finds(&digest(revision), Some(&account), what).await;
        subject.rule.answered(super::concurrency::finished(write).await, "writing the change");
    }
}

/// The changes of one account arrive in their order.
pub async fn changes_of_an_account_arrive_in_order<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "the changes of an account arrive in order").await;
    let mut watch = subject.watch().await;
    for revision in 1..=50 {
        subject.put(&holder("alice", revision, 1)).await;
        subject.put(&holder("bob", revision, 2)).await;
    }
    arrived(&subject, &mut watch, "alice", 1..=50).await;
}

/// The changes that several tasks make to one account arrive in its order.
pub async fn concurrent_changes_arrive_in_order<H: Harness>(harness: &H) {
    let rule = "the changes that several tasks make to an account arrive in order";
    let subject = Subject::new(harness, rule).await;
    let mut watch = subject.watch().await;
    let write = |_| {
        let store = Arc::clone(&subject.store);
        tokio::spawn(async move {
            for revision in 1..=50 {
                // Whoever comes first: somebody does.
                drop(store.replace(change(holder("alice", revision, revision))).await);
                tokio::task::yield_now().await;
            }
        })
    };
    for task in (0..4).map(write).collect::<Vec<_>>() {
        super::concurrency::finished(task).await;
    }
    arrived(&subject, &mut watch, "alice", 1..=50).await;
}

/// Holds that these revisions of the user have arrived, each once and in this
/// order, among changes of others.
async fn arrived<S: AccountStore>(
    subject: &Subject<S>,
    watch: &mut Watch,
    name: &str,
    revisions: impl Iterator<Item = u64>,
) {
    let changes = watch.changes(subject.feed()).await;
    let own = changes_of(name, &changes);
    let seen = own.iter().map(|change| change.revision.as_u64()).collect();
    subject.rule.same(&seen, &revisions.collect::<Vec<_>>(), format_args!("changes of {name}"));
}

/// The changes of a batch reach the feed; those that conflict do not.
pub async fn the_changes_of_a_batch_reach_the_feed<H: Harness>(harness: &H) {
    let rule = "the changes of a batch reach the feed, but for those that conflict";
    let subject = Subject::new(harness, rule).await;
    let (first, second) = (everywhere("alice"), holder("alice", 2, 9));
    let mut watch = subject.watch().await;
    let batch = [first.clone(), holder("bob", 5, 10), second.clone(), holder("carol", 1, 11)];
    let answers = subject.store.replace_many(batch.map(change).to_vec()).await;
    subject.rule.answered(answers, "writing a batch");
    let changes = watch.changes(subject.feed()).await;
    let (alice, carol) = (changes_of("alice", &changes), changes_of("carol", &changes));
    subject.rule.same(&changes.len(), &3, "how many changes came");
    subject.rule.same(&named(&alice), &vec![("alice", 1), ("alice", 2)], "of the first user");
    subject.rule.same(&named(&carol), &vec![("carol", 1)], "of the last user");
    let both = first.digests().chain(second.digests()).map(|stored| &stored.digest);
    let complete = sorted(&*alice[1].digests) == sorted(both);
    subject.rule.holds(complete, "a later change of the batch lacks digests");
}

fn changes_of(name: &str, changes: &[Change]) -> Vec<Change> {
    changes.iter().filter(|change| change.user.as_str() == name).cloned().collect()
}

/// A change that conflicts does not reach the feed.
pub async fn a_conflict_does_not_reach_the_feed<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a change that conflicts does not reach the feed").await;
    subject.put(&holder("alice", 1, 1)).await;
    let mut watch = subject.watch().await;
    for stale in [holder("alice", 1, 2), holder("alice", 3, 2), holder("bob", 1, 1)] {
        let what = format!("a stale change of {}", stale.user());
        subject.rule.conflicts(&subject.store.replace(change(stale)).await, what);
    }
    subject.rule.same(&watch.items(subject.feed()).await, &vec![], "the feed");
}

/// Heartbeats come through the feed with their numbers, and in order with the
/// changes.
pub async fn heartbeats_arrive_in_order_with_changes<H: Harness>(harness: &H) {
    let rule = "heartbeats arrive with their numbers and in order with the changes";
    let subject = Subject::new(harness, rule).await;
    let mut watch = subject.watch().await;
    let mut expected = Vec::new();
    for (revision, beat) in (1..).zip([0, u64::MAX, 1 << 63, (1 << 53) + 1, 7, 7]) {
        let account = holder("alice", revision, 1);
        subject.put(&account).await;
        send(subject.feed(), beat, subject.rule).await;
        let change = Change::new(user("alice"), account.revision(), [digest(1)]);
        expected.extend([FeedItem::Change(change), FeedItem::Heartbeat(beat)]);
    }
    for item in expected {
        subject.rule.same(&watch.next().await, &item, "the next item of the feed");
    }
}

/// Every feed delivers every change and every heartbeat.
pub async fn two_feeds_both_deliver_everything<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "every feed delivers everything").await;
    let mut watches = [subject.watch().await, subject.watch().await];
    subject.put(&holder("alice", 1, 1)).await;
    let beat = 3;
    send(subject.feed(), beat, subject.rule).await;
    subject.put(&holder("alice", 2, 2)).await;
    for (place, watch) in watches.iter_mut().enumerate() {
        let what = format_args!("feed {place}");
        let first = passing_beats(watch, beat).await;
        subject.rule.same(&named(&first), &vec![("alice", 1)], what);
        let second = watch.change().await;
        subject.rule.same(&named(&[second]), &vec![("alice", 2)], what);
    }
}

/// The changes before that heartbeat; the ones by which feeds were opened are
/// passed over.
async fn passing_beats(watch: &mut Watch, beat: u64) -> Vec<Change> {
    let mut changes = Vec::new();
    loop {
        match watch.next().await {
            FeedItem::Heartbeat(seen) if seen == beat => return changes,
            FeedItem::Change(change) => changes.push(change),
            _ => {}
        }
    }
}

/// A feed that is dropped disturbs neither changes nor another feed.
pub async fn a_dropped_feed_disturbs_nobody<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a feed that is dropped disturbs nobody").await;
    let dropped = subject.watch().await;
    let mut kept = subject.watch().await;
    subject.put(&holder("alice", 1, 1)).await;
    drop(dropped);
    subject.put(&holder("alice", 2, 2)).await;
    arrived(&subject, &mut kept, "alice", 1..=2).await;
}

/// A change with more digests than a message may hold arrives whole, or as the
/// word that something was lost; what follows arrives.
pub async fn a_change_with_many_digests_arrives_whole_or_as_lost<H: Harness>(harness: &H) {
    let rule = "a change with many digests arrives whole, by its user alone, or as lost";
    let subject = Subject::new(harness, rule).await;
    let mut watch = subject.watch().await;
    let many = |first: u64| (first..first + 400).map(|number| retired(number, number, ENDING));
    let before = built(account("alice").retired(many(1)));
    let after = account("alice").revision(Revision::from_u64(2));
    let after = built(after.retired(many(300)));
    for account in [&before, &after] {
        subject.put(account).await;
    }
    let items = watch.items(subject.feed()).await;
    let lost = items.contains(&FeedItem::Lost);
    let digests = before.digests().chain(after.digests()).map(|stored| &stored.digest);
    let all = sorted(digests);
    let whole = |item: &FeedItem| match item {
        FeedItem::Change(change) => !change.complete || sorted(&*change.digests) == all,
        _ => false,
    };
    subject.rule.holds(lost || items.iter().any(whole), "it has come in part");
    subject.put(&holder("bob", 1, 1_000)).await;
    arrived(&subject, &mut watch, "bob", 1..=1).await;
}

const ENDING: Ending = Ending::Superseded;

/// A feed opened after some changes delivers the later ones.
pub async fn a_feed_delivers_what_follows_its_opening<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a feed delivers what follows its opening").await;
    for revision in 1..=3 {
        subject.put(&holder("alice", revision, 1)).await;
    }
    let feed = subject.feed().changes().await;
    let feed = subject.rule.answered(feed, "opening a feed");
    let next: Replacement = change(holder("alice", 4, 2));
    subject.replace(next).await;
    let mut watch = Watch::over(feed, subject.rule);
    let items = watch.items(subject.feed()).await;
    let fourth = |item: &FeedItem| match item {
        FeedItem::Change(change) => change.revision == Revision::from_u64(4),
        _ => false,
    };
    subject.rule.holds(items.iter().any(fourth), "the change after the opening is missing");
}
