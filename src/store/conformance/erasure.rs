//! Cases: accounts that are erased, and what stays of them.

use std::time::Duration;

use super::Harness;
use super::sample::{NOW, account, built, change, digest, everywhere, holder, place, token, user};
use super::subject::Subject;
use crate::account::{Account, LastUse, Revision};
use crate::store::{AccountStore, Erasure, PageSize};
use crate::token::TokenId;
use crate::user::{Actor, UserId};

/// An account that was erased is gone, with its history and its uses; another one
/// is as it was.
pub async fn an_erased_account_is_gone_with_all_that_was_kept_of_it<H: Harness>(harness: &H) {
    let rule = "an erased account is gone with its history and its uses, and no other is";
    let subject = Subject::new(harness, rule).await;
    let (alice, bob) = (everywhere("alice"), holder("bob", 1, 50));
    subject.put(&alice).await;
    subject.put(&bob).await;
    let keeps_uses = subject.store.last_uses().is_some();
    if keeps_uses {
        record(&subject, &[used("alice", place::PRIMARY), used("bob", 50)]).await;
    }
    erase(&subject, &alice).await;
    subject.rule.same(&subject.load(alice.user()).await, &None, "the account");
    subject.rule.same(&subject.list(PageSize::MAX).await, &vec![bob.clone()], "the list");
    subject.rule.same(&subject.history(alice.user()).await, &vec![], "the history");
    subject.has(&bob).await;
    if keeps_uses {
        subject.rule.same(&subject.usage(alice.user()).await, &vec![], "the uses");
        let of_bob = vec![used("bob", 50).1];
        subject.rule.same(&subject.usage(bob.user()).await, &of_bob, "uses of bob");
    }
    subject.rule.same(&subject.revisions(bob.user()).await, &vec![1], "the history of bob");
}

/// A digest that an erased account named leads to nobody, and no account can name
/// it: not that of a user of the same name either.
pub async fn an_erased_digest_leads_to_nobody_and_stays_taken<H: Harness>(harness: &H) {
    let rule = "a digest of an erased account leads to nobody, and stays taken";
    let subject = Subject::new(harness, rule).await;
    let alice = everywhere("alice");
    subject.put(&alice).await;
    erase(&subject, &alice).await;
    let above = above(&subject, alice.user()).await;
    subject.replace(first(holder("carol", 1, 1_000).at_least(above))).await;
    for number in place::ALL {
        subject.finds(&digest(number), None, format_args!("the digest at {number}")).await;
        for name in ["alice", "bob"] {
            let claim = holder(name, 1, number).at_least(above);
            subject
                .refuses(first(claim), format_args!("{name} claims the digest at {number}"))
                .await;
        }
        let mut claim = holder("carol", 1, number).at_least(above);
        claim.revision = Revision::from_u64(above + 1);
        subject.refuses(change(claim), format_args!("carol claims the digest at {number}")).await;
    }
}

/// No account begins with a revision or a token id that an erased one has reached.
pub async fn an_account_begins_above_what_an_erased_one_has_reached<H: Harness>(harness: &H) {
    let rule = "no account begins below what an erased one has reached";
    let subject = Subject::new(harness, rule).await;
    let (small, alice) = (holder("small", 1, 2), holder("alice", 1, 1));
    subject.put(&alice).await;
    subject.put(&small).await;
    subject.rule.same(&above(&subject, &user("new")).await, &1, "the beginning before any erasure");
    erase(&subject, &alice).await;
    erase(&subject, &small).await;
    let reached = Erasure::new(alice.clone(), NOW, Actor::User).reached();
    for name in ["alice", "new"] {
        let above = above(&subject, &user(name)).await;
        subject.rule.holds(above > reached, format_args!("{name} begins at {above}"));
        let mut low = holder(name, 1, 100).at_least(above);
        low.revision = Revision::from_u64(reached);
        subject
            .refuses(first(low), format_args!("{name} begins with a revision from before"))
            .await;
        let low = built(account(name).revision(Revision::from_u64(above)).primary(token(1, 100)));
        subject
            .refuses(first(low), format_args!("{name} begins with a token id from before"))
            .await;
        let new = holder(name, 1, if name == "new" { 101 } else { 102 }).at_least(above);
        subject.replace(first(new.clone())).await;
        subject.has(&new).await;
    }
}

