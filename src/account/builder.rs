//! Putting an account together from its parts.

use super::{Account, Confirmed, Pending, Retired, Revision, TokenRecord};
use crate::identity::UserId;
use crate::method::MethodSet;
use crate::token::{StoredDigest, TokenId};

/// Builds an [`Account`]; see [`Account::builder`].
///
/// Whatever is not set is empty. It checks structure and not policy: an account
/// without a method but with a token is a state that the manager never makes,
/// but a host's own store can.
#[derive(Clone, Debug)]
#[must_use]
pub struct AccountBuilder(Account);

impl AccountBuilder {
    pub(super) fn new(user: UserId) -> Self {
        Self(Account { next_token: 0, revision: Revision::from_u64(1), ..Account::absent(user) })
    }

    /// The number of the last change. Default: 1.
    pub const fn revision(mut self, revision: Revision) -> Self {
        self.0.revision = revision;
        self
    }

    /// The methods that the user may perform. Default: none.
    pub fn methods(mut self, methods: MethodSet) -> Self {
        self.0.methods = methods;
        self
    }

    /// The token to use. Default: none.
    pub fn primary(mut self, token: TokenRecord) -> Self {
        self.0.primary = Some(token);
        self
    }

    /// The former primary. Default: none.
    pub fn backup(mut self, token: TokenRecord) -> Self {
        self.0.backup = Some(token);
        self
    }

    /// The token that waits for its confirmation. Default: none.
    pub fn pending(mut self, pending: Pending) -> Self {
        self.0.pending = Some(Box::new(pending));
        self
    }

    /// The tokens that are no more, the earliest first. Default: none.
    pub fn retired(mut self, retired: impl IntoIterator<Item = Retired>) -> Self {
        self.0.retired = retired.into_iter().collect();
        self
    }

    /// The last confirmation that took effect. Default: none.
    pub fn confirmed(mut self, confirmed: Confirmed) -> Self {
        self.0.confirmed = Some(Box::new(confirmed));
        self
    }

    /// The number of the next token. Default: one more than the greatest id.
    pub const fn next_token(mut self, number: u64) -> Self {
        self.0.next_token = number;
        self
    }

    /// The account.
    ///
    /// # Errors
    ///
    /// [`AccountError`] names the rule that the parts break.
    pub fn build(self) -> Result<Account, AccountError> {
        let Self(mut account) = self;
        let ids = ids(&account);
        let after_last = ids.last().map_or(1, |id| id.as_u64().saturating_add(1));
        if account.next_token == 0 {
            account.next_token = after_last;
        }
        if account.revision == Revision::ABSENT {
            Err(AccountError::ZeroRevision)
        } else if account.backup.is_some() && account.primary.is_none() {
            Err(AccountError::BackupWithoutPrimary)
        } else if !all_different(&ids) {
            Err(AccountError::RepeatedId)
        } else if account.next_token < after_last {
            Err(AccountError::UsedId)
        } else if !all_different(&digests(&account)) {
            Err(AccountError::RepeatedDigest)
        } else {
            Ok(account)
        }
    }
}

fn ids(account: &Account) -> Vec<TokenId> {
    let live = account.primary.iter().chain(&account.backup).map(|token| token.id);
    let pending = account.pending.iter().map(|pending| pending.token.id);
    let retired = account.retired.iter().map(|retired| retired.id);
    let mut ids: Vec<_> = live.chain(pending).chain(retired).collect();
    ids.sort_unstable();
    ids
}

fn digests(account: &Account) -> Vec<[u8; 32]> {
    let bytes = |stored: &StoredDigest| *stored.digest.as_bytes();
    let mut digests: Vec<_> = account.digests().map(bytes).collect();
    digests.sort_unstable();
    digests
}

fn all_different<T: PartialEq>(sorted: &[T]) -> bool {
    sorted.windows(2).all(|pair| pair[0] != pair[1])
}

/// Why parts do not make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// Revision 0 is that of an account that does not exist.
    #[error("an account's revision must be 1 or greater")]
    ZeroRevision,
    /// A backup implies a primary.
    #[error("an account with a backup must have a primary")]
    BackupWithoutPrimary,
    /// Two tokens have one id.
    #[error("every token of an account must have an id of its own")]
    RepeatedId,
    /// The next token would have an id that was given out.
    #[error("an account's next token number must be greater than every id in it")]
    UsedId,
    /// Two places name one digest.
    #[error("an account must name a digest once only")]
    RepeatedDigest,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;
    use crate::token::{PepperVersion, TokenDigest, TokenHint};

    fn record(id: u64, digest: u8) -> TokenRecord {
        let digest = StoredDigest::new(TokenDigest::from_bytes([digest; 32]), PepperVersion::NONE);
        TokenRecord::new(TokenId::from_u64(id), digest, TokenHint::unknown(), Timestamp::default())
    }

    fn builder() -> AccountBuilder {
        Account::builder(UserId::new("alice").unwrap())
    }

    #[test]
    fn build_names_the_rule_that_is_broken() {
        let cases = [
            (builder().revision(Revision::ABSENT), AccountError::ZeroRevision),
            (builder().backup(record(1, 1)), AccountError::BackupWithoutPrimary),
            (builder().primary(record(1, 1)).backup(record(1, 2)), AccountError::RepeatedId),
            (builder().primary(record(1, 1)).backup(record(2, 1)), AccountError::RepeatedDigest),
            (builder().primary(record(2, 1)).next_token(2), AccountError::UsedId),
        ];
        for (parts, error) in cases {
            assert_eq!(parts.build().unwrap_err(), error);
        }
    }

    #[test]
    fn structure_is_checked_and_policy_is_not() {
        let account = builder().primary(record(7, 1)).build().unwrap();
        assert!(account.methods().is_empty());
        assert_eq!(account.next_token(), 8);
    }
}
