//! Every rule of a token's life, a function each.

use super::expiry::{earlier, lifetime, set_ends};
use super::{Facts, NewToken, Policy, RotationError};
use crate::account::{
    Account, Confirmed, Ending, Lifetimes, Pending, Retired, Revision, Slot, TokenRecord,
};
use crate::audit::Event;
use crate::method::MethodSet;
use crate::time::Timestamp;
use crate::token::{CodeDigest, TokenId};

/// An account on its way from one revision to the next.
pub(super) struct Change<'a> {
    pub(super) account: Account,
    pub(super) facts: &'a Facts<'a>,
    /// How many events there were before that of the command.
    pub(super) earlier_events: u64,
}

impl<'a> Change<'a> {
    pub(super) fn of(account: &Account, facts: &'a Facts<'a>) -> Self {
        Self { account: account.clone(), facts, earlier_events: 0 }
    }

    /// The account as it is from now on.
    pub(super) fn into_account(mut self) -> Account {
        self.forget_endings();
        let revision = self.account.revision.as_u64() + self.earlier_events;
        self.account.revision = Revision::from_u64(revision).next();
        self.account
    }

    pub(super) fn grant(
        &mut self,
        methods: MethodSet,
        lifetimes: Option<Lifetimes>,
    ) -> Result<Event, RotationError> {
        let before = self.account.lifetimes();
        let lifetimes = lifetimes.unwrap_or(before);
        if self.account.methods == methods && before == lifetimes {
            return Err(RotationError::AlreadyDone);
        }
        if before != lifetimes {
            self.require_within_policy(lifetimes)?;
            self.account.terms.set_lifetimes(lifetimes);
            self.shorten_lifetimes();
        }
        self.account.methods = methods.clone();
        Ok(Event::AccessGranted { methods, lifetimes })
    }

    fn require_within_policy(&self, lifetimes: Lifetimes) -> Result<(), RotationError> {
        let Policy { token_lifetime, backup_lifetime, .. } = *self.facts.policy;
        let pairs = [
            (Slot::Primary, lifetimes.token, token_lifetime),
            (Slot::Backup, lifetimes.backup, backup_lifetime),
        ];
        for (slot, granted, longest) in pairs {
            if let (Some(granted), Some(longest)) = (granted, longest)
                && granted > longest
            {
                return Err(RotationError::LifetimeTooLong { slot, longest });
            }
        }
        Ok(())
    }

    pub(super) fn suspend(&mut self) -> Result<Event, RotationError> {
        if self.account.methods.is_empty() {
            return Err(RotationError::NoAccess);
        }
        if self.account.suspended_since().is_some() {
            return Err(RotationError::AlreadyDone);
        }
        self.account.terms.set_suspended_since(Some(self.facts.now));
        self.stop_counting_unused();
        Ok(Event::AccessSuspended)
    }

    pub(super) fn resume(&mut self) -> Result<Event, RotationError> {
        let since = self.account.suspended_since().ok_or(RotationError::AlreadyDone)?;
        self.account.terms.set_suspended_since(None);
        self.count_unused_since(since);
        Ok(Event::AccessResumed)
    }

    pub(super) fn revoke_access(&mut self) -> Result<Event, RotationError> {
        let had_tokens = self.retire_everything(Ending::AccessRevoked);
        if !had_tokens && self.account.methods.is_empty() {
            return Err(RotationError::AlreadyDone);
        }
        self.account.methods = MethodSet::empty();
        // They were the grant's; a suspension stays until it is lifted.
        self.account.terms.set_lifetimes(Lifetimes::default());
        Ok(Event::AccessRevoked)
    }

    pub(super) fn generate_primary(
        &mut self,
        token: NewToken,
        code: CodeDigest,
        replacing_backup: Option<TokenId>,
    ) -> Result<Event, RotationError> {
        self.require_access()?;
        // Who agrees to the end of a backup that has expired since has it already.
        let replacing_backup =
            replacing_backup.filter(|id| self.account.ended(*id) != Some(Ending::Expired));
        match (self.account.backup.as_ref().map(|backup| backup.id), replacing_backup) {
            (Some(id), None) => return Err(RotationError::BackupExists { id }),
            (backup, named) if backup != named => return Err(RotationError::Stale),
            _ => {}
        }
        let Facts { now, policy, .. } = *self.facts;
        let token = self.admit(token, now)?;
        let id = token.id;
        let superseded = self.retire_pending(Ending::Superseded);
        let expires_at = now + policy.pending_lifetime;
        self.account.pending = Some(Box::new(Pending {
            token,
            expires_at,
            code,
            code_made_at: now,
            code_expires_at: (now + policy.code_lifetime).min(expires_at),
            replacing_backup,
        }));
        Ok(Event::PrimaryGenerated { id, superseded })
    }

