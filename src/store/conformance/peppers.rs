//! Cases: how many tokens depend on each pepper.

use super::Harness;
use super::sample::{account, built, change, stored, token};
use super::subject::Subject;
use crate::account::{Account, Ending, Retired, Revision};
use crate::store::AccountStore;
use crate::time::Timestamp;
use crate::token::{PepperCheck, PepperVersion, TokenHint, TokenId, TokenPrefix};

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

/// Tokens in use are counted by the prefix that their hint shows; those of which
/// none is known are counted together.
pub async fn tokens_in_use_are_counted_by_prefix<H: Harness>(harness: &H) {
    let rule = "tokens in use, and no others, are counted by prefix";
    let subject = Subject::new(harness, rule).await;
    prefixes(&subject, &[]).await;
    subject.put(&prefixed("alice", 1, 10, ["tat_...x7Qz", "", "acme_...abcd"])).await;
    prefixes(&subject, &[("", 1), ("acme", 1), ("tat", 1)]).await;
    subject.put(&prefixed("bob", 1, 20, ["...x7Qz", "ACME_...abcd", "tat_...0000"])).await;
    prefixes(&subject, &[("", 3), ("acme", 1), ("tat", 2)]).await;
    subject.put(&prefixed("alice", 2, 30, ["new_...abcd", "tat_...x7Qz", "tat_...x7Qz"])).await;
    prefixes(&subject, &[("", 2), ("new", 1), ("tat", 3)]).await;
    let retired = account("bob").revision(Revision::from_u64(2)).retired([super::sample::retired(
        1,
        21,
        Ending::Deleted,
    )]);
    subject.put(&built(retired.next_token(9))).await;
    prefixes(&subject, &[("new", 1), ("tat", 2)]).await;
}

/// The first check value of a pepper version is kept, and every later one is
/// answered with it.
pub async fn a_pepper_version_has_one_check_value<H: Harness>(harness: &H) {
    let rule = "the first check value of a pepper version stays";
    let subject = Subject::new(harness, rule).await;
    let version = PepperVersion::from_u16;
    let check = |byte| PepperCheck::from_bytes([byte; 32]);
    checks(&subject, vec![]).await;
    for (of, offered, expected) in [(1, 1, 1), (1, 2, 1), (u16::MAX, 2, 2), (1, 1, 1)] {
        let kept = subject.store.keep_pepper_check(version(of), check(offered)).await;
        let kept = subject.rule.answered(kept, "keeping a check value");
        subject.rule.holds(kept == check(expected), format_args!("another one is kept of {of}"));
    }
    checks(&subject, vec![(version(1), check(1)), (version(u16::MAX), check(2))]).await;
}

/// An account whose primary, backup and pending token have these hints.
fn prefixed(name: &str, revision: u64, first: u64, hints: [&str; 3]) -> Account {
    let with = |place: u64| {
        let mut token = token(place, first + place);
        token.hint = TokenHint::from_stored(hints[place as usize - 1]);
        token
    };
    let mut pending = super::sample::pending(3, first + 3);
    pending.token.hint = with(3).hint;
    let parts = account(name).revision(Revision::from_u64(revision)).pending(pending);
    built(parts.primary(with(1)).backup(with(2)))
}

async fn prefixes<S: AccountStore>(subject: &Subject<S>, expected: &[(&str, u64)]) {
    let counts = subject.rule.answered(subject.store.prefixes().await, "counting").into_iter();
    let text = |prefix: Option<TokenPrefix>| prefix.map_or(String::new(), |it| it.as_str().into());
    let mut counts: Vec<_> = counts.map(|(prefix, count)| (text(prefix), count)).collect();
    counts.sort_unstable();
    let expected = expected.iter().map(|(prefix, count)| ((*prefix).to_owned(), *count)).collect();
    subject.rule.same(&counts, &expected, "the counts");
}

async fn checks<S: AccountStore>(
    subject: &Subject<S>,
    expected: Vec<(PepperVersion, PepperCheck)>,
) {
    let checks = subject.rule.answered(subject.store.pepper_checks().await, "reading check values");
    let mut values = checks.values;
    values.sort_unstable_by_key(|(version, _)| *version);
    subject.rule.holds(values == expected, "the check values are others");
    subject.rule.same(&checks.kept_since, &None, "the time since when an empty store keeps them");
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
