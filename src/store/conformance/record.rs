//! Cases: an account reads back as it was written.

use super::Harness;
use super::sample::{change, everywhere, unusual};
use super::subject::Subject;
use crate::account::{Account, Revision};
use crate::store::{AccountStore, PageSize};

/// Every field of an account reads back as it was written: by its name, by
/// each of its digests, and in the list.
pub async fn every_field_of_an_account_reads_back<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "every field of an account reads back").await;
    let accounts = unusual();
    for account in &accounts {
        subject.put(account).await;
    }
    for account in &accounts {
        subject.has(account).await;
    }
    let listed = subject.list(PageSize::MAX).await;
    for account in &accounts {
        subject.rule.holds(listed.contains(account), format_args!("{account:?} is not listed"));
    }
}

/// Every field does so after a batch, too.
pub async fn every_field_of_an_account_in_a_batch_reads_back<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "every field of an account in a batch reads back").await;
    let accounts = unusual();
    let batch = accounts.iter().cloned().map(change).collect();
    let answers = subject.rule.answered(subject.store.replace_many(batch).await, "writing");
    for (account, answer) in accounts.iter().zip(answers) {
        subject.rule.answered(answer, account.user());
        subject.has(account).await;
    }
}

/// A field that a change empties is empty.
pub async fn an_emptied_account_reads_back<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a field that a change empties is empty").await;
    subject.put(&everywhere("alice")).await;
    let second = Revision::from_u64(2);
    let emptied = Account::builder(everywhere("alice").user().clone()).revision(second);
    let emptied = super::sample::built(emptied.next_token(6));
    subject.put(&emptied).await;
    subject.has(&emptied).await;
    for number in super::sample::place::ALL {
        let digest = super::sample::digest(number);
        subject.finds(&digest, None, "a digest of the emptied account").await;
    }
}

/// A large revision reads back, is compared exactly, and goes on rising.
pub async fn a_large_revision_is_compared_exactly<H: Harness>(harness: &H) {
    let rule = "a revision is compared exactly, however large";
    let subject = Subject::new(harness, rule).await;
    // Where a number kept as a 64-bit float begins to skip.
    let large = (1 << 53) + 1;
    let at = |revision: u64| super::sample::holder("alice", revision, revision % 10);
    subject.replace(super::sample::expecting(at(large), None)).await;
    subject.has(&at(large)).await;
    subject.refuses(change(at(large)), "expecting one less").await;
    subject.refuses(change(at(large + 2)), "expecting one more").await;
    subject.put(&at(large + 1)).await;
    subject.has(&at(large + 1)).await;
    subject.rule.same(
        &subject.revisions(at(large).user()).await,
        &vec![large + 1, large],
        "the history",
    );
}
