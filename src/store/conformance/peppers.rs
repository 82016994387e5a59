//! Cases: how many tokens depend on each pepper.

use super::Harness;
use super::sample::{account, built, change, stored, token};
use super::subject::Subject;
use crate::account::{Account, Ending, Retired, Revision};
use crate::store::AccountStore;
use crate::time::Timestamp;
use crate::token::TokenId;

/// Tokens in use (primary, backup, pending) are counted by pepper version;
/// retired ones are not, and a version without any is left out.
pub async fn tokens_in_use_are_counted_by_pepper<H: Harness>(harness: &H) {
    let rule = "tokens in use, and no others, are counted by pepper version";
    let subject = Subject::new(harness, rule).await;
    counts(&subject, &[]).await;
    subject.put(&peppered("alice", 1, 10, [0, 1, 2, 9])).await;
    counts(&subject, &[(0, 1), (1, 1), (2, 1)]).await;
    subject.put(&peppered("bob", 1, 20, [2, 2, u16::MAX, 1])).await;
    counts(&subject, &[(0, 1), (1, 1), (2, 3), (u16::MAX, 1)]).await;
    subject.put(&peppered("alice", 2, 30, [1, 1, 1, 0])).await;
    counts(&subject, &[(1, 3), (2, 2), (u16::MAX, 1)]).await;
    let refused = subject.store.replace(change(peppered("bob", 9, 40, [5; 4]))).await;
    subject.rule.conflicts(&refused, "a stale change");
    counts(&subject, &[(1, 3), (2, 2), (u16::MAX, 1)]).await;
}

/// An account whose primary, backup, pending and retired token have digests
/// under these peppers.
fn peppered(name: &str, revision: u64, first: u64, peppers: [u16; 4]) -> Account {
    let under = |place: u64, pepper| {
        let mut token = token(place, first + place);
        token.digest = stored(first + place, pepper);
        token
    };
    let mut pending = super::sample::pending(3, first + 3);
    pending.token.digest.pepper = under(3, peppers[2]).digest.pepper;
    let id = TokenId::from_u64(4);
    let gone = under(4, peppers[3]).digest;
    let gone = Retired::new(id, gone, Timestamp::default(), Ending::Deleted);
    let parts = account(name).revision(Revision::from_u64(revision)).pending(pending);
    built(parts.primary(under(1, peppers[0])).backup(under(2, peppers[1])).retired([gone]))
}

async fn counts<S: AccountStore>(subject: &Subject<S>, expected: &[(u16, u64)]) {
    let counts = subject.store.pepper_versions().await;
    let counts = subject.rule.answered(counts, "counting").into_iter();
    let mut counts: Vec<_> = counts.map(|(version, count)| (version.as_u16(), count)).collect();
    counts.sort_unstable();
    subject.rule.same(&&counts[..], &expected, "the counts");
}