    pub(super) fn resend_confirmation(
        &mut self,
        id: TokenId,
        code: CodeDigest,
    ) -> Result<Event, RotationError> {
        let Facts { now, policy, .. } = *self.facts;
        self.require_not_suspended()?;
        let pending = self.account.pending.as_deref_mut();
        let pending =
            pending.filter(|pending| pending.token.id == id).ok_or(RotationError::Stale)?;
        if pending.is_expired(now) {
            return Err(RotationError::ExpiredCode);
        }
        let retry_after = (pending.code_made_at + policy.resend_interval).since(now);
        if !retry_after.is_zero() {
            return Err(RotationError::TooSoon { retry_after });
        }
        pending.code = code;
        pending.code_made_at = now;
        pending.code_expires_at = (now + policy.code_lifetime).min(pending.expires_at);
        Ok(Event::ConfirmationResent { id })
    }

    pub(super) fn confirm(&mut self, code: CodeDigest) -> Result<Event, RotationError> {
        let facts @ Facts { now, policy, .. } = *self.facts;
        let Some(pending) = self.account.pending.take_if(|pending| pending.code == code) else {
            return Err(self.not_pending(code));
        };
        self.require_not_suspended()?;
        if pending.code_expires_at <= now || pending.is_expired(now) {
            return Err(RotationError::ExpiredCode);
        }
        let backup = self.account.backup.as_ref().map(|backup| backup.id);
        if backup.is_some() && backup != pending.replacing_backup {
            return Err(RotationError::Stale);
        }
        let replaced = self.retire_slot(Slot::Backup, Ending::Replaced);
        self.account.backup = self.account.primary.take().map(Box::new);
        let life = lifetime(&self.account, Slot::Backup, policy);
        if let Some(backup) = &mut self.account.backup {
            let end = life.map(|life| now + life);
            // One that was the backup before, and took an ended primary's place, may have
            // such an end already.
            set_ends(backup, facts, |expiry| expiry.as_backup = earlier(expiry.as_backup, end));
        }
        let id = pending.token.id;
        self.activate(pending.token);
        self.account.confirmed = Some(Box::new(Confirmed { id, code }));
        let backup = self.account.backup.as_ref().map(|backup| backup.id);
        Ok(Event::PrimaryConfirmed { id, backup, replaced })
    }

    /// What to say to a code that no pending token has.
    fn not_pending(&self, code: CodeDigest) -> RotationError {
        let live = |id| self.account.live_tokens().any(|token| token.id == id);
        match self.account.confirmed() {
            Some(confirmed) if confirmed.code == code && live(confirmed.id) => {
                RotationError::AlreadyConfirmed { id: confirmed.id }
            }
            _ => RotationError::UnknownCode,
        }
    }

    pub(super) fn cancel_pending(&mut self, id: TokenId) -> Result<Event, RotationError> {
        if self.account.pending().is_none_or(|pending| pending.token.id != id) {
            return Err(self.not_there(id, Ending::Cancelled));
        }
        self.retire_pending(Ending::Cancelled);
        Ok(Event::PendingCancelled { id })
    }

    pub(super) fn delete_backup(
        &mut self,
        id: TokenId,
        even_if_in_use: bool,
    ) -> Result<Event, RotationError> {
        let backup = self.account.backup().filter(|backup| backup.id == id);
        let backup = backup.ok_or_else(|| self.not_there(id, Ending::Deleted))?;
        if !even_if_in_use {
            self.require_unused(backup, self.facts.backup_used)?;
        }
        self.retire_slot(Slot::Backup, Ending::Deleted);
        Ok(Event::BackupDeleted { id })
    }

