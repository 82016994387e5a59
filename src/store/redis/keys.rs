//! The names of a deployment's keys, which all carry one hash tag.

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
