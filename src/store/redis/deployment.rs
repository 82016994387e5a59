//! A deployment on a server: the names of its keys, which all carry one hash tag, and
//! the marker, which holds the version of the schema and the deployment's name for
//! itself.
//!
//! Version 1 had the name alone. Since version 2 a byte stands before it that is no
//! UTF-8: a program of version 1 that is started finds the marker unreadable, and
//! one that is running finds that it has changed. So it writes nothing more. It goes
//! on recognising tokens, since what a digest leads to has kept its form. The same holds
//! of version 3 for programs of version 2, which know that a later version is there.

use super::error::{Loss, SchemaFault, corrupt, lost};
use crate::store::{StoreError, StoreErrorKind};
use crate::token::TokenDigest;
use crate::user::UserId;

/// The names of one deployment's keys.
///
/// What follows a prefix is a user or a digest as it is: keys are only ever
/// named exactly, so no character in them means anything.
pub(super) struct Keys {
    /// The deployment's name for itself; where it is missing, all is lost.
    pub(super) marker: String,
    /// All users, in the byte order of their ids.
    pub(super) users: String,
    /// How many tokens in use there are of each pepper version and prefix.
    pub(super) tokens: String,
    /// The check value of each pepper version.
    pub(super) pepper_checks: String,
    /// What erased accounts have reached, since when check values are kept, how many
    /// accounts there ever were, and the schedule of what is due.
    pub(super) numbers: String,
    /// The log of all accounts: where each entry of their histories is.
    pub(super) log: String,
    /// Whose the numbers are by which the log names accounts.
    pub(super) log_users: String,
    /// How far the readers of the log have come.
    pub(super) cursors: String,
    /// The accounts that are due, in the order of the time and then of the user.
    pub(super) due: String,
    /// What version 1 of the schema has counted instead of `tokens`.
    pub(super) peppers_of_version_1: String,
    /// The channel of the feed.
    pub(super) channel: String,
    /// Before everything.
    pub(super) all: String,
    /// Before a digest: the deployment's name, and whose it is.
    pub(super) digest: String,
    /// Before a user: the account.
    pub(super) account: String,
    /// Before a user: the history.
    pub(super) history: String,
    /// Before a user: the last uses.
    pub(super) usage: String,
}

impl Keys {
    pub(super) fn of(deployment: &str) -> Self {
        let key = |name| format!("{{tower-api-token:{deployment}}}:{name}");
        Self {
            all: key(""),
            marker: key("deployment"),
            users: key("users"),
            tokens: key("tokens"),
            pepper_checks: key("pepper-checks"),
            numbers: key("numbers"),
            log: key("audit"),
            log_users: key("audit-users"),
            cursors: key("cursors"),
            due: key("due"),
            peppers_of_version_1: key("peppers"),
            channel: key("feed"),
            digest: key("digest:"),
            account: key("account:"),
            history: key("history:"),
            usage: key("usage:"),
        }
    }

    pub(super) fn digest(&self, digest: &TokenDigest) -> Vec<u8> {
        [self.digest.as_bytes(), digest.as_bytes()].concat()
    }

    pub(super) fn account(&self, user: &UserId) -> String {
        format!("{}{user}", self.account)
    }

    pub(super) fn history(&self, user: &UserId) -> String {
        format!("{}{user}", self.history)
    }

    pub(super) fn usage(&self, user: &UserId) -> String {
        format!("{}{user}", self.usage)
    }
}

/// Before the name in version 3. The scripts have it too.
const VERSION_3: &[u8] = b"\xff3:";

/// Before the name while version 2 becomes version 3.
const TO_VERSION_3: &[u8] = b"\xff2>3:";

const VERSION_2: &[u8] = b"\xff2:";

/// Before the name while version 1 becomes version 2.
const TO_VERSION_2: &[u8] = b"\xff1>2:";

/// What a marker says.
pub(super) enum Marker {
    /// This program's version.
    Ready(String),
    /// Version 2, as a whole or in part.
    Version2(String),
    /// Version 1, as a whole or in part.
    Version1(String),
}

impl Marker {
    /// What the marker of the deployment of that name is.
    pub(super) fn ready(name: &str) -> Vec<u8> {
        [VERSION_3, name.as_bytes()].concat()
    }

    /// The same while version 2 becomes version 3.
    pub(super) fn to_version_3(name: &str) -> Vec<u8> {
        [TO_VERSION_3, name.as_bytes()].concat()
    }

    /// The same in version 2.
    pub(super) fn version_2(name: &str) -> Vec<u8> {
        [VERSION_2, name.as_bytes()].concat()
    }

    /// The same while version 1 becomes version 2.
    pub(super) fn to_version_2(name: &str) -> Vec<u8> {
        [TO_VERSION_2, name.as_bytes()].concat()
    }

    pub(super) fn read(doing: &'static str, marker: Option<&[u8]>) -> Result<Self, StoreError> {
        let marker = marker.ok_or_else(|| lost(doing, Loss::NotCreated))?;
        let name = |name: &[u8]| String::from_utf8(name.to_vec()).map_err(|_| corrupt(doing));
        if let Some(rest) = marker.strip_prefix(VERSION_3) {
            return name(rest).map(Self::Ready);
        }
        for version_2 in [VERSION_2, TO_VERSION_3] {
            if let Some(rest) = marker.strip_prefix(version_2) {
                return name(rest).map(Self::Version2);
            }
        }
        if let Some(rest) = marker.strip_prefix(TO_VERSION_2) {
            return name(rest).map(Self::Version1);
        }
        match marker.first() {
            Some(0xff) => {
                let newer = StoreError::new(StoreErrorKind::NewerSchema, doing);
                Err(newer.with_source(SchemaFault::Newer))
            }
            _ => name(marker).map(Self::Version1),
        }
    }

    /// The deployment's name, if this program may work on it.
    pub(super) fn name(self, doing: &'static str) -> Result<String, StoreError> {
        match self {
            Self::Ready(name) => Ok(name),
            Self::Version1(_) | Self::Version2(_) => {
                let older = StoreError::new(StoreErrorKind::NotSetUp, doing);
                Err(older.with_source(SchemaFault::Older))
            }
        }
    }
}
