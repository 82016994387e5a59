//! Cases: which accounts are due.

use std::time::Duration;

use super::Harness;
use super::audit_log::{next, number_of};
use super::erasure::erase;
use super::sample::{DAY, NOW, holder, user};
use super::subject::Subject;
use crate::account::Revision;
use crate::store::{AccountStore, Due, PageSize, Replacement};
use crate::time::Timestamp;

const MOMENT: Duration = Duration::from_millis(1);

/// An account is due from its time on, inclusive, and one without a time never.
pub async fn an_account_is_due_at_its_time<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "an account is due from its time on").await;
    subject.rule.same(&subject.due().await, &vec![], "the accounts of an empty store");
    subject.replace(next("alice", 1).with_due(Some(NOW + DAY))).await;
    subject.replace(next("never", 1)).await;
    let batch = vec![due("bob", 1, Some(NOW + DAY + MOMENT)), due("nor she", 1, None)];
    subject.rule.answered(subject.store.replace_many(batch).await, "writing a batch");
    let (alice, bob) = (is_due(NOW + DAY, "alice"), is_due(NOW + DAY + MOMENT, "bob"));
    let just_before = Timestamp::from_unix_millis((NOW + DAY).unix_millis() - 1);
    for (until, expected) in [
        (Timestamp::default(), vec![]),
        (just_before, vec![]),
        (NOW + DAY, vec![alice.clone()]),
        (NOW + DAY + MOMENT, vec![alice.clone(), bob.clone()]),
        (Timestamp::from_unix_millis(u64::MAX), vec![alice, bob]),
    ] {
        let seen = subject.due_until(until, 10).await;
        subject.rule.same(&seen, &expected, format_args!("until {until}"));
    }
}

/// Due accounts come in the order of time, and those of one time by user, whatever the
/// size of a page.
pub async fn due_accounts_come_in_the_order_of_time_and_user<H: Harness>(harness: &H) {
    let rule = "due accounts come in the order of time and user";
    let subject = Subject::new(harness, rule).await;
    let mut expected = Vec::new();
    for number in 0..30_u32 {
        let name = format!("user {:02}", (number * 7) % 30);
        // Some of them at one time, some a moment apart, some of another order than users.
        let at = NOW + MOMENT * ((number * 11) % 6);
        subject.replace(due(&name, 1, Some(at))).await;
        expected.push(is_due(at, &name));
    }
    expected.sort();
    for size in [1, 2, 7, 29, 30, 31, 1_000] {
        let seen = subject.due_until(NOW + DAY, size).await;
        subject.rule.same(&seen, &expected, format_args!("by pages of {size}"));
    }
    let until = NOW + MOMENT * 2;
    let sooner: Vec<_> = expected.iter().filter(|due| due.at <= until).cloned().collect();
    subject.rule.same(&subject.due_until(until, 4).await, &sooner, "those of an earlier time");
    for (place, after) in expected.iter().enumerate() {
        let page = subject.due_accounts().due(NOW + DAY, Some(after), PageSize::clamped(2)).await;
        let page = subject.rule.answered(page, "reading which accounts are due");
        let rest: Vec<_> = expected[place + 1..].iter().take(2).cloned().collect();
        subject.rule.same(&page.items, &rest, format_args!("after {after:?}"));
    }
}

/// Each change says when its account is due: sooner, later, or never.
pub async fn every_change_says_when_its_account_is_due<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "each change says when its account is due").await;
    subject.replace(due("bob", 1, Some(NOW))).await;
    let days = [Some(5), Some(9), Some(2), None, Some(2), Some(2), None, None, Some(1)];
    for (revision, day) in (1..).step_by(3).zip(days) {
        let at = day.map(|day| NOW + DAY * day);
        subject.replace(due("alice", revision, at)).await;
        is_exactly(&subject, at, "a change").await;
        let at = day.map(|day| NOW + DAY * (20 - day));
        let (first, last) = (revision + 1, revision + 2);
        let sooner = due("alice", first, Some(NOW));
        let batch = if revision % 2 == 1 {
            let mut made_one = sooner;
            made_one.append(due("alice", last, at));
            vec![made_one]
        } else {
            vec![sooner, due("alice", last, at)]
        };
        let written = subject.store.replace_many(batch).await;
        for answer in subject.rule.answered(written, "writing a batch") {
            subject.rule.answered(answer, "writing a change of a batch");
        }
        is_exactly(&subject, at, "a batch").await;
        subject.has(&due("alice", last, at).account).await;
    }
}