    pub(super) fn roll_back(
        &mut self,
        give_up: TokenId,
        even_if_in_use: bool,
    ) -> Result<Event, RotationError> {
        let facts @ Facts { now, primary_used, policy, .. } = *self.facts;
        let primary = self.account.primary().filter(|primary| primary.id == give_up);
        let primary = primary.ok_or_else(|| match self.account.primary() {
            // It has expired, and there was no backup to take its place.
            None if self.account.ended(give_up) == Some(Ending::Expired) => {
                RotationError::NoLiveBackup
            }
            _ => self.not_there(give_up, Ending::RolledBack),
        })?;
        let backup = self.account.backup().ok_or(RotationError::NoLiveBackup)?.id;
        if !even_if_in_use {
            self.require_unused(primary, primary_used)?;
        }
        self.retire_slot(Slot::Primary, Ending::RolledBack);
        self.account.primary = self.account.backup.take().map(|backup| *backup);
        let life = lifetime(&self.account, Slot::Primary, policy);
        if let Some(primary) = &mut self.account.primary {
            set_ends(primary, facts, |expiry| {
                // The end that it had as the backup is none of the primary's.
                expiry.as_backup = None;
                expiry.of_lifetime = earlier(expiry.of_lifetime, life.map(|life| now + life));
            });
        }
        Ok(Event::RolledBack { given_up: give_up, primary: backup })
    }

    pub(super) fn revoke_all(&mut self) -> Result<Event, RotationError> {
        let had_tokens = self.retire_everything(Ending::Revoked);
        had_tokens.then_some(Event::AllRevoked).ok_or(RotationError::AlreadyDone)
    }

    /// Ends the token, in a slot or pending, as whoever holds it may.
    pub(super) fn end_token(&mut self, id: TokenId) -> Result<Event, RotationError> {
        if self.account.pending().is_some_and(|pending| pending.token.id == id) {
            return self.cancel_pending(id);
        }
        let found = self.account.slots().find(|(_, token)| token.id == id);
        let (slot, _) = found.ok_or_else(|| match self.account.ended(id) {
            // So a pending one ends.
            Some(Ending::Cancelled) => RotationError::AlreadyDone,
            _ => self.not_there(id, Ending::Ended),
        })?;
        self.retire_slot(slot, Ending::Ended);
        let promoted = if slot == Slot::Primary { self.promote_backup() } else { None };
        Ok(Event::TokenEnded { id, promoted })
    }

    pub(super) fn report_leak(&self, id: TokenId, found: String) -> Result<Event, RotationError> {
        self.account.token(id).ok_or_else(|| self.not_there(id, Ending::Ended))?;
        Ok(Event::LeakReported { id, found })
    }

    pub(super) fn issue(&mut self, token: NewToken) -> Result<Event, RotationError> {
        self.require_access()?;
        if self.account.primary.is_some() {
            return Err(RotationError::PrimaryExists);
        }
        let token = self.admit(token, self.facts.now)?;
        let id = token.id;
        self.activate(token);
        Ok(Event::TokenIssued { id })
    }

    pub(super) fn import(
        &mut self,
        slot: Slot,
        token: NewToken,
        made_at: Option<Timestamp>,
    ) -> Result<Event, RotationError> {
        self.require_access()?;
        if self.account.slot(slot).is_some() {
            return Err(RotationError::SlotTaken { slot });
        }
        let facts @ Facts { now, policy, .. } = *self.facts;
        let token = self.admit(token, made_at.unwrap_or(now).min(now))?;
        let id = token.id;
        match slot {
            Slot::Primary => self.activate(token),
            Slot::Backup if self.account.primary.is_none() => {
                return Err(RotationError::NoLivePrimary);
            }
            Slot::Backup => {
                let end = lifetime(&self.account, slot, policy).map(|life| now + life);
                let mut token = self.live_from_now(token);
                set_ends(&mut token, facts, |expiry| expiry.as_backup = end);
                self.account.backup = Some(Box::new(token));
            }
        }
        Ok(Event::TokenImported { id, slot })
    }

    pub(super) fn reveal(&self, id: TokenId) -> Result<Event, RotationError> {
        self.require_access()?;
        self.account.token(id).ok_or(RotationError::Stale)?;
        Ok(Event::TokenRevealed { id })
    }

    /// That the user may make tokens and see them.
    fn require_access(&self) -> Result<(), RotationError> {
        if self.account.methods.is_empty() {
            return Err(RotationError::NoAccess);
        }
        self.require_not_suspended()
    }

    fn require_not_suspended(&self) -> Result<(), RotationError> {
        let suspended = self.account.suspended_since().is_some();
        if suspended { Err(RotationError::Suspended) } else { Ok(()) }
    }

