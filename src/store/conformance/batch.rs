//! Cases: many changes in one transaction.

use super::Harness;
use super::sample::{account, built, change, digest, holder, token, user};
use super::subject::{Subject, outcome};
use crate::account::Account;
use crate::store::{AccountStore, PageSize, Replacement, StoreErrorKind};

const CONFLICT: Result<(), StoreErrorKind> = Err(StoreErrorKind::Conflict);

/// Each change of a batch is answered for, in the order of the batch.
pub async fn each_change_of_a_batch_is_answered_in_order<H: Harness>(harness: &H) {
    let rule = "each change of a batch is answered for, in the order of the batch";
    let subject = Subject::new(harness, rule).await;
    subject.put(&holder("bob", 1, 2)).await;
    let stale = || change(holder("bob", 1, 90));
    let good = |name, number| change(holder(name, 1, number));
    let batch = vec![stale(), good("alice", 1), stale(), good("carol", 3), good("dave", 4)];
    let expected = [CONFLICT, Ok(()), CONFLICT, Ok(()), Ok(())];
    answers(&subject, batch, &expected).await;
    let mut batch = vec![good("erin", 5), stale(), good("frank", 6)];
    answers(&subject, batch.clone(), &[Ok(()), CONFLICT, Ok(())]).await;
    batch.reverse();
    answers(&subject, batch, &[CONFLICT; 3]).await;
}

/// A change of a batch that conflicts leaves no trace, and leaves the others
/// alone.
pub async fn a_conflict_in_a_batch_leaves_the_others_alone<H: Harness>(harness: &H) {
    let rule = "a conflict in a batch leaves no trace and the others alone";
    let subject = Subject::new(harness, rule).await;
    let bob = holder("bob", 1, 2);
    subject.put(&bob).await;
    let (alice, carol) = (holder("alice", 1, 1), holder("carol", 1, 3));
    let claim = account("mallory").primary(token(1, 90)).backup(token(2, 2));
    let batch = vec![alice.clone(), built(claim), holder("bob", 3, 91), carol.clone()];
    let batch = batch.into_iter().map(change).collect();
    answers(&subject, batch, &[Ok(()), CONFLICT, CONFLICT, Ok(())]).await;
    for account in [&alice, &bob, &carol] {
        subject.has(account).await;
        subject.rule.same(&subject.revisions(account.user()).await, &vec![1], "a history");
    }
    subject.rule.same(&subject.load(&user("mallory")).await, &None, "who conflicted");
    subject.rule.same(&subject.history(&user("mallory")).await, &vec![], "who conflicted");
    for number in [90, 91] {
        subject.finds(&digest(number), None, "a digest of a change that conflicted").await;
    }
}

/// A batch is carried out in its order: a later change of it meets what an
/// earlier one has written.
pub async fn a_batch_is_carried_out_in_its_order<H: Harness>(harness: &H) {
    let rule = "a change of a batch meets what an earlier one of it has written";
    let subject = Subject::new(harness, rule).await;
    let batch = [
        holder("alice", 1, 1),
        holder("alice", 2, 2),
        holder("alice", 2, 3),
        holder("bob", 1, 2),
        holder("bob", 1, 1),
        holder("alice", 3, 1),
    ];
    let batch = batch.map(change).to_vec();
    let expected = [Ok(()), Ok(()), CONFLICT, CONFLICT, Ok(()), CONFLICT];
    answers(&subject, batch, &expected).await;
    subject.has(&holder("alice", 2, 2)).await;
    subject.has(&holder("bob", 1, 1)).await;
    subject.rule.same(&subject.revisions(&user("alice")).await, &vec![2, 1], "the history");
}

/// Batches of nothing are answered with nothing.
pub async fn an_empty_batch_is_answered<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "an empty batch is answered with nothing").await;
    answers(&subject, vec![], &[]).await;
    if let Some(uses) = subject.store.last_uses() {
        subject.rule.answered(uses.record_usage(&[]).await, "recording no use");
    }
    let state = subject.state(&[]).await;
    let empty = Subject::new(harness, subject.rule.0).await;
    subject.rule.same(&state, &empty.state(&[]).await, "the store afterwards");
}

/// A batch of 500 changes is written whole.
pub async fn a_long_batch_is_written_whole<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a batch of 500 changes is written whole").await;
    let accounts = (1..=500).map(|number| holder(&format!("user {number:03}"), 1, number));
    let accounts: Vec<Account> = accounts.collect();
    let batch = accounts.iter().cloned().map(change).collect();
    answers(&subject, batch, &[Ok(()); 500]).await;
    for (number, account) in (1..).zip(&accounts) {
        subject.finds(&digest(number), Some(account), "a digest").await;
    }
    subject.rule.same(&subject.list(PageSize::MAX).await, &accounts, "the list");
}

/// Holds that the store answers for the batch as expected.
async fn answers<S: AccountStore>(
    subject: &Subject<S>,
    batch: Vec<Replacement>,
    expected: &[Result<(), StoreErrorKind>],
) {
    let answers = subject.store.replace_many(batch).await;
    let answers = subject.rule.answered(answers, "writing a batch");
    let answers: Vec<_> = answers.iter().map(outcome).collect();
    subject.rule.same(&&answers[..], &expected, "the answers");
}
