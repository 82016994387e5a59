//! How many users there are about whom something is to be done, for measurements.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::manage::{AccountSummary, ManageError, TokenManager};
use crate::store::PageSize;
use crate::telemetry;
use crate::time::Timestamp;

/// How often users are counted, and the pause after each page of them, so that a store
/// with many is not asked for all at once.
const INTERVAL: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_millis(50);

/// The times within which a token ends, in days and as they are measured by.
const WITHIN: [(u64, &str); 3] = [(1, "1d"), (7, "7d"), (30, "30d")];

/// Counts users every ten minutes until it is stopped, or the manager is dropped by all
/// others.
pub(super) async fn count_users(
    manager: impl Fn() -> Option<TokenManager> + Send + Sync,
    mut stopped: watch::Receiver<()>,
) {
    let mut due = interval(INTERVAL);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let counts = async {
            due.tick().await;
            UserCounts::of(&manager).await
        };
        let counts = tokio::select! {
            biased;
            Ok(()) = stopped.changed() => return,
            counts = counts => counts,
        };
        match counts {
            Ok(Some(counts)) => counts.tell(),
            Ok(None) => return,
            Err(error) => error.log(),
        }
    }
}

#[derive(Default)]
struct UserCounts {
    /// Users of whom a token ends within each of [`WITHIN`].
    ending: [u64; WITHIN.len()],
    on_backup: u64,
}

impl UserCounts {
    /// Counts over the whole list; `None` if nobody else has the manager any more.
    async fn of(
        manager: &(impl Fn() -> Option<TokenManager> + Sync),
    ) -> Result<Option<Self>, ManageError> {
        let (mut counts, mut after) = (Self::default(), None);
        loop {
            let Some(manager) = manager() else { return Ok(None) };
            let page = manager.list(after.as_ref(), PageSize::MAX).await?;
            drop(manager);
            let now = Timestamp::now();
            page.items.iter().for_each(|account| counts.add(account, now));
            after = page.next;
            if after.is_none() {
                return Ok(Some(counts));
            }
            sleep(PAUSE).await;
        }
    }

    fn add(&mut self, account: &AccountSummary, now: Timestamp) {
        self.on_backup += u64::from(account.backup.is_some());
        for (count, (days, _)) in self.ending.iter_mut().zip(WITHIN) {
            let last = now + Duration::from_secs(days * 86_400);
            *count += u64::from(account.expires_at.is_some_and(|end| end <= last));
        }
    }

    fn tell(&self) {
        let ending = self.ending.iter().zip(WITHIN).map(|(count, (_, within))| (within, *count));
        telemetry::users_counted(&ending.collect::<Vec<_>>(), self.on_backup);
    }
}
