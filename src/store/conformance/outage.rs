//! Cases of a store that cannot answer; for a [`Failing`] harness.

use std::error::Error;

use super::Failing;
use super::sample::{DAY, NOW, change, digest, everywhere, user};
use super::subject::Rule;
use crate::account::LastUse;
use crate::store::{
    AccountStore, AuditPosition, Erasure, PageSize, StoreError, StoreErrorKind, TokenStore,
};
use crate::token::{PepperCheck, PepperVersion, TokenId};
use crate::user::Actor;

/// A store that cannot answer says so: no account, no empty list, no success,
/// and no conflict.
pub async fn an_outage_is_an_error_and_never_an_answer<H: Failing>(harness: &H) {
    let rule = Rule("a store that cannot answer says so");
    let store = harness.failing().await;
    let known = store.peek(&digest(1), &mut |_| {});
    rule.holds(!known, "peek claims to know");
    for (what, error) in errors(&store, rule).await {
        let honest = !matches!(error.kind(), StoreErrorKind::Conflict);
        rule.holds(honest, format_args!("{what} answered that it conflicts"));
    }
}

/// An error keeps the driver's own error as its source.
pub async fn an_error_keeps_its_source<H: Failing>(harness: &H) {
    let rule = Rule("an error keeps the driver's own error as its source");
    let store = harness.failing().await;
    for (what, error) in errors(&store, rule).await {
        rule.holds(error.source().is_some(), format_args!("{what} lost it: {error}"));
    }
}

/// What each operation failed with.
async fn errors(store: &impl AccountStore, rule: Rule) -> Vec<(&'static str, StoreError)> {
    let alice = user("alice");
    let used = (alice.clone(), LastUse::new(TokenId::from_u64(1), NOW, None));
    let replacement = change(everywhere("alice"));
    let mut errors = Errors { rule, errors: Vec::new() };
    errors.of("find", store.find(&digest(1)).await);
    errors.of("load", store.load(&alice).await);
    errors.of("list", store.list(None, PageSize::MAX).await);
    errors.of("history", store.history(&alice, None, PageSize::MAX).await);
    errors.of("pepper_versions", store.pepper_versions().await);
    errors.of("prefixes", store.prefixes().await);
    errors.of_optional("pepper_checks", store.pepper_checks().await);
    let (version, check) = (PepperVersion::from_u16(1), PepperCheck::from_bytes([1; 32]));
    errors.of_optional("keep_pepper_check", store.keep_pepper_check(version, check).await);
    errors.of_optional(
        "erase",
        store.erase(Erasure::new(everywhere("alice"), NOW, Actor::User)).await,
    );
    if let Some(uses) = store.last_uses() {
        errors.of("usage", uses.usage(&alice).await);
        errors.of("record_usage", uses.record_usage(&[used]).await);
    }
    if let Some(log) = store.audit_log() {
        errors.of("audit", log.audit(AuditPosition::START, PageSize::MAX).await);
        errors.of("audit_end", log.audit_end().await);
        errors.of("prune_audit", log.prune_audit(NOW).await);
        errors.of("audit_cursors", log.audit_cursors().await);
        errors.of("lease_cursor", log.lease_cursor("reader", 1, DAY).await);
        errors.of("move_cursor", log.move_cursor("reader", 1, AuditPosition::START).await);
        errors.of("remove_cursor", log.remove_cursor("reader").await);
    }
    if let Some(due) = store.due_accounts() {
        errors.of("due", due.due(NOW, None, PageSize::MAX).await);
        let revision = replacement.account.revision();
        errors.of("put_off", due.put_off(&alice, revision, None).await);
        errors.of("schedule", due.schedule().await);
        errors.of("keep_schedule", due.keep_schedule(1).await);
    }
    errors.of("replace", store.replace(replacement.clone()).await);
    match store.replace_many(vec![replacement]).await {
        Ok(answers) => answers.into_iter().for_each(|answer| errors.of("replace_many", answer)),
        answer => errors.of("replace_many", answer),
    }
    errors.errors
}

struct Errors {
    rule: Rule,
    errors: Vec<(&'static str, StoreError)>,
}

impl Errors {
    /// What a store need not offer.
    fn of_optional<T>(&mut self, what: &'static str, answer: Result<T, StoreError>) {
        match answer {
            Err(error) if error.kind() == StoreErrorKind::Unsupported => {}
            answer => self.of(what, answer),
        }
    }

    fn of<T>(&mut self, what: &'static str, answer: Result<T, StoreError>) {
        match answer {
            Ok(_) => panic!("broken rule: {}: {what} gave an answer", self.rule.0),
            Err(error) => self.errors.push((what, error)),
        }
    }
}
