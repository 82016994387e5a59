//! Cases of a store that lacks a capability, so that none is left out of the suite
//! that is there.

use std::time::Duration;

use super::Harness;
use super::cursor::{done, lease};
use super::sample::{NOW, everywhere};
use super::subject::{Subject, outcome};
use crate::store::{AccountStore, AuditPosition, Erasure, StoreErrorKind};
use crate::token::{PepperCheck, PepperVersion};
use crate::user::Actor;

const UNSUPPORTED: Result<(), StoreErrorKind> = Err(StoreErrorKind::Unsupported);

/// There is no feed.
pub async fn there_is_no_feed<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a store whose feed is left out has none").await;
    subject.rule.holds(subject.store.feed().is_none(), "there is one");
}

/// No last uses are kept.
pub async fn no_last_uses_are_kept<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a store whose last uses are left out keeps none").await;
    subject.rule.holds(subject.store.last_uses().is_none(), "they are kept");
}

/// There is no audit log.
pub async fn there_is_no_audit_log<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a store whose audit log is left out has none").await;
    subject.rule.holds(subject.store.audit_log().is_none(), "there is one");
}

/// Nothing is kept with a cursor of what is done behind it.
pub async fn nothing_is_kept_as_done<H: Harness>(harness: &H) {
    let rule = "a store whose keeping of what is done is left out keeps nothing";
    let subject = Subject::new(harness, rule).await;
    lease(&subject, "reader", 1, Duration::from_secs(3_600)).await;
    let kept = subject.audit_log().keep_done("reader", 1, &[AuditPosition::from_u64(7)]).await;
    subject.rule.same(&subject.rule.answered(kept, "keeping it"), &true, "whether it is told so");
    subject.rule.same(&done(&subject, "reader").await, &vec![], "what is kept");
}

/// No account is ever due.
pub async fn no_account_is_due<H: Harness>(harness: &H) {
    let rule = "a store whose due accounts are left out finds none";
    let subject = Subject::new(harness, rule).await;
    subject.rule.holds(subject.store.due_accounts().is_none(), "they are found");
}

/// No check values of peppers are kept.
pub async fn no_pepper_checks_are_kept<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a store whose pepper checks are left out has none").await;
    let (version, check) = (PepperVersion::from_u16(1), PepperCheck::from_bytes([1; 32]));
    let kept = outcome(&subject.store.keep_pepper_check(version, check).await);
    subject.rule.same(&kept, &UNSUPPORTED, "keeping one");
    subject.rule.same(&outcome(&subject.store.pepper_checks().await), &UNSUPPORTED, "reading them");
}

/// Nobody can be erased.
pub async fn nobody_can_be_erased<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a store whose erasure is left out erases nobody").await;
    let alice = everywhere("alice");
    subject.put(&alice).await;
    let erased = outcome(&subject.store.erase(Erasure::new(alice.clone(), NOW, Actor::User)).await);
    subject.rule.same(&erased, &UNSUPPORTED, "erasing an account");
    subject.has(&alice).await;
}
