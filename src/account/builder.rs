//! Putting an account together from its parts, and what a host puts beside it.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::{Account, Confirmed, Lifetimes, Pending, Retired, Revision, TokenRecord};
use crate::ValueError;
use crate::method::MethodSet;
use crate::time::Timestamp;
use crate::token::TokenId;
use crate::user::UserId;

/// What a signed 64-bit column can hold, less what an account can still count.
const GREATEST: u64 = i64::MAX as u64 - u32::MAX as u64;

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

    /// How long the user's tokens live, where that is shorter than the policy says.
    /// Default: as the policy says.
    pub fn lifetimes(mut self, lifetimes: Lifetimes) -> Self {
        self.0.terms.set_lifetimes(lifetimes);
        self
    }

    /// Suspends the user's access since then. Default: it is not suspended.
    pub fn suspended_since(mut self, since: Timestamp) -> Self {
        self.0.terms.set_suspended_since(Some(since));
        self
    }

    /// The token to use. Default: none.
    pub fn primary(mut self, token: TokenRecord) -> Self {
        self.0.primary = Some(token);
        self
    }

    /// The former primary. Default: none.
    pub fn backup(mut self, token: TokenRecord) -> Self {
        self.0.backup = Some(Box::new(token));
        self
    }

    /// The token that waits for its confirmation. Default: none.
    pub fn pending(mut self, pending: Pending) -> Self {
        self.0.pending = Some(Box::new(pending));
        self
    }

    /// The tokens that are no more, the earliest first, in place of those that were
    /// said before. Default: none.
    pub fn retired(mut self, retired: impl IntoIterator<Item = Retired>) -> Self {
        self.0.retired = retired.into_iter().collect();
        self
    }

    /// The last confirmation that took effect. Default: none.
    pub fn confirmed(mut self, confirmed: Confirmed) -> Self {
        self.0.confirmed = Some(Box::new(confirmed));
        self
    }

    /// A value of the host's own, such as the scopes that its key table has for
    /// the user. [`Identity::extension`](crate::Identity::extension) hands it to
    /// handlers and to
    /// [`also_require`](crate::TokenAuthLayer::also_require). Default: none.
    ///
    /// A host's own store sets it, with each account that it gives out. It is no
    /// part of the account's state: this crate's stores never write it into a
    /// database, a change of the account keeps it as it was read, accounts that
    /// differ by it alone are equal, and `Debug` shows only that it is there.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tower_api_token::account::Account;
    /// use tower_api_token::user::UserId;
    /// use tower_api_token::{TokenAuthLayer, store::MemoryStore};
    ///
    /// struct Scopes(Vec<String>);
    ///
    /// let scopes = Arc::new(Scopes(vec!["orders:read".to_owned()]));
    /// let account = Account::builder(UserId::new("alice")?).extension(scopes).build()?;
    /// assert_eq!(account.extension::<Scopes>().unwrap().0, ["orders:read"]);
    ///
    /// let layer = TokenAuthLayer::new(MemoryStore::new()).also_require(|identity, _| {
    ///     let scopes = identity.extension::<Scopes>();
    ///     scopes.is_some_and(|scopes| scopes.0.iter().any(|scope| scope == "orders:read"))
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn extension<T: Any + Send + Sync>(mut self, value: Arc<T>) -> Self {
        self.0.extension = Extension::new(value);
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
    /// [`ValueError`] names the rule that the parts break.
    pub fn build(self) -> Result<Account, ValueError> {
        let Self(mut account) = self;
        if account.next_token == 0 {
            account.next_token = after_last(&account);
        }
        account.check()?;
        Ok(account)
    }
}