/// Holds that `bob` is due now and `alice` at that time.
async fn is_exactly<S: AccountStore>(subject: &Subject<S>, at: Option<Timestamp>, what: &str) {
    let bob = is_due(NOW, "bob");
    let mut expected: Vec<_> = at.map(|at| is_due(at, "alice")).into_iter().chain([bob]).collect();
    expected.sort();
    subject.rule.same(&subject.due().await, &expected, format_args!("after {what}"));
}

/// A change that conflicts makes nothing due, and leaves what is.
pub async fn a_conflict_makes_nothing_due<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a conflict changes nothing of what is due").await;
    subject.replace(due("alice", 1, Some(NOW + DAY))).await;
    subject.replace(due("bob", 1, None)).await;
    for (name, revision) in [("alice", 1), ("alice", 3), ("bob", 3), ("nobody", 2)] {
        for at in [Some(NOW), None] {
            let what = format!("a change of {name} to revision {revision}");
            subject.refuses(due(name, revision, at), what).await;
        }
    }
    subject.rule.same(&subject.due().await, &vec![is_due(NOW + DAY, "alice")], "what is due");
}

/// An account is put off if it still has the revision that is named, and until the next
/// change says otherwise.
pub async fn an_account_is_put_off_at_its_revision_only<H: Harness>(harness: &H) {
    let rule = "an account is put off at the revision that it has, and at no other";
    let subject = Subject::new(harness, rule).await;
    subject.replace(due("alice", 1, None)).await;
    subject.replace(due("alice", 2, Some(NOW))).await;
    subject.replace(due("bob", 1, Some(NOW + DAY))).await;
    let bob = is_due(NOW + DAY, "bob");
    for other in [0, 1, 3, 1 << 40] {
        for at in [None, Some(NOW + DAY * 2)] {
            put_off(&subject, "alice", other, at).await;
            put_off(&subject, "nobody", other, at).await;
        }
        let both = vec![is_due(NOW, "alice"), bob.clone()];
        subject.rule.same(&subject.due().await, &both, format_args!("at revision {other}"));
    }
    for at in [Some(NOW + DAY * 2), None, None, Some(NOW + MOMENT), Some(NOW + DAY * 9)] {
        put_off(&subject, "alice", 2, at).await;
        let mut expected: Vec<_> = at.map(|at| is_due(at, "alice")).into_iter().collect();
        expected.push(bob.clone());
        expected.sort();
        subject.rule.same(&subject.due().await, &expected, format_args!("put off to {at:?}"));
    }
    subject.replace(due("alice", 3, Some(NOW))).await;
    let both = vec![is_due(NOW, "alice"), bob];
    subject.rule.same(&subject.due().await, &both, "after the next change");
}