    /// The in-use guard of a token whose last recorded use was at `used`.
    fn require_unused(
        &self,
        token: &TokenRecord,
        used: Option<Timestamp>,
    ) -> Result<(), RotationError> {
        let Facts { now, policy, uses_are_kept, .. } = *self.facts;
        let in_use = !uses_are_kept || policy.is_in_use(token.active_since, used, now);
        if in_use { Err(RotationError::InUse { id: token.id, last_used_at: used }) } else { Ok(()) }
    }

    /// What to say when the token `id` is not where the command supposes it. One
    /// that has expired has ended as it was asked to.
    pub(super) fn not_there(&self, id: TokenId, effect: Ending) -> RotationError {
        match self.account.ended(id) {
            Some(ending) if ending == effect || ending == Ending::Expired => {
                RotationError::AlreadyDone
            }
            _ => RotationError::Stale,
        }
    }

    /// The record of a token that is new to this account, under the next id.
    fn admit(&mut self, token: NewToken, made_at: Timestamp) -> Result<TokenRecord, RotationError> {
        if self.account.place_of(&token.digest.digest).is_some() {
            return Err(RotationError::DigestInUse);
        }
        let id = TokenId::from_u64(self.account.next_token);
        self.account.next_token += 1;
        let NewToken { digest, hint, sealed } = token;
        Ok(TokenRecord { sealed, ..TokenRecord::new(id, digest, hint, made_at) })
    }

    /// Puts `token` into the primary slot, live from now on.
    fn activate(&mut self, token: TokenRecord) {
        self.account.primary = Some(self.live_from_now(token));
    }

    /// The token as it becomes active, with the end that its lifetime has from now on.
    fn live_from_now(&self, mut token: TokenRecord) -> TokenRecord {
        let facts @ Facts { now, policy, .. } = *self.facts;
        token.active_since = now;
        let end = lifetime(&self.account, Slot::Primary, policy).map(|life| now + life);
        set_ends(&mut token, facts, |expiry| expiry.of_lifetime = end);
        token
    }

    fn retire_everything(&mut self, ending: Ending) -> bool {
        let pending = self.retire_pending(ending);
        let backup = self.retire_slot(Slot::Backup, ending);
        let primary = self.retire_slot(Slot::Primary, ending);
        pending.is_some() || backup.is_some() || primary.is_some()
    }

    fn retire_pending(&mut self, ending: Ending) -> Option<TokenId> {
        let pending = self.account.pending.take()?;
        Some(self.retire(&pending.token, ending))
    }

    pub(super) fn retire_slot(&mut self, slot: Slot, ending: Ending) -> Option<TokenId> {
        let token = match slot {
            Slot::Primary => self.account.primary.take(),
            Slot::Backup => self.account.backup.take().map(|backup| *backup),
        }?;
        Some(self.retire(&token, ending))
    }

    fn retire(&mut self, token: &TokenRecord, ending: Ending) -> TokenId {
        let mut retired = std::mem::take(&mut self.account.retired).into_vec();
        retired.push(Retired { id: token.id, digest: token.digest, at: self.facts.now, ending });
        self.account.retired = retired.into();
        token.id
    }

    /// Forgets retired tokens that are too old and not among the last sixteen,
    /// and of each kind, those that lived and those that never did, all but the
    /// latest: whatever its user does, the record is bounded.
    fn forget_endings(&mut self) {
        let Facts { now, policy, .. } = *self.facts;
        let retired = &self.account.retired;
        let (mut rank, mut lived, mut never_lived) = (0, 0, 0);
        let mut is_kept = |retired: &Retired| {
            let (count, most) = if retired.ending.is_of_a_live_token() {
                (&mut lived, Policy::LIVED_KEPT)
            } else {
                (&mut never_lived, Policy::NEVER_LIVED_KEPT)
            };
            rank += 1;
            *count += 1;
            let is_young = now.since(retired.at) <= policy.retired_lifetime;
            *count <= most && (is_young || rank <= Policy::RETIRED_KEPT)
        };
        let mut kept: Vec<_> =
            retired.iter().rev().filter(|retired| is_kept(retired)).copied().collect();
        if kept.len() < retired.len() {
            kept.reverse();
            self.account.retired = kept.into();
        }
    }
}