impl Account {
    /// Whether its parts fit together. A store asks for every account that it
    /// reads: one list is sorted twice, so that it costs little and grows
    /// little with the number of tokens.
    pub(crate) fn check(&self) -> Result<(), ValueError> {
        let mut tokens = tokens(self);
        if self.revision == Revision::ABSENT {
            return Err(ValueError::AccountRevisionZero);
        }
        if self.revision.as_u64().max(self.next_token) > GREATEST {
            return Err(ValueError::AccountExhausted);
        }
        if self.backup.is_some() && self.primary.is_none() {
            return Err(ValueError::BackupWithoutPrimary);
        }
        tokens.sort_unstable_by_key(|(id, _)| *id);
        if tokens.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(ValueError::RepeatedTokenId);
        }
        if tokens.last().is_some_and(|(id, _)| self.next_token <= id.as_u64()) {
            return Err(ValueError::UsedTokenId);
        }
        tokens.sort_unstable_by_key(|(_, digest)| *digest);
        if tokens.windows(2).any(|pair| pair[0].1 == pair[1].1) {
            return Err(ValueError::RepeatedDigest);
        }
        Ok(())
    }
}

fn after_last(account: &Account) -> u64 {
    let last = tokens(account).iter().map(|(id, _)| id.as_u64()).max();
    last.map_or(1, |id| id.saturating_add(1))
}

fn tokens(account: &Account) -> Vec<(TokenId, &[u8; 32])> {
    let mut tokens = Vec::with_capacity(3 + account.retired.len());
    let live = account.live_tokens();
    let live = live.chain(account.pending.iter().map(|pending| &pending.token));
    tokens.extend(live.map(|token| (token.id, token.digest.digest.as_bytes())));
    let retired = account.retired.iter();
    tokens.extend(retired.map(|retired| (retired.id, retired.digest.digest.as_bytes())));
    tokens
}

/// A value that the host's own store has put beside an account, if any.
///
/// It is no part of the account's state: no store of this crate writes it into a
/// database, and all of them are equal. One word, so that accounts without one
/// stay small; without one a copy touches no count.
#[derive(Clone, Default)]
pub(crate) struct Extension(Option<Arc<Arc<dyn Any + Send + Sync>>>);

impl Extension {
    pub(crate) const NONE: Self = Self(None);

    pub(crate) fn new<T: Any + Send + Sync>(value: Arc<T>) -> Self {
        Self(Some(Arc::new(value)))
    }

    /// The value, if it is of that type.
    pub(crate) fn get<T: Any>(&self) -> Option<&T> {
        let value: &(dyn Any + Send + Sync) = &***self.0.as_ref()?;
        value.downcast_ref()
    }
}

impl PartialEq for Extension {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Extension {}

/// Only whether there is one: what it is may be secret.
impl fmt::Debug for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Some(..)" } else { "None" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Ending;
    use crate::time::Timestamp;
    use crate::token::{PepperVersion, StoredDigest, TokenDigest, TokenHint};

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
            (builder().revision(Revision::ABSENT), ValueError::AccountRevisionZero),
            (builder().backup(record(1, 1)), ValueError::BackupWithoutPrimary),
            (builder().primary(record(1, 1)).backup(record(1, 2)), ValueError::RepeatedTokenId),
            (builder().primary(record(1, 1)).backup(record(2, 1)), ValueError::RepeatedDigest),
            (builder().primary(record(2, 1)).next_token(2), ValueError::UsedTokenId),
            (builder().primary(record(u64::MAX, 1)), ValueError::AccountExhausted),
            (builder().revision(Revision::from_u64(u64::MAX)), ValueError::AccountExhausted),
        ];
        for (parts, error) in cases {
            assert_eq!(parts.build().unwrap_err(), error);
        }
    }

    #[test]
    fn a_repetition_is_found_among_few_and_among_many() {
        for count in 1..40 {
            let retired = |id, number| {
                let token = record(id, number);
                Retired::new(token.id, token.digest, token.made_at, Ending::Deleted)
            };
            let tokens = (1..=count).map(|number| retired(number.into(), number));
            let with = |token| builder().retired(tokens.clone().chain([token])).build();
            assert!(with(retired(100, 100)).is_ok());
            for number in 1..=count {
                let same_id = with(retired(number.into(), 100)).unwrap_err();
                assert_eq!(same_id, ValueError::RepeatedTokenId);
                let same_digest = with(retired(100, number)).unwrap_err();
                assert_eq!(same_digest, ValueError::RepeatedDigest);
            }
        }
    }

    #[test]
    fn structure_is_checked_and_policy_is_not() {
        let account = builder().primary(record(7, 1)).build().unwrap();
        assert!(account.methods().is_empty());
        assert_eq!(account.next_token(), 8);
    }
}
