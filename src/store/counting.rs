//! Counts over all accounts, for stores that have no faster way.

use std::collections::BTreeMap;

use super::{AccountStore, PageSize, StoreError};
use crate::account::Account;

/// How often each thing comes that `things` shows of an account.
pub(super) async fn over<T: Ord + Send>(
    store: &(impl AccountStore + ?Sized),
    things: fn(&Account) -> Vec<T>,
) -> Result<Vec<(T, u64)>, StoreError> {
    let (mut counts, mut after) = (BTreeMap::new(), None);
    loop {
        let page = store.list(after.as_ref(), PageSize::MAX).await?;
        for thing in page.items.iter().flat_map(|account| things(account)) {
            *counts.entry(thing).or_default() += 1;
        }
        after = page.next;
        if after.is_none() {
            return Ok(counts.into_iter().collect());
        }
    }
}
