//! Cases: which account a digest leads to.

use super::Harness;
use super::sample::{digest, everywhere, place, user};
use super::subject::Subject;
use crate::store::{AccountStore, TokenStore};
use crate::token::TokenDigest;

/// An account is found by the digest of its primary.
pub async fn an_account_is_found_by_its_primary<H: Harness>(harness: &H) {
    let rule = "an account is found by the digest of its primary";
    found_by(harness, rule, &[place::PRIMARY]).await;
}

/// An account is found by the digest of its backup.
pub async fn an_account_is_found_by_its_backup<H: Harness>(harness: &H) {
    found_by(harness, "an account is found by the digest of its backup", &[place::BACKUP]).await;
}

/// An account is found by the digest of its pending token, which the layer
/// refuses.
pub async fn an_account_is_found_by_its_pending_token<H: Harness>(harness: &H) {
    let rule = "an account is found by the digest of its pending token";
    found_by(harness, rule, &[place::PENDING]).await;
}

/// An account is found by the digest of each token that is no more, so that its
/// use can be told from that of a string nobody knows.
pub async fn an_account_is_found_by_its_retired_tokens<H: Harness>(harness: &H) {
    let rule = "an account is found by the digest of each of its retired tokens";
    found_by(harness, rule, &[place::DELETED, place::ROLLED_BACK]).await;
}

async fn found_by<H: Harness>(harness: &H, rule: &'static str, places: &[u64]) {
    let subject = Subject::new(harness, rule).await;
    let account = everywhere("alice");
    subject.put(&account).await;
    for &place in places {
        let what = format_args!("finding token {place}");
        subject.finds(&digest(place), Some(&account), what).await;
    }
}

/// A digest that no account names is none: in an empty store, and beside
/// others.
pub async fn an_unknown_digest_is_none<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a digest that no account names is none").await;
    subject.finds(&digest(99), None, "asking an empty store").await;
    subject.put(&everywhere("alice")).await;
    for number in 90..110 {
        subject.finds(&digest(number), None, "asking beside another account").await;
    }
}

/// A digest that differs from a known one in a single byte, whichever it is, is
/// another digest.
pub async fn digests_that_differ_in_one_byte_are_told_apart<H: Harness>(harness: &H) {
    let rule = "a digest leads to an account only if all its bytes are the same";
    let subject = Subject::new(harness, rule).await;
    subject.put(&everywhere("alice")).await;
    for place in 0..32 {
        let mut bytes = *digest(place::PRIMARY).as_bytes();
        bytes[place] ^= 0x20;
        let other = TokenDigest::from_bytes(bytes);
        subject.finds(&other, None, format_args!("having changed byte {place}")).await;
    }
}

/// `peek` calls its visitor once with what `find` says, or says that it does
/// not know and does not call it; before and after `find` was asked.
pub async fn peek_agrees_with_find_or_is_silent<H: Harness>(harness: &H) {
    let rule = "peek visits once with what find says, or says false and does not visit";
    let subject = Subject::new(harness, rule).await;
    subject.put(&everywhere("alice")).await;
    for number in place::ALL.into_iter().chain(90..95) {
        let mut visits = Vec::new();
        let mut visit = |account: Option<&_>| visits.push(account.cloned());
        let known = subject.store.peek(&digest(number), &mut visit);
        let found = subject.find(&digest(number)).await;
        let expected = if known { vec![found] } else { vec![] };
        subject.rule.same(&visits, &expected, format_args!("what peek lent, having said {known}"));
    }
}

/// A user without an account has none, and neither uses nor a history.
pub async fn an_unknown_user_has_nothing<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a user without an account has nothing").await;
    has_nothing(&subject, "alice").await;
    subject.put(&everywhere("alice")).await;
    for name in ["nobody", "alic", "alicee", "Alice"] {
        has_nothing(&subject, name).await;
    }
}

async fn has_nothing<S: AccountStore>(subject: &Subject<S>, name: &str) {
    let user = user(name);
    subject.rule.same(&subject.load(&user).await, &None, format_args!("loading {name}"));
    let uses = subject.try_usage(&user).await;
    subject.rule.same(&uses, &vec![], format_args!("the uses of {name}"));
    subject.rule.same(&subject.history(&user).await, &vec![], format_args!("history of {name}"));
}
