//! Cases: what becomes of a digest in the life of its token.

use super::Harness;
use super::sample::{DAY, Life, digest};
use super::subject::Subject;
use crate::account::{Ending, Place, Slot};
use crate::store::AccountStore;
use crate::token::{TokenDigest, TokenId};

/// After a promotion the new primary and the former one, now the backup, are
/// both found in their slots.
pub async fn a_promotion_keeps_both_tokens<H: Harness>(harness: &H) {
    let rule = "after a promotion the new primary and the former one are found in their slots";
    let (subject, mut life) = started(harness, rule).await;
    let generated = life.generate();
    subject.replace(generated).await;
    is_at(&subject, 2, Some(Place::Pending)).await;
    let confirmed = life.confirm();
    subject.replace(confirmed).await;
    is_at(&subject, 1, Some(Place::Live(Slot::Backup))).await;
    is_at(&subject, 2, Some(Place::Live(Slot::Primary))).await;
    subject.has(life.account()).await;
}

/// A token that gave way, was deleted, rolled back, cancelled or revoked is
/// found as retired.
pub async fn a_token_that_ended_is_found_as_retired<H: Harness>(harness: &H) {
    let rule = "a token that ended is found as retired";
    let (subject, mut life) = started(harness, rule).await;
    for next in [Life::generate, Life::confirm, Life::generate, Life::confirm] {
        subject.replace(next(&mut life)).await;
    }
    is_at(&subject, 1, retired(1)).await;
    for next in [Life::delete_backup, Life::generate, Life::confirm, Life::roll_back] {
        subject.replace(next(&mut life)).await;
    }
    is_at(&subject, 2, retired(2)).await;
    is_at(&subject, 4, retired(4)).await;
    for next in [Life::generate, Life::cancel, Life::revoke_all] {
        subject.replace(next(&mut life)).await;
    }
    is_at(&subject, 5, retired(5)).await;
    is_at(&subject, 3, retired(3)).await;
    let endings: Vec<_> = life.account().retired().iter().map(|retired| retired.ending).collect();
    let expected = [Ending::Replaced, Ending::Deleted, Ending::RolledBack, Ending::Cancelled];
    subject.rule.holds(endings.starts_with(&expected), "the endings are not as they were written");
    subject.has(life.account()).await;
}

/// A retired token is found until its account forgets it, and is none then.
pub async fn a_retired_token_is_found_until_it_is_forgotten<H: Harness>(harness: &H) {
    let rule = "a retired token is found until its account forgets it";
    let (subject, mut life) = started(harness, rule).await;
    for round in 0..20 {
        life.wait(DAY * 100);
        let generated = life.generate();
        subject.replace(generated).await;
        let cancelled = life.cancel();
        subject.replace(cancelled).await;
        for number in 1..=round + 2 {
            let place = life.account().place_of(&digest(number));
            is_at(&subject, number, place).await;
        }
    }
    is_at(&subject, 2, None).await;
    is_at(&subject, 20, retired(20)).await;
}

/// `alice` with a first token, the one of digest 1.
async fn started<H: Harness>(harness: &H, rule: &'static str) -> (Subject<H::Store>, Life) {
    let subject = Subject::new(harness, rule).await;
    let mut life = Life::of("alice", 1);
    for step in [life.grant(), life.issue()] {
        subject.replace(step).await;
    }
    (subject, life)
}

const fn retired(id: u64) -> Option<Place> {
    Some(Place::Retired(TokenId::from_u64(id)))
}

/// Holds that the digest of that number is found at that place, or nowhere.
async fn is_at<S: AccountStore>(subject: &Subject<S>, number: u64, place: Option<Place>) {
    let digest: TokenDigest = digest(number);
    let found = subject.find(&digest).await;
    let seen = found.as_ref().and_then(|account| account.place_of(&digest));
    subject.rule.same(&seen, &place, format_args!("finding token {number}"));
}
