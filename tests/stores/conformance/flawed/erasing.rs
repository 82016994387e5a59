//! How a flawed store erases.

use tower_api_token::account::Account;
use tower_api_token::store::{Erasure, FeedItem, StoreError, StoreErrorKind};

use super::place::State;
use super::{Flaw, Flawed};

impl Flawed {
    /// Whether a new account may begin with its numbers.
    pub(crate) fn may_begin(&self, state: &State, account: &Account) -> bool {
        self.has(Flaw::ErasureForgetsNumbers) || account.begins_above(state.erased_up_to)
    }

    pub(crate) fn erase_at_once(&self, erasure: &Erasure) -> Result<(), StoreError> {
        let mut state = self.place.state();
        let name = self.key(erasure.user());
        let unconditional = self.has(Flaw::ErasureUnconditional);
        let there = state.accounts.get(&name).cloned();
        let there = there
            .filter(|account| unconditional || account.revision() == erasure.account.revision());
        let Some(account) = there else {
            return Err(StoreError::new(StoreErrorKind::Conflict, "erasing an account"));
        };
        state.accounts.remove(&name);
        state.created.remove(&name);
        if !self.has(Flaw::ErasureKeepsIndex) {
            state.forget_digests(&name);
        }
        if !self.has(Flaw::ErasureReleasesDigests) {
            state.erased.extend(account.digests().map(|stored| stored.digest));
        }
        if !self.has(Flaw::ErasureKeepsHistory) {
            state.history.remove(&name);
        }
        if !self.has(Flaw::ErasureKeepsUses) {
            let name = self.usage_key(erasure.user());
            state.uses.retain(|(user, _), _| *user != name);
        }
        state.erased_up_to = state.erased_up_to.max(erasure.reached());
        self.log_erasure(&mut state, erasure);
        if self.has(Flaw::ErasureSilent) {
            return Ok(());
        }
        self.send(FeedItem::Change(erasure.change()))
    }
}
