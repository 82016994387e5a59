//! What is done about accounts that nobody asks for: users are told before their
//! tokens end, and tokens that have ended are retired.

use std::sync::Arc;

use super::{ManageError, TokenManager};
use crate::rotation::{self, Command};
use crate::store::{Due, DueAccounts, Loaded, PageSize};
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
    /// of them. Where a [`Policy`](crate::rotation::Policy) other than the last has said
    /// when accounts are due, all of them are gone through once. Where processes that
    /// run at once have different ones, the log says so; each goes through all accounts
    /// once an hour at most, and what is due is left to the one that did so last.
    ///
    /// It does nothing where the store cannot tell which accounts are
    /// [due](crate::store::DueAccounts).
    ///
    /// # Errors
    ///
    /// [`ManageError::Store`] if the store cannot be asked. An account that cannot be
    /// read or changed is left out until the next time, with an error in the log; those
    /// behind one that cannot be read are due as the former policy says.
    pub async fn do_what_is_due(&self) -> Result<u64, ManageError> {
        let Some(accounts) = self.inner.store.due_accounts() else { return Ok(0) };
        self.lift_expiries().await;
        self.inner.write_noted_uses().await?;
        if !self.inner.follow_the_policy(accounts).await? {
            return Ok(0);
        }
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
