//! What requests read of a memory store.

use std::collections::HashSet;
use std::sync::Arc;

use super::map::DigestMap;
use super::sync::{AtomicU64, Ordering};
use crate::account::Account;
use crate::token::TokenDigest;

/// The accounts by every digest that they name.
///
/// Nearly every request comes with a primary. Its account stands in the map
/// itself: among millions of them each pointer that is followed is a wait for
/// memory. All other digests of an account share one more copy of it.
///
/// Any number read beside one writer. A token that stays live may change its
/// place meanwhile, and is found all the same.
pub(super) struct Table<P, O> {
    pub(super) primaries: P,
    pub(super) others: O,
    /// How many times an account has been put in.
    puts: AtomicU64,
}

impl<P: DigestMap<Account>, O: DigestMap<Arc<Account>>> Table<P, O> {
    pub(super) fn new(primaries: P, others: O) -> Self {
        Self { primaries, others, puts: AtomicU64::new(0) }
    }

    /// Lends the account that names the digest.
    #[inline]
    pub(super) fn read<R>(
        &self,
        digest: &TokenDigest,
        mut read: impl FnMut(&Account) -> R,
    ) -> Option<R> {
        let found = self.primaries.read(digest, &mut read);
        found.or_else(|| self.read_anywhere(digest, read))
    }

    /// The same for a digest that may be no primary. One that stands in neither
    /// map is unknown only if it has not gone from one to the other between the
    /// looks: then an account would have been put in meanwhile.
    #[cold]
    #[inline(never)]
    fn read_anywhere<R>(
        &self,
        digest: &TokenDigest,
        mut read: impl FnMut(&Account) -> R,
    ) -> Option<R> {
        loop {
            let puts = self.puts.load(Ordering::Acquire);
            let found = self.others.read(digest, |account| read(account));
            let found = found.or_else(|| self.primaries.read(digest, &mut read));
            if found.is_some() || self.puts.load(Ordering::Acquire) == puts {
                return found;
            }
        }
    }

    /// Lets requests see a change, and each live token in every instant of it.
    pub(super) fn publish(&self, before: Option<&Account>, account: Account) {
        let (primary, others) = (primary(&account), others(&account).collect::<HashSet<_>>());
        self.put_in(account);
        if let Some(before) = before {
            let stays_primary = |digest: &_| primary.as_ref() == Some(digest);
            self.take_out(before, stays_primary, |digest| others.contains(digest));
        }
    }

    /// Puts an account in under all its digests, and counts it when it is there.
    pub(super) fn put_in(&self, account: Account) {
        if others(&account).next().is_some() {
            let shared = Arc::new(account.clone());
            for digest in others(&account) {
                self.others.insert(digest, Arc::clone(&shared));
            }
            self.others.make_room();
        }
        if let Some(primary) = primary(&account) {
            self.primaries.insert(primary, account);
            self.primaries.make_room();
        }
        self.puts.fetch_add(1, Ordering::Release);
    }

    /// Takes an account's digests out, but those that are to stay where they are.
    pub(super) fn take_out(
        &self,
        account: &Account,
        stays_primary: impl Fn(&TokenDigest) -> bool,
        stays_other: impl Fn(&TokenDigest) -> bool,
    ) {
        for digest in primary(account).iter().filter(|digest| !stays_primary(digest)) {
            self.primaries.remove(digest);
        }
        for digest in others(account).filter(|digest| !stays_other(digest)) {
            self.others.remove(&digest);
        }
    }
}

fn primary(account: &Account) -> Option<TokenDigest> {
    account.primary().map(|record| record.digest.digest)
}

/// Every digest that an account names but its primary's.
fn others(account: &Account) -> impl Iterator<Item = TokenDigest> {
    let primary = primary(account);
    account.digests().map(|stored| stored.digest).filter(move |digest| primary != Some(*digest))
}
