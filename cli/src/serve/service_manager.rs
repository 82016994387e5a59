//! What a service manager such as systemd is told, where one asks for it.

use sd_notify::NotifyState;
use tokio::time::sleep;

use super::stop::Stop;

/// Requests are answered from now on.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Files are read anew; [`ready`] says when that is done.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Tells the watchdog, if there is one, that tasks still run, until it is time to
/// stop.
pub(super) async fn watchdog(until: Stop) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return until.wait().await };
    loop {
        tell(&[NotifyState::Watchdog]);
        tokio::select! {
            () = until.wait() => return,
            () = sleep(limit / 2) => {}
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told of the server's state");
    }
}
