//! The one way in which an account changes.

use std::sync::Arc;

use super::due::expiry;
use super::follow::NewCode;
use super::{Delivery, Inner, ManageError};
use crate::account::{Account, LastUse, Revision, TokenRecord};
use crate::audit::AuditEntry;
use crate::rotation::{self, Command, Facts, RotationError};
use crate::store::{PageSize, Replacement, StoreError, StoreErrorKind};
use crate::time::Timestamp;
use crate::token::Token;
use crate::usage::UsageRecorder;
use crate::user::{Actor, UserId};

/// How often a change is tried before others win for good.
pub(super) const ATTEMPTS: usize = 64;

/// A change that is committed and told of.
pub(super) struct Changed {
    pub(super) account: Account,
    pub(super) entry: AuditEntry,
    /// What became of the code that a notifier was to send, if there is one.
    pub(super) delivery: Option<Delivery>,
}

impl Inner {
    /// Makes the change of the account as it is, if it has the revision `expected`
    /// where one is given: again if others were faster, and once only. `token` is
    /// the one that the command brings, where it is known, to be kept sealed; `code`
    /// that of the token which is pending after it, where the change makes a new one.
    pub(super) async fn change(
        self: &Arc<Self>,
        expected: Option<Revision>,
        actor: &Actor,
        user: &UserId,
        command: &Command,
        token: Option<&Token>,
        code: Option<&NewCode>,
    ) -> Result<Changed, ManageError> {
        self.changes(expected, actor, user, std::slice::from_ref(command), token, code).await
    }

    /// Makes one change of several commands, each of which finds the account as the one
    /// before has left it. Only the first may bring a token.
    pub(super) async fn changes(
        self: &Arc<Self>,
        expected: Option<Revision>,
        actor: &Actor,
        user: &UserId,
        commands: &[Command],
        token: Option<&Token>,
        code: Option<&NewCode>,
    ) -> Result<Changed, ManageError> {
        let mut conflicted = None;
        for _ in 0..ATTEMPTS {
            let loaded = self.store.load(user).await?;
            has_revision(loaded.revision(), expected)?;
            let before = loaded.account_or_absent(user);
            let mut commands = commands.iter().cloned();
            let mut command = commands.next().ok_or(RotationError::AlreadyDone)?;
            let facts = self.facts(&before, &command, loaded.now).await?;
            if let Some(new) = command.new_token() {
                // Nobody has changed the account, so it was the digest.
                if conflicted == Some(before.revision()) {
                    return Err(RotationError::DigestInUse.into());
                }
                self.seal(new, token, &before).await?;
            }
            conflicted = Some(before.revision());
            let mut change = replacement(&before, loaded.revision(), actor, command, &facts)?;
            for command in commands {
                let facts = facts.following(&before, &change.account);
                change.append(replacement(&change.account, None, actor, command, &facts)?);
            }
            if self.is_due_by_another_policy().await {
                change.due = Some(facts.now);
            }
            if let Some(changed) = self.write(change, code).await? {
                return Ok(changed);
            }
        }
        Err(ManageError::Contended)
    }

