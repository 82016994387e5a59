//! The life of a token: what may happen to an account, and what comes of it.
//!
//! Every rule is in [`apply`] and the functions below it, which are pure: no
//! clock, no randomness, no store. So the rules exist once, and no two stores
//! can disagree. What they know of the world stands in [`Facts`].
//!
//! A command that names a token by its id has an effect only while that token
//! still is where the command supposes it. Repeated or delivered late it
//! changes nothing and answers [`RotationError::AlreadyDone`] or
//! [`RotationError::Stale`].

mod policy;

use std::time::Duration;

pub use self::policy::{Policy, PolicyError};
use crate::account::{Account, Confirmed, Ending, Pending, Retired, Slot, TokenRecord};
use crate::audit::Event;
use crate::method::MethodSet;
use crate::time::Timestamp;
use crate::token::{CodeDigest, StoredDigest, TokenHint, TokenId};

/// What an account is asked to do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Command {
    /// Let the user perform these methods; none revokes access.
    Grant {
        /// The methods from now on.
        methods: MethodSet,
    },
    /// End the user's access and all tokens.
    RevokeAccess,
    /// Keep `token` as a pending primary, to be confirmed with `code`.
    GeneratePrimary {
        /// The new token.
        token: NewToken,
        /// The digest of its confirmation code.
        code: CodeDigest,
        /// The backup whose end the caller agrees to.
        replacing_backup: Option<TokenId>,
    },
    /// Give the pending token another code.
    ResendConfirmation {
        /// The pending token.
        id: TokenId,
        /// The digest of the new code.
        code: CodeDigest,
    },
    /// Make the pending token the primary, and the primary the backup.
    Confirm {
        /// The digest of the code that was presented.
        code: CodeDigest,
    },
    /// Give up the pending token.
    CancelPending {
        /// The pending token.
        id: TokenId,
    },
    /// End the backup.
    DeleteBackup {
        /// The backup.
        id: TokenId,
        /// Even if it was used within the guard window.
        even_if_in_use: bool,
    },
    /// End the primary and make the backup the primary again.
    RollBack {
        /// The primary to give up.
        give_up: TokenId,
        /// Even if it was used within the guard window.
        even_if_in_use: bool,
    },
    /// End both slots and the pending token at once.
    RevokeAll,
    /// Make `token` the primary of a user who has none.
    Issue {
        /// The new token.
        token: NewToken,
    },
    /// Put a token that exists elsewhere into an empty slot.
    Import {
        /// The slot it goes into.
        slot: Slot,
        /// The token.
        token: NewToken,
        /// When it was made, if known; a time to come becomes now.
        made_at: Option<Timestamp>,
    },
}

/// What an account learns of a token that it is to keep.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewToken {
    /// Its digest, and the key that made it.
    pub digest: StoredDigest,
    /// What a view may show of it.
    pub hint: TokenHint,
}

impl NewToken {
    /// The token with this digest.
    #[must_use]
    pub const fn new(digest: StoredDigest, hint: TokenHint) -> Self {
        Self { digest, hint }
    }
}

/// What the rules know of the world.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Facts<'a> {
    /// The time by the store's clock.
    pub now: Timestamp,
    /// When the primary was last used, if a use of it is recorded.
    pub primary_used: Option<Timestamp>,
    /// When the backup was last used, if a use of it is recorded.
    pub backup_used: Option<Timestamp>,
    /// The host's choices.
    pub policy: &'a Policy,
}

impl<'a> Facts<'a> {
    /// The time `now`, no recorded use.
    #[must_use]
    pub const fn new(now: Timestamp, policy: &'a Policy) -> Self {
        Self { now, primary_used: None, backup_used: None, policy }
    }
}

