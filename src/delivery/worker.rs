//! The delivery to one receiver, by one node at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::Receiver;
use super::window::Window;
use crate::store::{AccountStore, AuditLog, AuditPosition, StoreError, supported};
use crate::telemetry;

/// How long what is under way may still take when the worker stops.
const LAST_ATTEMPTS: Duration = Duration::from_secs(5);

/// How often a worker looks at the log and at the lease.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// How long another node waits for one that is gone.
    pub(crate) lease: Duration,
    /// How often the log is looked at when there is nothing to do.
    pub(crate) poll: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { lease: Duration::from_secs(15), poll: Duration::from_secs(1) }
    }
}

/// Delivers the log of one store to one receiver.
pub(crate) struct Worker {
    pub(crate) store: Arc<dyn AccountStore>,
    /// The name of the receiver's cursor.
    pub(crate) name: String,
    pub(crate) receiver: Arc<dyn Receiver>,
    /// The number of this process.
    pub(crate) holder: u64,
    pub(crate) options: Options,
    /// Whether the receiver has a cursor, from which on it misses nothing.
    pub(crate) has_begun: Arc<AtomicBool>,
}

/// Why a worker stops delivering for a while.
enum Interrupted {
    Stopped,
    /// Another node has the lease, or may have it.
    Lost,
    Failed(StoreError),
}

impl From<StoreError> for Interrupted {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

/// The lease that a worker has, by its own clock. What is asked for at one moment is
/// had from then on, whenever the answer comes.
struct Lease {
    position: AuditPosition,
    asked_at: Instant,
}

impl Worker {
    /// Delivers until it is stopped, whenever no other node does.
    pub(crate) async fn run(self, mut stopped: watch::Receiver<()>) {
        loop {
            match self.deliver(&mut stopped).await {
                Interrupted::Stopped => break,
                Interrupted::Lost => {}
                Interrupted::Failed(error) => error.log(),
            }
            telemetry::delivery_stands(&self.name, 0, None);
            tokio::select! {
                // Stopped, or nobody is left who could.
                _ = stopped.changed() => break,
                () = sleep(self.options.lease / 3) => {}
            }
        }
        if let Some(log) = self.store.audit_log() {
            // Another node goes on at once; without that it waits for the lease to end.
            drop(log.lease_cursor(&self.name, self.holder, Duration::ZERO).await);
        }
    }

    async fn deliver(&self, stopped: &mut watch::Receiver<()>) -> Interrupted {
        match self.try_deliver(stopped).await {
            Ok(interrupted) | Err(interrupted) => interrupted,
        }
    }

    async fn try_deliver(
        &self,
        stopped: &mut watch::Receiver<()>,
    ) -> Result<Interrupted, Interrupted> {
        let log = supported(self.store.audit_log(), "delivering the audit log")?;
        let mut lease = self.lease(log).await?;
        let mut window = Window::new(lease.position, &log.done(&self.name).await?);
        loop {
            match self.go_on(log, &mut lease, &mut window).await {
                Err(Interrupted::Failed(error)) => error.log(),
                outcome => outcome?,
            }
            tokio::select! {
                _ = stopped.changed() => {
                    // What is under way need not come twice.
                    let ends = window.idle(&self.name);
                    drop(timeout(LAST_ATTEMPTS, ends).await);
                    self.keep(log, &mut window).await?;
                    return Ok(Interrupted::Stopped);
                }
                () = window.changed(self.options.poll.min(self.options.lease / 3), &self.name) => {}
            }
        }
    }

    /// Keeps what is done, and begins what may begin, as long as no other node can have
    /// the lease. What fails here is tried again with nothing lost.
    async fn go_on(
        &self,
        log: &dyn AuditLog,
        lease: &mut Lease,
        window: &mut Window,
    ) -> Result<(), Interrupted> {
        if lease.asked_at.elapsed() >= self.options.lease / 3 {
            self.renew(log, lease).await?;
            telemetry::delivery_stands(&self.name, window.waiting(), window.age());
        }
        self.keep(log, window).await?;
        window.read(log, &*self.receiver).await?;
        window.forget_erased(log).await?;
        if lease.asked_at.elapsed() < self.options.lease / 2 {
            window.start(&self.receiver);
        }
        Ok(())
    }

    /// Keeps in the store what is done, before anything else is begun.
    async fn keep(&self, log: &dyn AuditLog, window: &mut Window) -> Result<(), Interrupted> {
        let (name, holder) = (&self.name, self.holder);
        if let Some(position) = window.to_move_to() {
            if !log.move_cursor(name, holder, position).await? {
                return Err(Interrupted::Lost);
            }
            window.moved_to(position);
        }
        if let Some(done) = window.to_keep() {
            if !log.keep_done(name, holder, &done).await? {
                return Err(Interrupted::Lost);
            }
            window.kept();
        }
        Ok(())
    }

    async fn lease(&self, log: &dyn AuditLog) -> Result<Lease, Interrupted> {
        let asked_at = Instant::now();
        let leased = log.lease_cursor(&self.name, self.holder, self.options.lease).await?;
        // Whoever has it, there is one.
        self.has_begun.store(true, Ordering::Relaxed);
        let position = leased.ok_or(Interrupted::Lost)?;
        Ok(Lease { position, asked_at })
    }

    /// A lease that has ended may have been another's meanwhile, who has come further.
    async fn renew(&self, log: &dyn AuditLog, lease: &mut Lease) -> Result<(), Interrupted> {
        if lease.asked_at.elapsed() >= self.options.lease {
            return Err(Interrupted::Lost);
        }
        *lease = self.lease(log).await?;
        Ok(())
    }
}
