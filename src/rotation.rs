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
//!
//! Every command begins by retiring the tokens in the slots that have expired
//! ([`retire_expired`]), so the rules deal with live tokens alone, and one that
//! has expired stands in nobody's way. A command that is refused writes nothing,
//! not even that: what has expired then is still dead to every rule.

mod change;
mod expiry;
mod policy;

use std::borrow::Cow;
use std::time::Duration;

use self::change::Change;
pub use self::expiry::due_at;
pub(crate) use self::expiry::to_announce;
pub use self::policy::Policy;
use crate::account::{Account, Lifetimes, Revision, Slot};
use crate::audit::Event;
use crate::method::MethodSet;
use crate::time::{Length, Timestamp};
use crate::token::{CodeDigest, SealedToken, StoredDigest, TokenHint, TokenId};

/// What an account is asked to do. The rules do not ask by whom: that is for the
/// host, whose session knows it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Command {
    /// Let the user perform these methods; none revokes access.
    Grant {
        /// The methods from now on.
        methods: MethodSet,
        /// The lifetimes from now on, none of them longer than the policy's; `None`:
        /// as they are. A live token that would live longer ends so long from now.
        lifetimes: Option<Lifetimes>,
    },
    /// Refuse the user's tokens until the access is resumed.
    Suspend,
    /// Accept the user's tokens again.
    Resume,
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
    /// Let a token that is kept sealed be shown once more. Nothing but the
    /// revision changes, so that a store keeps who has seen it.
    Reveal {
        /// The token, in a slot or pending.
        id: TokenId,
    },
    /// End this one token, as whoever holds it may: a pending one is cancelled, and a
    /// backup beside a primary that ends becomes the primary.
    EndToken {
        /// The token, in a slot or pending.
        id: TokenId,
    },
    /// Keep that a token was found where it was not secret. Nothing but the revision
    /// changes.
    ReportLeak {
        /// The token, in a slot or pending.
        id: TokenId,
        /// Where it was found.
        found: String,
    },
    /// Keep that the user is told of a token's end, if a notice of it is due. A token
    /// that nobody has used for long enough gets its end by that.
    AnnounceExpiry {
        /// The token, in a slot.
        id: TokenId,
    },
    /// Keep a token that was to end unless it is used: it was.
    LiftExpiry {
        /// The token, in a slot.
        id: TokenId,
    },
    /// Do nothing else than every command begins with: retire what has expired.
    RetireExpired,
}

impl Command {
    /// The token that it brings into the account, if it does.
    pub(crate) const fn new_token(&mut self) -> Option<&mut NewToken> {
        match self {
            Self::GeneratePrimary { token, .. }
            | Self::Issue { token }
            | Self::Import { token, .. } => Some(token),
            _ => None,
        }
    }
}

/// What an account learns of a token that it is to keep.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewToken {
    /// Its digest, and the key that made it.
    pub digest: StoredDigest,
    /// What a view may show of it.
    pub hint: TokenHint,
    /// The token itself, encrypted, if it is to be kept.
    pub sealed: Option<SealedToken>,
}

impl NewToken {
    /// The token with this digest, not to be kept sealed.
    #[must_use]
    pub const fn new(digest: StoredDigest, hint: TokenHint) -> Self {
        Self { digest, hint, sealed: None }
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
    /// Whether uses are recorded at all. Where they are not, any token may be in
    /// use.
    pub uses_are_kept: bool,
    /// The host's choices.
    pub policy: &'a Policy,
}

impl<'a> Facts<'a> {
    /// The time `now`, no use of those that are recorded.
    #[must_use]
    pub const fn new(now: Timestamp, policy: &'a Policy) -> Self {
        Self { now, primary_used: None, backup_used: None, uses_are_kept: true, policy }
    }

    /// When the token in that slot was last used, if a use of it is recorded.
    pub(crate) const fn used(&self, slot: Slot) -> Option<Timestamp> {
        match slot {
            Slot::Primary => self.primary_used,
            Slot::Backup => self.backup_used,
        }
    }