/// An account of which another revision is there is not erased, nor one that is
/// not there.
pub async fn an_erasure_of_another_revision_conflicts<H: Harness>(harness: &H) {
    let rule = "an account is erased at the revision that was read, or not at all";
    let subject = Subject::new(harness, rule).await;
    let (before, alice) = (holder("alice", 1, 1), holder("alice", 2, 1));
    subject.put(&before).await;
    subject.put(&alice).await;
    let watch = subject.try_watch().await;
    for other in [before, holder("alice", 3, 1), holder("nobody", 1, 1)] {
        let refused = subject.store.erase(Erasure::new(other, NOW, Actor::User)).await;
        subject.rule.conflicts(&refused, "an erasure of another revision");
    }
    subject.has(&alice).await;
    subject.rule.same(&subject.revisions(alice.user()).await, &vec![2, 1], "the history");
    subject.silent(watch, "the feed").await;
    erase(&subject, &alice).await;
    let again = subject.store.erase(Erasure::new(alice, NOW, Actor::User)).await;
    subject.rule.conflicts(&again, "a second erasure");
}

/// An erasure reaches the feed with every digest that the account named.
pub async fn an_erasure_reaches_the_feed_with_all_its_digests<H: Harness>(harness: &H) {
    let rule = "an erasure reaches the feed with every digest of the account";
    let subject = Subject::new(harness, rule).await;
    let alice = everywhere("alice");
    subject.put(&alice).await;
    let mut watch = subject.watch().await;
    erase(&subject, &alice).await;
    let expected = Erasure::new(alice, NOW, Actor::User).change();
    subject.rule.same(&watch.changes(subject.feed()).await, &vec![expected], "the feed");
}

/// A use that is recorded after its user was erased leaves nothing behind.
pub async fn a_use_recorded_after_an_erasure_leaves_nothing<H: Harness>(harness: &H) {
    let rule = "a use that is recorded after its user was erased leaves nothing";
    let subject = Subject::new(harness, rule).await;
    let (alice, bob) = (holder("alice", 1, 1), holder("bob", 1, 2));
    subject.put(&alice).await;
    subject.put(&bob).await;
    erase(&subject, &alice).await;
    record(&subject, &[used("alice", 1), used("bob", 2)]).await;
    subject.rule.same(&subject.usage(alice.user()).await, &vec![], "uses of the erased user");
    subject.rule.same(&subject.usage(bob.user()).await, &vec![used("bob", 2).1], "uses of bob");
}

impl Account {
    /// The same account with all numbers that a new one gives at that number or
    /// above.
    fn at_least(mut self, number: u64) -> Self {
        self.revision = Revision::from_u64(self.revision.as_u64().max(number));
        if let Some(primary) = &mut self.primary {
            primary.id = TokenId::from_u64(primary.id.as_u64() + number);
        }
        self.next_token += number;
        self
    }
}

/// The change that makes the account.
fn first(account: Account) -> crate::store::Replacement {
    super::sample::expecting(account, None)
}

/// The first revision that an account of this user could have.
async fn above<S: AccountStore>(subject: &Subject<S>, user: &UserId) -> u64 {
    let loaded = subject.rule.answered(subject.store.load(user).await, "loading nobody");
    loaded.account_or_absent(user).revision().as_u64() + 1
}

pub(super) async fn erase<S: AccountStore>(subject: &Subject<S>, account: &Account) {
    let erased = subject.store.erase(Erasure::new(account.clone(), NOW, Actor::User)).await;
    subject.rule.answered(erased, "erasing an account");
}

fn used(name: &str, id: u64) -> (UserId, LastUse) {
    let at = NOW + Duration::from_secs(id);
    (user(name), LastUse::new(TokenId::from_u64(id), at, None))
}

async fn record<S: AccountStore>(subject: &Subject<S>, batch: &[(UserId, LastUse)]) {
    subject.rule.answered(subject.uses().record_usage(batch).await, "recording uses");
}
