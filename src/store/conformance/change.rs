//! Cases: a change is written if, and only if, the revision is the expected
//! one.

use super::Harness;
use super::sample::{change, digest, expecting, holder, user};
use super::subject::Subject;
use crate::account::Revision;

/// When `replace` has returned, the store answers by the new state.
pub async fn a_change_is_seen_when_replace_returns<H: Harness>(harness: &H) {
    let rule = "when replace has returned, find, peek and load answer by the new state";
    let subject = Subject::new(harness, rule).await;
    for revision in 1..=20 {
        let account = holder("alice", revision, 100 + revision);
        // Asked before too, so that a store that remembers has something wrong
        // to remember.
        subject.finds(&digest(100 + revision), None, "before the change").await;
        subject.put(&account).await;
        subject.has(&account).await;
    }
}

/// A digest that an account no longer names is none when `replace` has
/// returned.
pub async fn a_digest_no_longer_named_is_none<H: Harness>(harness: &H) {
    let rule = "a digest that an account no longer names is none";
    let subject = Subject::new(harness, rule).await;
    for revision in 1..=5 {
        subject.put(&holder("alice", revision, 100 + revision)).await;
        for former in 1..revision {
            let what = format_args!("the digest of revision {former} at revision {revision}");
            subject.finds(&digest(100 + former), None, what).await;
        }
    }
}

/// A change that expects a revision that has gone by conflicts, and changes
/// nothing.
pub async fn a_stale_revision_conflicts_and_changes_nothing<H: Harness>(harness: &H) {
    let rule = "a change that expects a former revision conflicts and changes nothing";
    let subject = Subject::new(harness, rule).await;
    for revision in 1..=3 {
        subject.put(&holder("alice", revision, revision)).await;
    }
    for stale in 1..=2 {
        let proposed = holder("alice", stale + 1, 50);
        let what = format!("a change of revision {stale} when it is 3");
        subject.refuses(change(proposed), what).await;
    }
}

/// A change that expects a revision still to come conflicts, and changes
/// nothing.
pub async fn a_revision_to_come_conflicts_and_changes_nothing<H: Harness>(harness: &H) {
    let rule = "a change that expects a later revision conflicts and changes nothing";
    let subject = Subject::new(harness, rule).await;
    subject.put(&holder("alice", 1, 1)).await;
    subject.refuses(change(holder("alice", 3, 2)), "a change of revision 2 when it is 1").await;
}

/// A change that expects no account conflicts if there is one, and changes
/// nothing.
pub async fn creating_an_existing_account_conflicts<H: Harness>(harness: &H) {
    let rule = "a change that expects no account conflicts if there is one";
    let subject = Subject::new(harness, rule).await;
    subject.put(&holder("alice", 1, 1)).await;
    subject.refuses(change(holder("alice", 1, 2)), "creating an account again").await;
    subject.refuses(change(holder("alice", 1, 1)), "the same change again").await;
    subject.put(&holder("alice", 2, 3)).await;
    subject.refuses(change(holder("alice", 1, 2)), "creating an account that has changed").await;
}

/// A change that expects an account conflicts if there is none, and creates
/// none.
pub async fn changing_a_missing_account_conflicts<H: Harness>(harness: &H) {
    let rule = "a change that expects an account conflicts if there is none";
    let subject = Subject::new(harness, rule).await;
    subject.put(&holder("bob", 1, 9)).await;
    subject.refuses(change(holder("alice", 2, 1)), "changing a missing account").await;
    let absent = expecting(holder("alice", 1, 1), Some(Revision::ABSENT));
    subject.refuses(absent, "expecting revision 0, which no account has").await;
    subject.rule.same(&subject.load(&user("alice")).await, &None, "loading the account");
}

/// A change of one account leaves every other as it is.
pub async fn a_change_touches_no_other_account<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a change touches no other account").await;
    let bystanders = [holder("alic", 1, 1), holder("alicee", 1, 2), holder("bob", 1, 3)];
    for bystander in &bystanders {
        subject.put(bystander).await;
    }
    for revision in 1..=3 {
        subject.put(&holder("alice", revision, 10 + revision)).await;
    }
    for bystander in &bystanders {
        subject.has(bystander).await;
    }
}
