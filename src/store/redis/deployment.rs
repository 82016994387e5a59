//! A deployment on a server: the names of its keys, which all carry one hash tag, and
//! the marker, which holds the version of the schema and the deployment's name for
//! itself.
//!
//! Version 1 had the name alone. Since version 2 a byte stands before it that is no
//! UTF-8: a program of version 1 that is started finds the marker unreadable, and
//! one that is running finds that it has changed. So it writes nothing more. It goes
//! on recognising tokens, since what a digest leads to has kept its form.

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
    /// What erased accounts have reached, and since when check values are kept.
    pub(super) numbers: String,
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

/// Before the name in version 2. The scripts have it too.
const VERSION_2: &[u8] = b"\xff2:";

/// Before the name while version 1 becomes version 2.
pub(super) const UPGRADING: &[u8] = b"\xff1>2:";

/// What a marker says.
pub(super) enum Marker {
    /// This program's version.
    Ready(String),
    /// Version 1, as a whole or in part.
    Older(String),
}

impl Marker {
    /// What the marker of the deployment of that name is.
    pub(super) fn ready(name: &str) -> Vec<u8> {
        [VERSION_2, name.as_bytes()].concat()
    }

    pub(super) fn read(doing: &'static str, marker: Option<&[u8]>) -> Result<Self, StoreError> {
        let marker = marker.ok_or_else(|| lost(doing, Loss::NotCreated))?;
        let name = |name: &[u8]| String::from_utf8(name.to_vec()).map_err(|_| corrupt(doing));
        if let Some(rest) = marker.strip_prefix(VERSION_2) {
            return Ok(Self::Ready(name(rest)?));
        }
        if let Some(rest) = marker.strip_prefix(UPGRADING) {
            return Ok(Self::Older(name(rest)?));
        }
        match marker.first() {
            Some(0xff) => {
                let newer = StoreError::new(StoreErrorKind::NewerSchema, doing);
                Err(newer.with_source(SchemaFault::Newer))
            }
            _ => Ok(Self::Older(name(marker)?)),
        }
    }

    /// The deployment's name, if this program may work on it.
    pub(super) fn name(self, doing: &'static str) -> Result<String, StoreError> {
        match self {
            Self::Ready(name) => Ok(name),
            Self::Older(_) => {
                let older = StoreError::new(StoreErrorKind::NotSetUp, doing);
                Err(older.with_source(SchemaFault::Older))
            }
        }
    }
}