/// Many accounts are put off at once, each at the revision that it has.
pub async fn many_accounts_are_put_off_at_once<H: Harness>(harness: &H) {
    const MANY: u64 = 1_203;

    let subject = Subject::new(harness, "many accounts are put off at once").await;
    let name = |number| format!("user {number:04}");
    let changes = (0..MANY).map(|number| due(&name(number), 1, Some(NOW))).collect();
    subject.rule.answered(subject.store.replace_many(changes).await, "writing a batch");
    let (mut accounts, mut expected) = (Vec::new(), Vec::new());
    for number in 0..MANY {
        let (revision, at) = match number % 4 {
            0 => (2, Some(NOW + DAY)),
            1 => (1, None),
            _ => (1, Some(NOW + MOMENT * number as u32)),
        };
        accounts.push((user(&name(number)), Revision::from_u64(revision), at));
        let at = if revision == 1 { at } else { Some(NOW) };
        expected.extend(at.map(|at| is_due(at, &name(number))));
    }
    expected.sort();
    for accounts in [&accounts[..], &[]] {
        let written = subject.due_accounts().put_off_many(accounts).await;
        subject.rule.answered(written, format_args!("putting {} off", accounts.len()));
        let seen = subject.due_until(NOW + DAY * 2, 1_000).await;
        subject.rule.same(&seen, &expected, "what is due");
    }
}

/// Putting an account off leaves the account, its revision and its history as they are,
/// and reaches no feed.
pub async fn putting_an_account_off_changes_nothing_else<H: Harness>(harness: &H) {
    let rule = "putting an account off changes no account, revision or history, and no feed";
    let subject = Subject::new(harness, rule).await;
    subject.replace(due("alice", 1, Some(NOW))).await;
    let alice = holder("alice", 1, number_of("alice"));
    let (watch, history) = (subject.try_watch().await, subject.history(alice.user()).await);
    for at in [Some(NOW + DAY), None, Some(NOW)] {
        put_off(&subject, "alice", 1, at).await;
        subject.has(&alice).await;
        subject.rule.same(&subject.history(alice.user()).await, &history, "the history");
        if subject.store.audit_log().is_some() {
            subject.rule.same(&subject.log().await.len(), &1, "the length of the log");
        }
    }
    subject.silent(watch, "the feed").await;
    subject.replace(due("alice", 2, None)).await;
    subject.has(&holder("alice", 2, number_of("alice"))).await;
}

/// An erased account is not due, and is not put off.
pub async fn an_erased_account_is_not_due<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "an erased account is not due").await;
    for name in ["alice", "bob"] {
        subject.replace(due(name, 1, Some(NOW))).await;
    }
    erase(&subject, &holder("alice", 1, number_of("alice"))).await;
    subject.rule.same(&subject.due().await, &vec![is_due(NOW, "bob")], "what is due");
    put_off(&subject, "alice", 1, Some(NOW)).await;
    subject.rule.same(&subject.due().await, &vec![is_due(NOW, "bob")], "after putting it off");
}

/// The number that stands for the policy is kept, and is 0 at first.
pub async fn a_schedule_is_kept<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "the number that was kept last is kept").await;
    subject.replace(due("alice", 1, Some(NOW))).await;
    let mut expected = 0;
    for number in [1, u64::MAX >> 1, (1 << 53) + 1, 0, 7, 7] {
        let kept = subject.rule.answered(subject.due_accounts().schedule().await, "reading it");
        subject.rule.same(&kept, &expected, "the number");
        let written = subject.due_accounts().keep_schedule(number).await;
        subject.rule.answered(written, format_args!("keeping {number}"));
        expected = number;
    }
    let kept = subject.rule.answered(subject.due_accounts().schedule().await, "reading it");
    subject.rule.same(&kept, &expected, "the number");
    subject.rule.same(&subject.due().await, &vec![is_due(NOW, "alice")], "what is due");
}

/// The change to that revision, by which the account is due then.
pub(super) fn due(name: &str, revision: u64, at: Option<Timestamp>) -> Replacement {
    next(name, revision).with_due(at)
}

pub(super) fn is_due(at: Timestamp, name: &str) -> Due {
    Due::new(at, user(name))
}

pub(super) async fn put_off<S: AccountStore>(
    subject: &Subject<S>,
    name: &str,
    revision: u64,
    at: Option<Timestamp>,
) {
    let revision = Revision::from_u64(revision);
    let written = subject.due_accounts().put_off(&user(name), revision, at).await;
    subject.rule.answered(written, format_args!("putting {name} off"));
}
