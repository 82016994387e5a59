//! Cases: a digest is named by at most one account.

use super::Harness;
use super::sample::{account, built, change, digest, everywhere, holder, pending, place};
use super::sample::{retired, token};
use super::subject::Subject;
use crate::account::{Account, Ending, Revision};

/// A change that names a digest of another account's live token conflicts, and
/// changes nothing.
pub async fn a_live_digest_of_another_account_conflicts<H: Harness>(harness: &H) {
    let rule = "a change that names a live digest of another account conflicts";
    claimed(harness, rule, &[place::PRIMARY, place::BACKUP]).await;
}

/// A change that names a digest of another account's pending token conflicts,
/// and changes nothing.
pub async fn a_pending_digest_of_another_account_conflicts<H: Harness>(harness: &H) {
    let rule = "a change that names a pending digest of another account conflicts";
    claimed(harness, rule, &[place::PENDING]).await;
}

/// A change that names a digest of another account's retired token conflicts,
/// and changes nothing.
pub async fn a_retired_digest_of_another_account_conflicts<H: Harness>(harness: &H) {
    let rule = "a change that names a retired digest of another account conflicts";
    claimed(harness, rule, &[place::DELETED, place::ROLLED_BACK]).await;
}

/// `bob` claims each of these digests of `alice`, for each place in turn, with
/// his first change and with a later one.
async fn claimed<H: Harness>(harness: &H, rule: &'static str, places: &[u64]) {
    let subject = Subject::new(harness, rule).await;
    let owner = everywhere("alice");
    subject.put(&owner).await;
    for (claim, place) in claims("bob", 1, places) {
        subject.refuses(change(claim), format!("creating an account with it as {place}")).await;
    }
    subject.put(&holder("bob", 1, 50)).await;
    for (claim, place) in claims("bob", 2, places) {
        subject.refuses(change(claim), format!("a change with it as {place}")).await;
    }
    subject.has(&owner).await;
}

/// Accounts of `name` that name one of the digests, and the place in which they
/// do. Each names a digest of its own before it, so that a store that writes
/// digest by digest has something to undo.
fn claims(name: &str, revision: u64, digests: &[u64]) -> Vec<(Account, &'static str)> {
    let claim = |&number: &u64| {
        let parts = account(name).revision(Revision::from_u64(revision));
        let own = parts.clone().primary(token(1, 60));
        [
            (built(parts.primary(token(1, number))), "the primary"),
            (built(own.clone().backup(token(2, number))), "the backup"),
            (built(own.clone().pending(pending(2, number))), "the pending token"),
            (built(own.retired([retired(2, number, Ending::Deleted)])), "a retired token"),
        ]
    };
    digests.iter().flat_map(claim).collect()
}

/// A digest that its account no longer names can be named by another.
pub async fn a_released_digest_can_be_used_again<H: Harness>(harness: &H) {
    let rule = "a digest that no account names any longer can be named again";
    let subject = Subject::new(harness, rule).await;
    subject.put(&holder("alice", 1, 1)).await;
    subject.put(&holder("alice", 2, 2)).await;
    let bob = holder("bob", 1, 1);
    subject.put(&bob).await;
    subject.finds(&digest(1), Some(&bob), "finding it after another account took it").await;
    subject.put(&holder("bob", 2, 3)).await;
    let alice = holder("alice", 3, 1);
    subject.put(&alice).await;
    subject.has(&alice).await;
}

/// A digest may go from one place of its account to another.
pub async fn a_digest_may_move_within_its_account<H: Harness>(harness: &H) {
    let rule = "a digest may go from one place of its account to another";
    let subject = Subject::new(harness, rule).await;
    subject.put(&holder("alice", 1, 1)).await;
    let (second, third) = (Revision::from_u64(2), Revision::from_u64(3));
    let swapped = account("alice").revision(second).primary(token(2, 2)).backup(token(1, 1));
    let swapped = built(swapped);
    subject.put(&swapped).await;
    subject.has(&swapped).await;
    let back = account("alice").revision(third).primary(token(1, 1)).pending(pending(2, 2));
    let back = built(back);
    subject.put(&back).await;
    subject.has(&back).await;
}
