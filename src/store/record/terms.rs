//! The parts of an account that few have: shorter lifetimes, a suspension, and what is
//! known of a token's end beside the moment itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{RecordError, time};
use crate::account::{Account, Expiry, Lifetimes, TokenRecord, UnusedEnd};
use crate::time::Timestamp;

/// Times are milliseconds since 1970, and lengths of time milliseconds.
#[derive(Default, PartialEq, Serialize, Deserialize)]
pub(super) struct TermsForm {
    token_lifetime: Option<u64>,
    backup_lifetime: Option<u64>,
    suspended_since: Option<u64>,
    primary: Option<ExpiryForm>,
    backup: Option<ExpiryForm>,
}

impl TermsForm {
    pub(super) fn of(account: &Account) -> Self {
        let Lifetimes { token, backup } = account.lifetimes();
        let expiry = |token: &TokenRecord| token.expiry.as_deref().map(ExpiryForm::of);
        Self {
            token_lifetime: token.map(millis),
            backup_lifetime: backup.map(millis),
            suspended_since: account.suspended_since().map(Timestamp::unix_millis),
            primary: account.primary().and_then(expiry),
            backup: account.backup().and_then(expiry),
        }
    }

    pub(super) fn put_into(&self, account: &mut Account) -> Result<(), RecordError> {
        account.terms.set_lifetimes(Lifetimes {
            token: self.token_lifetime.map(Duration::from_millis),
            backup: self.backup_lifetime.map(Duration::from_millis),
        });
        account.terms.set_suspended_since(self.suspended_since.map(time));
        put_expiry(self.primary.as_ref(), account.primary.as_mut())?;
        put_expiry(self.backup.as_ref(), account.backup.as_deref_mut())
    }
}

fn put_expiry(
    expiry: Option<&ExpiryForm>,
    token: Option<&mut TokenRecord>,
) -> Result<(), RecordError> {
    let Some(expiry) = expiry else { return Ok(()) };
    token.ok_or(RecordError::EndOfNothing)?.expiry = Some(Box::new(expiry.expiry()));
    Ok(())
}

#[derive(PartialEq, Serialize, Deserialize)]
struct ExpiryForm {
    of_lifetime: Option<u64>,
    as_backup: Option<u64>,
    /// When it ends, and when its user was told.
    unless_used: Option<(u64, u64)>,
    unused_since: Option<u64>,
    notices_done: Option<u64>,
    announced: bool,
}

impl ExpiryForm {
    fn of(expiry: &Expiry) -> Self {
        let unless_used =
            expiry.unless_used.map(|end| (end.at.unix_millis(), end.announced_at.unix_millis()));
        Self {
            of_lifetime: expiry.of_lifetime.map(Timestamp::unix_millis),
            as_backup: expiry.as_backup.map(Timestamp::unix_millis),
            unless_used,
            unused_since: expiry.unused_since.map(Timestamp::unix_millis),
            notices_done: expiry.notices_done.map(millis),
            announced: expiry.announced,
        }
    }

    fn expiry(&self) -> Expiry {
        Expiry {
            of_lifetime: self.of_lifetime.map(time),
            as_backup: self.as_backup.map(time),
            unless_used: self.unless_used.map(|(at, told)| UnusedEnd::new(time(at), time(told))),
            unused_since: self.unused_since.map(time),
            notices_done: self.notices_done.map(Duration::from_millis),
            announced: self.announced,
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
