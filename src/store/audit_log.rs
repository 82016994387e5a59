//! The histories of all accounts as one log: a capability of stores.

use std::time::Duration;

use async_trait::async_trait;

use super::{PageSize, StoreError};
use crate::audit::{AccountErased, AuditEntry, Event};
use crate::time::Timestamp;
use crate::user::UserId;

/// A place in the log of one store, behind one of its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuditPosition(u64);

impl AuditPosition {
    /// Before every entry.
    pub const START: Self = Self(0);

    /// Takes a position back from where somebody has kept it.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The position as a number, up to 2⁶³ − 1.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// What the log says at one position.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuditItem {
    /// An entry of an account's history.
    Entry(AuditEntry),
    /// An account was erased, and its entries with it.
    Erased(AccountErased),
    /// An entry that this version cannot read: a newer one has written it, or it is
    /// damaged. It stays as it is.
    Unreadable {
        /// Whose it is, if that can be read.
        user: Option<UserId>,
        /// When it happened, by the store's clock; 1970 if that cannot be read either.
        at: Timestamp,
    },
}

/// What the log has for an entry that cannot be read, which holds up none behind it.
/// The program's log says why.
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
pub(super) fn or_unreadable(
    item: Result<AuditItem, StoreError>,
    user: Option<&str>,
    at: Option<Timestamp>,
) -> Result<AuditItem, StoreError> {
    match item {
        Err(error) if error.kind() == super::StoreErrorKind::Corrupt => {
            error.log();
            let user = user.and_then(|user| UserId::new(user).ok());
            Ok(AuditItem::Unreadable { user, at: at.unwrap_or_default() })
        }
        item => item,
    }
}

impl AuditItem {
    /// The [name](Self::name) of everything that can be in a log and be read.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Event::NAMES.into_iter().chain([AccountErased::NAME])
    }

    /// The event's [name](Event::name), `account_erased` or `unreadable`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Entry(entry) => entry.event.name(),
            Self::Erased(_) => AccountErased::NAME,
            Self::Unreadable { .. } => "unreadable",
        }
    }

    /// Whose entry it is; `None` of an account that was erased.
    #[must_use]
    pub const fn user(&self) -> Option<&UserId> {
        match self {
            Self::Entry(entry) => Some(&entry.user),
            Self::Erased(_) => None,
            Self::Unreadable { user, .. } => user.as_ref(),
        }
    }

    /// When it happened, by the store's clock.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        match self {
            Self::Entry(entry) => entry.at,
            Self::Erased(erased) => erased.at,
            Self::Unreadable { at, .. } => *at,
        }
    }
}

/// How far a reader of the log has come, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditCursor {
    /// Whose it is.
    pub name: String,
    /// The entry that was read last.
    pub position: AuditPosition,
}

impl AuditCursor {
    /// The longest name of a cursor, in bytes.
    pub const NAME_LENGTH: usize = 255;

    /// How many positions behind a cursor can be kept.
    pub const MAX_DONE: usize = 500;

    /// The reader `name` has come to this position.
    #[must_use]
    pub fn new(name: impl Into<String>, position: AuditPosition) -> Self {
        Self { name: name.into(), position }
    }
}

/// How long an entry stays whatever is pruned.
pub(super) const KEPT_AT_LEAST: Duration = Duration::from_secs(3_600);

/// Gives the histories of all accounts as one log, and keeps how far its readers have
/// come: a capability of an [`AccountStore`](super::AccountStore).
///
/// # The contract
///
/// * Every entry of every account comes exactly once, and never behind a position that
///   has been given out: whoever reads on from the last position misses nothing,
///   whatever was committed at the same time.
/// * The entries of one account come in the order of its revisions. Those of several
///   accounts come about in the order of their changes.
/// * A change is in the log when it has returned, and never before it can be read
///   otherwise.
/// * Where an account was erased its entries are gone, and one
///   [`Erased`](AuditItem::Erased) stands at the end that the log had then. It names
///   nobody.
/// * An entry that cannot be read comes at its position as
///   [`Unreadable`](AuditItem::Unreadable), and those behind it as ever.
/// * A position stays good for as long as the store: entries that are pruned, or gone
///   with their account, leave gaps.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// The entries behind `after`, the earliest first, at most `size` of them, each
    /// with its position. None: there are no more at the moment.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if they cannot be had.
    async fn audit(
        &self,
        after: AuditPosition,
        size: PageSize,
    ) -> Result<Vec<(AuditPosition, AuditItem)>, StoreError>;

    /// The position of the last entry: who reads on from here learns what happens
    /// from now on.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot be had.
    async fn audit_end(&self) -> Result<AuditPosition, StoreError>;

    /// Removes entries from before `before`, for good: out of the log and out of their
    /// account's history. Stays what a cursor has not come past, the last entry of
    /// each account, and what is younger than an hour by the store's clock. Answers how
    /// many were removed; may remove only a part at once, and none only if there are
    /// no more.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if they could not be removed.
    async fn prune_audit(&self, before: Timestamp) -> Result<u64, StoreError>;

    /// Every cursor, by name.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if they cannot be had.
    async fn audit_cursors(&self) -> Result<Vec<AuditCursor>, StoreError>;

    /// Leases the cursor `name` to `holder` for so long from now, by the store's clock,
    /// and answers where it is; `None` while another has it. A holder may lease it
    /// again and again; no time at all gives it back. A cursor that there is not is
    /// made, at the end of the log.
    ///
    /// `holder` is any number that no other process chooses.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it could not be leased.
    async fn lease_cursor(
        &self,
        name: &str,
        holder: u64,
        time: Duration,
    ) -> Result<Option<AuditPosition>, StoreError>;

    /// Moves the cursor `name` forward, if `holder` was the last to lease it: `false`
    /// if not, and nothing has changed. It never goes back.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it could not be moved.
    async fn move_cursor(
        &self,
        name: &str,
        holder: u64,
        to: AuditPosition,
    ) -> Result<bool, StoreError>;

    /// Keeps with the cursor `name` which entries behind it are done already, in place of
    /// those that were kept before, if `holder` was the last to lease it: `false` if
    /// not, and nothing has changed. So one entry that cannot be done holds up no
    /// others. `done` is the first and the last of each run of them, in order; at most
    /// [`MAX_DONE`](AuditCursor::MAX_DONE) positions, which the store takes as they are.
    ///
    /// By default nothing is kept: what was done behind the cursor comes again when
    /// another takes it over.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if they could not be kept.
    async fn keep_done(
        &self,
        name: &str,
        holder: u64,
        done: &[AuditPosition],
    ) -> Result<bool, StoreError> {
        let _ = (name, holder, done);
        Ok(true)
    }

    /// The entries behind the cursor `name` that were kept as done, in any order; perhaps
    /// some that it has come past.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if they cannot be had.
    async fn done(&self, name: &str) -> Result<Vec<AuditPosition>, StoreError> {
        let _ = name;
        Ok(Vec::new())
    }

    /// Removes the cursor `name`, whoever has leased it, so that it keeps no entry from
    /// being pruned.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it could not be removed.
    async fn remove_cursor(&self, name: &str) -> Result<(), StoreError>;
}