/// Why an account does not do what it was asked to. The account is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RotationError {
    /// The user has no API access.
    #[error("the user has no API access")]
    NoAccess,
    /// That very effect has already happened.
    #[error("this has already been done")]
    AlreadyDone,
    /// The token that the command names is no longer where it supposes it.
    #[error("the account has changed since: the named token is no longer there")]
    Stale,
    /// A backup exists, and the caller has not agreed to its end by naming it.
    #[error(
        "token {id} is still the backup: delete it first, or name it as the one to be replaced"
    )]
    BackupExists {
        /// The backup.
        id: TokenId,
    },
    /// No pending token of this user has that code.
    #[error("unknown confirmation code")]
    UnknownCode,
    /// The code, or the pending token itself, was confirmed too late.
    #[error("the confirmation code has expired")]
    ExpiredCode,
    /// The code has been used, and the token it activated is live.
    #[error("token {id} has already been confirmed")]
    AlreadyConfirmed {
        /// The token that the code activated.
        id: TokenId,
    },
    /// A confirmation was sent less than the resend interval ago.
    #[error("a confirmation was sent moments ago: try again in {} s", .retry_after.as_secs().max(1))]
    TooSoon {
        /// How long to wait.
        retry_after: Duration,
    },
    /// The token was used within the guard window, or is so new that a use of
    /// it may not be recorded yet.
    #[error("token {id} is in use")]
    InUse {
        /// The token.
        id: TokenId,
        /// Its last recorded use; `None` if it is only too new to tell.
        last_used_at: Option<Timestamp>,
    },
    /// The primary is not live, so the backup is the user's only access.
    #[error("there is no live primary, so the backup is the only token left")]
    NoLivePrimary,
    /// There is no live backup to fall back on.
    #[error("there is no live backup")]
    NoLiveBackup,
    /// There is a primary already; a further token is generated and confirmed.
    #[error("the user already has a primary token")]
    PrimaryExists,
    /// The slot is not empty.
    #[error("the {slot} slot is not empty")]
    SlotTaken {
        /// The slot.
        slot: Slot,
    },
    /// An account names this digest already, retired tokens included.
    #[error("this token is already known")]
    DigestInUse,
}

/// What becomes of `account` by `command`: the account with its revision
/// raised, and the event.
///
/// # Errors
///
/// [`RotationError`] says which guard refused; nothing has changed then.
pub fn apply(
    account: &Account,
    command: Command,
    facts: &Facts<'_>,
) -> Result<(Account, Event), RotationError> {
    let mut change = Change { account: account.clone(), facts };
    let event = match command {
        Command::Grant { methods } if methods.is_empty() => change.revoke_access(),
        Command::Grant { methods } => change.grant(methods),
        Command::RevokeAccess => change.revoke_access(),
        Command::GeneratePrimary { token, code, replacing_backup } => {
            change.generate_primary(token, code, replacing_backup)
        }
        Command::ResendConfirmation { id, code } => change.resend_confirmation(id, code),
        Command::Confirm { code } => change.confirm(code),
        Command::CancelPending { id } => change.cancel_pending(id),
        Command::DeleteBackup { id, even_if_in_use } => change.delete_backup(id, even_if_in_use),
        Command::RollBack { give_up, even_if_in_use } => change.roll_back(give_up, even_if_in_use),
        Command::RevokeAll => change.revoke_all(),
        Command::Issue { token } => change.issue(token),
        Command::Import { slot, token, made_at } => change.import(slot, token, made_at),
    }?;
    change.forget_old_endings();
    change.account.revision = account.revision.next();
    Ok((change.account, event))
}

/// An account on its way from one revision to the next.
struct Change<'a> {
    account: Account,
    facts: &'a Facts<'a>,
}

