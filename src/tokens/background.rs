//! What runs in the background once it was started.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::manage::TokenManager;
use crate::time::Timestamp;
use crate::token::{RandomSource, SystemRandom};
use crate::usage::UsageRecorder;

/// How often accounts are looked for about which something is due.
const DUE_INTERVAL: Duration = Duration::from_secs(60);

/// A number that no other process chooses. Where the system gives no random ones, the
/// time and the number of the process are as good as it gets.
pub(super) fn holder() -> u64 {
    let mut bytes = [0; 8];
    if SystemRandom.fill(&mut bytes).is_err() {
        let now = Timestamp::now().unix_millis();
        bytes = (now << 20 | u64::from(std::process::id())).to_le_bytes();
    }
    u64::from_le_bytes(bytes) >> 1
}

/// Writes last uses once every interval until it is stopped, or nobody is left
/// who notes any.
pub(super) async fn write_last_uses(
    usage: UsageRecorder,
    interval: Duration,
    mut stopped: watch::Receiver<()>,
) {
    let others = usage.others();
    let end = async move {
        let dropped = stopped.changed().await.is_err();
        while dropped && others.are_left() {
            sleep(interval).await;
        }
    };
    if let Err(error) = usage.run(interval, end).await {
        error.log();
    }
}

/// Does what is due once a minute, and at once what must not wait, until it is stopped
/// or the manager is dropped by all others.
pub(super) async fn do_what_is_due(
    manager: impl Fn() -> Option<TokenManager> + Send + Sync,
    urgent: Arc<Notify>,
    mut stopped: watch::Receiver<()>,
) {
    tokio::select! {
        biased;
        Ok(()) = stopped.changed() => {}
        () = lift_at_once(&manager, &urgent) => {}
        () = pass_each_minute(&manager) => {}
    }
}

/// A token that was to end unless it is used does not wait for a pass, nor behind one.
async fn lift_at_once(manager: &(impl Fn() -> Option<TokenManager> + Sync), urgent: &Notify) {
    loop {
        urgent.notified().await;
        let Some(manager) = manager() else { return };
        manager.lift_expiries().await;
    }
}

async fn pass_each_minute(manager: &(impl Fn() -> Option<TokenManager> + Sync)) {
    let mut minutes = interval(DUE_INTERVAL);
    minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        minutes.tick().await;
        let Some(manager) = manager() else { return };
        manager.do_what_is_due().await.map(drop).unwrap_or_else(|error| error.log());
    }
}