    /// The same about the account as it has become: each use stays with its token,
    /// whose slot may be another.
    pub(crate) fn following(self, before: &Account, after: &Account) -> Self {
        let used = |slot| {
            let id = after.slot(slot)?.id;
            let (slot, _) = before.slots().find(|(_, token)| token.id == id)?;
            self.used(slot)
        };
        Self { primary_used: used(Slot::Primary), backup_used: used(Slot::Backup), ..self }
    }
}

/// Why an account does not do what it was asked to. The account is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RotationError {
    /// The user has no API access: there is no account, or no method is granted.
    #[error("the user has no API access")]
    NoAccess,
    /// The user's access is suspended: tokens are neither made nor confirmed nor shown.
    #[error("the user's API access is suspended")]
    Suspended,
    /// A lifetime is longer than the policy allows.
    #[error("a token lives for {} at most as the {slot}", Length(*.longest))]
    LifetimeTooLong {
        /// Which of the two lifetimes.
        slot: Slot,
        /// The longest that the policy allows.
        longest: Duration,
    },
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
    /// The token was used within the guard window, or nobody can tell: it is so new
    /// that a use of it may not be recorded yet, or none is ever recorded.
    #[error("token {id} {}", .last_used_at.map_or("may be in use", |_| "is in use"))]
    InUse {
        /// The token.
        id: TokenId,
        /// Its last recorded use; `None` if nobody can tell.
        last_used_at: Option<Timestamp>,
    },
    /// There is no live primary beside which a backup could stand.
    #[error("there is no live primary, without which there can be no backup")]
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

/// What becomes of an account by a command.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition {
    /// The account, its revision raised by one for each event.
    pub account: Account,
    /// What time has done before: the [`Event::TokenExpired`] of each token that was
    /// retired, and the [`Event::ExpiryLifted`] of each that a use has kept from that.
    pub expired: Vec<Event>,
    /// What the command has done.
    pub event: Event,
}

impl Transition {
    /// What has happened, in order, each with the account's revision after it.
    pub fn events(&self) -> impl Iterator<Item = (Revision, &Event)> {
        let events = self.expired.iter().chain([&self.event]);
        let first = self.account.revision.as_u64() - self.expired.len() as u64;
        (first..).map(Revision::from_u64).zip(events)
    }
}

/// What becomes of `account` by `command`.
///
/// Tokens that have expired are retired first, as by [`retire_expired`].
///
/// # Errors
///
/// [`RotationError`] says which guard refused; nothing has changed then.
pub fn apply(
    account: &Account,
    command: Command,
    facts: &Facts<'_>,
) -> Result<Transition, RotationError> {
    let mut change = Change::of(account, facts);
    let mut expired = match command {
        // It was used in time, whenever that is told.
        Command::LiftExpiry { .. } => Vec::new(),
        _ => change.retire_expired(),
    };
    let facts = facts.following(account, &change.account);
    change.facts = &facts;
    let event = match command {
        Command::Grant { methods, .. } if methods.is_empty() => change.revoke_access(),
        Command::Grant { methods, lifetimes } => change.grant(methods, lifetimes),
        Command::Suspend => change.suspend(),
        Command::Resume => change.resume(),
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
        Command::Reveal { id } => change.reveal(id),
        Command::EndToken { id } => change.end_token(id),
        Command::ReportLeak { id, found } => change.report_leak(id, found),
        Command::AnnounceExpiry { id } => change.announce_expiry(id),
        Command::LiftExpiry { id } => change.lift_expiry(id),
        Command::RetireExpired => change.only_retired(&mut expired),
    }?;
    Ok(Transition { account: change.into_account(), expired, event })
}

/// The account as the rules see it at that time: a token in a slot whose
/// lifetime is over is retired, and a live backup beside an expired primary is
/// the primary. Each such token has its event. An account without any is
/// borrowed as it is.
///
/// A promoted backup keeps the end that it had: no token lives longer because another
/// has ended. What was used after its user was told that it would end for want of use
/// is kept.
///
/// For whoever shows an account; [`apply`] begins with it.
#[must_use]
pub fn retire_expired<'a>(
    account: &'a Account,
    facts: &Facts<'_>,
) -> (Cow<'a, Account>, Vec<Event>) {
    if !account.has_expired(facts.now) {
        return (Cow::Borrowed(account), Vec::new());
    }
    let mut change = Change::of(account, facts);
    let events = change.retire_expired();
    (Cow::Owned(change.account), events)
}
