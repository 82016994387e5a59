//! What is done about accounts that nobody asks for: users are told before their
//! tokens end, and tokens that have ended are retired.

use std::sync::Arc;
use std::time::Duration;

use super::{Inner, ManageError, TokenManager};
use crate::account::Account;
use crate::rotation::{self, Command, Facts, Policy};
use crate::store::{Due, DueAccounts, Loaded, PageSize, StoreError, StoreErrorKind};
use crate::time::Timestamp;
use crate::user::Actor;

/// How many accounts that are due are read at once.
const PAGE: usize = 100;

impl TokenManager {
    /// Does what is due: keeps, with a message to their users, that tokens are going to
    /// end, and retires those that have. Answers how many changes were made.
    ///
    /// `Tokens::start` (feature `tokio`) calls it once a minute; who does not, calls it
    /// about as often. Any number of nodes may, at once too: each notice is kept by one
    /// of them. Where a [`Policy`] other than the last has said
    /// when accounts are due, all of them are gone through once.
    ///
    /// It does nothing where the store cannot tell which accounts are
    /// [due](crate::store::DueAccounts).
    ///
    /// # Errors
    ///
    /// [`ManageError::Store`] if the store cannot be asked. An account that cannot be
    /// read or changed is left out until the next time, with an error in the log.
    pub async fn do_what_is_due(&self) -> Result<u64, ManageError> {
        let Some(accounts) = self.inner.store.due_accounts() else { return Ok(0) };
        self.lift_expiries().await;
        self.inner.write_noted_uses().await?;
        self.follow_the_policy(accounts).await?;
        let (mut changes, mut after): (u64, Option<Due>) = (0, None);
        // What time it is by the store's clock the first account says.
        let mut until = Timestamp::from_unix_millis(i64::MAX as u64);
        loop {
            let page = accounts.due(until, after.as_ref(), PageSize::clamped(PAGE)).await?;
            for due in &page.items {
                let loaded = self.inner.store.load(&due.user).await.map_err(Into::into);
                let Some(loaded) = unless_alone(loaded)? else { continue };
                until = loaded.now;
                if due.at > until {
                    return Ok(changes);
                }
                let done = self.do_what_is_due_about(accounts, loaded).await;
                changes += unless_alone(done)?.unwrap_or_default();
            }
            after = page.next;
            if after.is_none() {
                return Ok(changes);
            }
        }
    }

    /// One change after the other. What there is to do is left to whoever was faster.
    async fn do_what_is_due_about(
        &self,
        accounts: &dyn DueAccounts,
        mut loaded: Loaded,
    ) -> Result<u64, ManageError> {
        let mut changes = 0;
        while let Some(account) = loaded.account.take() {
            let facts = self.inner.facts_with_uses(&account, loaded.now).await?;
            let to_announce = rotation::to_announce(&account, &facts).into_iter().next();
            let command = match to_announce {
                _ if account.has_expired(loaded.now) => Command::RetireExpired,
                Some(id) => Command::AnnounceExpiry { id },
                None => {
                    let at = rotation::due_at(&account, &facts);
                    accounts.put_off(account.user(), account.revision(), at).await?;
                    break;
                }
            };
            let user = account.user().clone();
            let change = self.run(|inner| async move {
                inner.change(None, &expiry(), &user, &command, None, None).await
            });
            match change.await {
                Ok(changed) => loaded.account = Some(Arc::new(changed.account)),
                Err(error) if error.refusal().is_some() => break,
                Err(error) => return Err(error),
            }
            changes += 1;
        }
        Ok(changes)
    }

    /// Goes through all accounts if the policy by which they are due is not this one:
    /// one that has come since, or has changed.
    async fn follow_the_policy(&self, accounts: &dyn DueAccounts) -> Result<(), ManageError> {
        let schedule = schedule(&self.inner.policy);
        if accounts.schedule().await? == schedule {
            return Ok(());
        }
        match self.go_through(accounts).await {
            Ok(()) => accounts.keep_schedule(schedule).await?,
            Err(error) if error.kind() == StoreErrorKind::Corrupt => error.log(),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Lets each account be due as the policy says. It ends at one that cannot be read:
    /// how to go on behind it, the store does not say.
    async fn go_through(&self, accounts: &dyn DueAccounts) -> Result<(), StoreError> {
        let Inner { store, policy, .. } = &*self.inner;
        let mut facts = Facts::new(Timestamp::default(), policy);
        facts.uses_are_kept = store.last_uses().is_some();
        let (mut after, mut size) = (None, PageSize::MAX);
        loop {
            let page = match store.list(after.as_ref(), size).await {
                // Those before the one that cannot be read are gone through all the same.
                Err(error) if error.kind() == StoreErrorKind::Corrupt && size.get() > 1 => {
                    size = PageSize::clamped(size.get() / 2);
                    continue;
                }
                page => page?,
            };
            let due_at = |account: &Arc<Account>| {
                let at = rotation::due_at(account, &facts);
                (account.user().clone(), account.revision(), at)
            };
            accounts.put_off_many(&page.items.iter().map(due_at).collect::<Vec<_>>()).await?;
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Keeps the tokens that were to end unless they are used, since they were. One for
    /// which that fails is tried again with the next.
    pub(crate) async fn lift_expiries(&self) {
        let Some(usage) = &self.inner.usage else { return };
        for token in usage.urgent() {
            let (user, id) = &token;
            match self.change_without_secret(&expiry(), user, Command::LiftExpiry { id: *id }).await
            {
                Err(error) if error.refusal().is_none() => error.log(),
                _ => usage.told_of(&token),
            }
        }
    }
}

/// What has failed for one account alone is told to the log: it holds up no other.
fn unless_alone<T>(done: Result<T, ManageError>) -> Result<Option<T>, ManageError> {
    match done {
        Err(error) if error.is_of_one_account() => {
            error.log();
            Ok(None)
        }
        done => done.map(Some),
    }
}

/// In whose name tokens expire, and their users are told before: nobody has asked for
/// it.
pub(super) fn expiry() -> Actor {
    Actor::program("expiry").expect("the name breaks no rule")
}

/// A number that stands for what the policy says about when accounts are due; not 0,
/// which stands for none.
fn schedule(policy: &Policy) -> u64 {
    let millis = |time: &Duration| time.as_millis().to_string();
    let notices: Vec<_> = policy.notices.iter().map(millis).collect();
    let unused = policy.unused_lifetime.as_ref().map(millis);
    let text = format!("{} {}", unused.unwrap_or_default(), notices.join(","));
    1 << 32 | u64::from(crc32fast::hash(text.as_bytes()))
}