    /// What the rules must know; last uses only where they are asked for, and those that
    /// this node has just seen where a token may end by them.
    pub(super) async fn facts(
        &self,
        account: &Account,
        command: &Command,
        now: Timestamp,
    ) -> Result<Facts<'_>, StoreError> {
        let ends_unused = may_end_unused(account, now);
        let needs_latest = match *command {
            Command::DeleteBackup { even_if_in_use, .. }
            | Command::RollBack { even_if_in_use, .. } => !even_if_in_use || ends_unused,
            Command::Resume => true,
            _ => ends_unused,
        };
        if needs_latest {
            self.write_noted_uses().await?;
        }
        if needs_latest || matches!(command, Command::AnnounceExpiry { .. }) {
            return self.facts_with_uses(account, now).await;
        }
        let mut facts = Facts::new(now, &self.policy);
        facts.uses_are_kept = self.store.last_uses().is_some();
        Ok(facts)
    }

    /// Has the store keep the uses that this node has just seen.
    pub(super) async fn write_noted_uses(&self) -> Result<(), StoreError> {
        match &self.usage {
            Some(recorder) => recorder.write_noted().await,
            None => Ok(()),
        }
    }

    /// The same, with the last uses that the store keeps.
    pub(super) async fn facts_with_uses(
        &self,
        account: &Account,
        now: Timestamp,
    ) -> Result<Facts<'_>, StoreError> {
        let usage = self.uses(account.user()).await?;
        Ok(Facts {
            primary_used: self.last_use(&usage, account.primary()),
            backup_used: self.last_use(&usage, account.backup()),
            uses_are_kept: self.store.last_uses().is_some(),
            ..Facts::new(now, &self.policy)
        })
    }

    /// The recorded uses of the user's tokens: none where the store keeps none.
    pub(super) async fn uses(&self, user: &UserId) -> Result<Vec<LastUse>, StoreError> {
        match self.store.last_uses() {
            Some(uses) => uses.usage(user).await,
            None => Ok(Vec::new()),
        }
    }

    /// When the token was last used, as far as this node can tell.
    fn last_use(&self, usage: &[LastUse], token: Option<&TokenRecord>) -> Option<Timestamp> {
        let id = token?.id;
        let known = usage.iter().find(|usage| usage.id == id).map(|usage| usage.at);
        known.max(self.usage.as_ref().and_then(UsageRecorder::left_out))
    }

    /// Writes and tells of it; `None` if others were faster.
    async fn write(
        self: &Arc<Self>,
        replacement: Replacement,
        code: Option<&NewCode>,
    ) -> Result<Option<Changed>, StoreError> {
        let follows = self.follows(&replacement, code);
        if let Err(error) = self.store.replace(replacement.clone()).await {
            match error.kind() {
                StoreErrorKind::Conflict => return Ok(None),
                kind if !kind.may_have_written() => return Err(error),
                _ if self.is_written(&replacement).await => {}
                _ => {
                    self.await_outcome(vec![follows], &error);
                    return Err(error);
                }
            }
        }
        let Replacement { account, entry, .. } = replacement;
        let delivery = self.tell(follows).await;
        Ok(Some(Changed { account, entry, delivery }))
    }

    /// Whether a change is there that the store could not vouch for: exactly
    /// this account, and this entry, since another may have made the very same
    /// change.
    async fn is_written(&self, replacement: &Replacement) -> bool {
        let Replacement { account, entry, .. } = replacement;
        let user = &entry.user;
        let Ok(loaded) = self.store.load(user).await else { return false };
        let Ok(history) = self.store.history(user, None, PageSize::clamped(1)).await else {
            return false;
        };
        loaded.account.as_deref() == Some(account) && history.items.first() == Some(entry)
    }
}

/// Whether it depends on last uses what the next change retires.
pub(super) fn may_end_unused(account: &Account, now: Timestamp) -> bool {
    account.has_expired(now) && account.live_tokens().any(TokenRecord::ends_unless_used)
}

/// The change of `before` by `command`, ready to be written where the account has
/// the revision `expected`.
pub(super) fn replacement(
    before: &Account,
    expected: Option<Revision>,
    actor: &Actor,
    command: Command,
    facts: &Facts<'_>,
) -> Result<Replacement, RotationError> {
    let transition = rotation::apply(before, command, facts)?;
    let due = rotation::due_at(&transition.account, &facts.following(before, &transition.account));
    let user = before.user();
    let expired = transition.expired.len();
    let mut entries: Vec<_> = transition
        .events()
        .enumerate()
        .map(|(place, (revision, event))| {
            let actor = if place < expired { expiry() } else { actor.clone() };
            AuditEntry::new(user.clone(), revision, facts.now, actor, event.clone())
        })
        .collect();
    let entry = entries.pop().expect("a command that is not refused has an event");
    let replacement = Replacement::new(transition.account, expected, entry).with_due(due);
    Ok(Replacement { earlier: entries, ..replacement })
}

/// Refuses a change that was decided upon at another revision than that of the
/// account, which is `None` if there is none.
pub(super) fn has_revision(
    now: Option<Revision>,
    expected: Option<Revision>,
) -> Result<(), RotationError> {
    match expected {
        Some(expected) if now.unwrap_or(Revision::ABSENT) != expected => Err(RotationError::Stale),
        _ => Ok(()),
    }
}
