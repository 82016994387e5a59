//! By whose policy accounts are due, where processes with different ones use a store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Inner, ManageError};
use crate::account::Account;
use crate::rotation::{self, Facts, Policy};
use crate::store::{DueAccounts, PageSize, StoreError, StoreErrorKind};
use crate::telemetry;
use crate::time::{Clock, SystemClock, Timestamp};
use crate::usage::UsageRecorder;

/// How often one process goes through all accounts at most.
const INTERVAL: Duration = Duration::from_secs(3_600);

/// What this process remembers of going through all accounts.
#[derive(Default)]
pub(super) struct Walk(Mutex<Option<(Timestamp, Outcome)>>);

#[derive(Clone, Copy)]
enum Outcome {
    /// All were gone through, and the store keeps that they are due by this policy.
    Kept,
    /// The same, and the log has said that another process's policy took its place.
    Replaced,
    /// It ended at an account that cannot be read.
    GivenUp,
}

impl Walk {
    fn last(&self) -> MutexGuard<'_, Option<(Timestamp, Outcome)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came of it, if it was within the interval.
    fn recent(&self, now: Timestamp) -> Option<Outcome> {
        self.last().filter(|(at, _)| now.since(*at) < INTERVAL).map(|(_, outcome)| outcome)
    }

    /// Tells the log, once for each time that all were gone through.
    fn tell_of_other_policy(&self) {
        if let Some((_, outcome @ Outcome::Kept)) = &mut *self.last() {
            *outcome = Outcome::Replaced;
            telemetry::policies_differ();
        }
    }
}

impl Inner {
    /// Goes through all accounts if the policy by which they are due is not this one:
    /// one that has come since, or has changed. `false` where another process has just
    /// gone through them after this one: what is due is left to that, else both would
    /// do so again and again.
    pub(super) async fn follow_the_policy(
        &self,
        accounts: &dyn DueAccounts,
    ) -> Result<bool, ManageError> {
        let schedule = schedule(&self.policy);
        if accounts.schedule().await? == schedule {
            return Ok(true);
        }
        let now = self.usage.as_ref().map_or_else(|| SystemClock.now(), UsageRecorder::now);
        match self.walk.recent(now) {
            Some(Outcome::GivenUp) => return Ok(true),
            Some(Outcome::Kept | Outcome::Replaced) => {
                self.walk.tell_of_other_policy();
                return Ok(false);
            }
            None => {}
        }
        let outcome = match self.go_through(accounts).await {
            Ok(()) => {
                accounts.keep_schedule(schedule).await?;
                Outcome::Kept
            }
            Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                error.log();
                Outcome::GivenUp
            }
            Err(error) => return Err(error.into()),
        };
        *self.walk.last() = Some((now, outcome));
        Ok(true)
    }

    /// Lets each account be due as the policy says. It ends at one that cannot be read:
    /// how to go on behind it, the store does not say.
    async fn go_through(&self, accounts: &dyn DueAccounts) -> Result<(), StoreError> {
        let mut facts = Facts::new(Timestamp::default(), &self.policy);
        facts.uses_are_kept = self.store.last_uses().is_some();
        let (mut after, mut size) = (None, PageSize::MAX);
        loop {
            let page = match self.store.list(after.as_ref(), size).await {
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

    /// Whether other processes go by another policy than this one to say when accounts
    /// are due, as where an administrator's program knows nothing of the host's. Then
    /// what this one changes is due at once, and the next pass of a host puts it off.
    pub(super) async fn is_due_by_another_policy(&self) -> bool {
        let Some(accounts) = self.store.due_accounts() else { return false };
        match accounts.schedule().await {
            // By none yet: the first pass goes through all accounts.
            Ok(0) => false,
            Ok(kept) => kept != schedule(&self.policy),
            // To be due too early costs one look at the account.
            Err(_) => true,
        }
    }
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