impl Change<'_> {
    fn grant(&mut self, methods: MethodSet) -> Result<Event, RotationError> {
        if self.account.methods == methods {
            return Err(RotationError::AlreadyDone);
        }
        self.account.methods = methods.clone();
        Ok(Event::AccessGranted { methods })
    }

    fn revoke_access(&mut self) -> Result<Event, RotationError> {
        let had_tokens = self.retire_everything(Ending::AccessRevoked);
        if !had_tokens && self.account.methods.is_empty() {
            return Err(RotationError::AlreadyDone);
        }
        self.account.methods = MethodSet::empty();
        Ok(Event::AccessRevoked)
    }

    fn generate_primary(
        &mut self,
        token: NewToken,
        code: CodeDigest,
        replacing_backup: Option<TokenId>,
    ) -> Result<Event, RotationError> {
        self.require_access()?;
        match (&self.account.backup, replacing_backup) {
            (Some(backup), None) => return Err(RotationError::BackupExists { id: backup.id }),
            (backup, named) if backup.as_ref().map(|backup| backup.id) != named => {
                return Err(RotationError::Stale);
            }
            _ => {}
        }
        let Facts { now, policy, .. } = *self.facts;
        let token = self.admit(token, now)?;
        let id = token.id;
        let superseded = self.retire_pending(Ending::Superseded);
        self.account.pending = Some(Box::new(Pending {
            token,
            expires_at: now + policy.pending_lifetime,
            code,
            code_made_at: now,
            code_expires_at: now + policy.code_lifetime,
            replacing_backup,
        }));
        Ok(Event::PrimaryGenerated { id, superseded })
    }

    fn resend_confirmation(
        &mut self,
        id: TokenId,
        code: CodeDigest,
    ) -> Result<Event, RotationError> {
        let Facts { now, policy, .. } = *self.facts;
        let pending = self.account.pending.as_deref_mut();
        let pending =
            pending.filter(|pending| pending.token.id == id).ok_or(RotationError::Stale)?;
        if pending.expires_at <= now {
            return Err(RotationError::ExpiredCode);
        }
        let retry_after = (pending.code_made_at + policy.resend_interval).since(now);
        if !retry_after.is_zero() {
            return Err(RotationError::TooSoon { retry_after });
        }
        pending.code = code;
        pending.code_made_at = now;
        pending.code_expires_at = now + policy.code_lifetime;
        Ok(Event::ConfirmationResent { id })
    }

    fn confirm(&mut self, code: CodeDigest) -> Result<Event, RotationError> {
        let Facts { now, policy, .. } = *self.facts;
        let Some(pending) = self.account.pending.take_if(|pending| pending.code == code) else {
            return Err(self.not_pending(code));
        };
        if pending.code_expires_at <= now || pending.expires_at <= now {
            return Err(RotationError::ExpiredCode);
        }
        let backup = self.account.backup.as_ref().map(|backup| backup.id);
        if backup.is_some() && backup != pending.replacing_backup {
            return Err(RotationError::Stale);
        }
        let replaced = self.retire_slot(Slot::Backup, Ending::Replaced);
        self.account.backup = self.account.primary.take();
        if let Some(backup) = &mut self.account.backup {
            backup.expires_at =
                earlier(backup.expires_at, policy.backup_lifetime.map(|life| now + life));
        }
        let id = pending.token.id;
        self.activate(pending.token);
        self.account.confirmed = Some(Box::new(Confirmed { id, code }));
        let backup = self.account.backup.as_ref().map(|backup| backup.id);
        Ok(Event::PrimaryConfirmed { id, backup, replaced })
    }

    /// What to say to a code that no pending token has.
    fn not_pending(&self, code: CodeDigest) -> RotationError {
        let live = |id| {
            let mut slots = self.account.primary.iter().chain(&self.account.backup);
            slots.any(|token| token.id == id && !token.is_expired(self.facts.now))
        };
        match self.account.confirmed() {
            Some(confirmed) if confirmed.code == code && live(confirmed.id) => {
                RotationError::AlreadyConfirmed { id: confirmed.id }
            }
            _ => RotationError::UnknownCode,
        }
    }

    fn cancel_pending(&mut self, id: TokenId) -> Result<Event, RotationError> {
        if self.account.pending().is_none_or(|pending| pending.token.id != id) {
            return Err(self.not_there(id, Ending::Cancelled));
        }
        self.retire_pending(Ending::Cancelled);
        Ok(Event::PendingCancelled { id })
    }

    fn delete_backup(&mut self, id: TokenId, even_if_in_use: bool) -> Result<Event, RotationError> {
        let Facts { now, backup_used, .. } = *self.facts;
        let backup = self.account.backup.as_ref().filter(|backup| backup.id == id);
        let backup = backup.ok_or_else(|| self.not_there(id, Ending::Deleted))?;
        if self.account.primary.as_ref().is_none_or(|primary| primary.is_expired(now)) {
            return Err(RotationError::NoLivePrimary);
        }
        if !even_if_in_use {
            self.require_unused(backup, backup_used)?;
        }
        self.retire_slot(Slot::Backup, Ending::Deleted);
        Ok(Event::BackupDeleted { id })
    }

    fn roll_back(
        &mut self,
        give_up: TokenId,
        even_if_in_use: bool,
    ) -> Result<Event, RotationError> {
        let Facts { now, primary_used, policy, .. } = *self.facts;
        let primary = self.account.primary.as_ref().filter(|primary| primary.id == give_up);
        let primary = primary.ok_or_else(|| self.not_there(give_up, Ending::RolledBack))?;
        let backup = self.account.backup.as_ref().filter(|backup| !backup.is_expired(now));
        let backup = backup.ok_or(RotationError::NoLiveBackup)?.id;
        if !even_if_in_use {
            self.require_unused(primary, primary_used)?;
        }
        self.retire_slot(Slot::Primary, Ending::RolledBack);
        self.account.primary = self.account.backup.take();
        if let Some(primary) = &mut self.account.primary {
            // The end that it had as a backup is none of the primary's.
            primary.expires_at = policy.token_lifetime.map(|life| now + life);
        }
        Ok(Event::RolledBack { given_up: give_up, primary: backup })
    }

    fn revoke_all(&mut self) -> Result<Event, RotationError> {
        let had_tokens = self.retire_everything(Ending::Revoked);
        had_tokens.then_some(Event::AllRevoked).ok_or(RotationError::AlreadyDone)
    }

    fn issue(&mut self, token: NewToken) -> Result<Event, RotationError> {
        self.require_access()?;
        if self.account.primary.is_some() {
            return Err(RotationError::PrimaryExists);
        }
        let token = self.admit(token, self.facts.now)?;
        let id = token.id;
        self.activate(token);
        Ok(Event::TokenIssued { id })
    }

    fn import(
        &mut self,
        slot: Slot,
        token: NewToken,
        made_at: Option<Timestamp>,
    ) -> Result<Event, RotationError> {
        self.require_access()?;
        if self.account.slot(slot).is_some() {
            return Err(RotationError::SlotTaken { slot });
        }
        let Facts { now, policy, .. } = *self.facts;
        let mut token = self.admit(token, made_at.unwrap_or(now).min(now))?;
        let id = token.id;
        match slot {
            Slot::Primary => self.activate(token),
            Slot::Backup if self.account.primary.is_none() => {
                return Err(RotationError::NoLivePrimary);
            }
            Slot::Backup => {
                token.active_since = now;
                token.expires_at = policy.backup_lifetime.map(|life| now + life);
                self.account.backup = Some(token);
            }
        }
        Ok(Event::TokenImported { id, slot })
    }

    fn require_access(&self) -> Result<(), RotationError> {
        if self.account.methods.is_empty() { Err(RotationError::NoAccess) } else { Ok(()) }
    }

    /// The in-use guard of a token whose last recorded use was at `used`.
    fn require_unused(
        &self,
        token: &TokenRecord,
        used: Option<Timestamp>,
    ) -> Result<(), RotationError> {
        let Facts { now, policy, .. } = *self.facts;
        let in_use = match used {
            Some(used) => now.since(used) < policy.guard_window,
            // A use may take one interval to be recorded here and one more on
            // another node.
            None => now.since(token.active_since) < policy.usage_interval * 2,
        };
        if in_use { Err(RotationError::InUse { id: token.id, last_used_at: used }) } else { Ok(()) }
    }

    /// What to say when the token `id` is not where the command supposes it.
    fn not_there(&self, id: TokenId, effect: Ending) -> RotationError {
        if self.account.ended(id) == Some(effect) {
            RotationError::AlreadyDone
        } else {
            RotationError::Stale
        }
    }

    /// The record of a token that is new to this account, under the next id.
    fn admit(&mut self, token: NewToken, made_at: Timestamp) -> Result<TokenRecord, RotationError> {
        if self.account.place_of(&token.digest.digest).is_some() {
            return Err(RotationError::DigestInUse);
        }
        let id = TokenId::from_u64(self.account.next_token);
        self.account.next_token += 1;
        Ok(TokenRecord::new(id, token.digest, token.hint, made_at))
    }

    /// Puts `token` into the primary slot, live from now on.
    fn activate(&mut self, mut token: TokenRecord) {
        let Facts { now, policy, .. } = *self.facts;
        token.active_since = now;
        token.expires_at = policy.token_lifetime.map(|life| now + life);
        self.account.primary = Some(token);
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

    fn retire_slot(&mut self, slot: Slot, ending: Ending) -> Option<TokenId> {
        let token = match slot {
            Slot::Primary => self.account.primary.take(),
            Slot::Backup => self.account.backup.take(),
        }?;
        Some(self.retire(&token, ending))
    }

    fn retire(&mut self, token: &TokenRecord, ending: Ending) -> TokenId {
        let mut retired = std::mem::take(&mut self.account.retired).into_vec();
        retired.push(Retired { id: token.id, digest: token.digest, at: self.facts.now, ending });
        self.account.retired = retired.into();
        token.id
    }

    /// Forgets retired tokens that are neither among the last sixteen nor young
    /// enough.
    fn forget_old_endings(&mut self) {
        let Facts { now, policy, .. } = *self.facts;
        let retired = &self.account.retired;
        let before_last = retired.len().saturating_sub(Policy::RETIRED_KEPT);
        let old = |retired: &&Retired| now.since(retired.at) > policy.retired_lifetime;
        let forgotten = retired[..before_last].iter().take_while(old).count();
        if forgotten > 0 {
            self.account.retired = retired[forgotten..].into();
        }
    }
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
