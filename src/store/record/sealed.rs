//! The sealed tokens of an account, behind all else.

use serde::{Deserialize, Serialize};

use super::RecordError;
use crate::account::{Account, TokenRecord};
use crate::token::SealedToken;

/// Those of the primary, the backup and the pending token.
#[derive(Serialize, Deserialize)]
pub(super) struct SealedForm<'a> {
    #[serde(borrow)]
    primary: Option<&'a [u8]>,
    #[serde(borrow)]
    backup: Option<&'a [u8]>,
    #[serde(borrow)]
    pending: Option<&'a [u8]>,
}

impl<'a> SealedForm<'a> {
    pub(super) fn of(account: &'a Account) -> Self {
        Self {
            primary: account.primary().and_then(bytes),
            backup: account.backup().and_then(bytes),
            pending: account.pending().and_then(|pending| bytes(&pending.token)),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.primary.is_none() && self.backup.is_none() && self.pending.is_none()
    }

    pub(super) fn put_into(&self, account: &mut Account) -> Result<(), RecordError> {
        put(self.primary, account.primary.as_mut())?;
        put(self.backup, account.backup.as_deref_mut())?;
        put(self.pending, account.pending.as_deref_mut().map(|pending| &mut pending.token))
    }
}

fn bytes(token: &TokenRecord) -> Option<&[u8]> {
    token.sealed.as_ref().map(SealedToken::as_bytes)
}

fn put(sealed: Option<&[u8]>, token: Option<&mut TokenRecord>) -> Result<(), RecordError> {
    match (sealed, token) {
        (None, _) => Ok(()),
        (Some(_), None) => Err(RecordError::SealedNothing),
        (Some(bytes), Some(token)) => {
            token.sealed = Some(SealedToken::from_bytes(bytes));
            Ok(())
        }
    }
}
