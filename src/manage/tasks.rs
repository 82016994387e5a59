//! Tasks of a manager's own: what they do, they do to its end, whoever waits for
//! it.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tracing::Instrument;
use tracing::instrument::WithSubscriber;

use super::Inner;
use super::follow::{Erasing, Follows};
use crate::audit::AuditEntry;
use crate::notify::ConfirmationMessage;
use crate::store::{LateWrite, NotBegun, PageSize, StoreError, StoreErrorKind};
use crate::telemetry;

/// The pauses between two looks for a change whose outcome is unknown.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long such a change may take to appear in a store that can be read: a
/// server may still be at it although the connection to it is gone.
const APPEARANCE: Duration = Duration::from_secs(30);

/// How long it is looked for altogether, where the store cannot be read.
const SEARCH: Duration = Duration::from_secs(10 * 60);

/// The tasks that a manager has begun: how many of them are running.
pub(super) struct Tasks(watch::Sender<usize>);

/// One running task.
struct Running(watch::Sender<usize>);

impl Running {
    fn begin(tasks: &Tasks) -> Self {
        tasks.0.send_modify(|running| *running += 1);
        Self(tasks.0.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

impl Tasks {
    pub(super) fn none() -> Self {
        Self(watch::Sender::new(0))
    }

    /// Does the work in a task of its own. Where there is no runtime it is done
    /// here, and ends with its caller.
    pub(super) async fn run<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let Ok(runtime) = Handle::try_current() else { return work.await };
        match self.spawn(&runtime, work).await {
            Ok(outcome) => outcome,
            // The host's own: that of a store.
            Err(stopped) if stopped.is_panic() => resume_unwind(stopped.into_panic()),
            Err(stopped) => Err(shut_down().with_source(stopped).into()),
        }
    }

    fn spawn<T: Send + 'static>(
        &self,
        runtime: &Handle,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let running = Running::begin(self);
        let work = async move {
            let _running = running;
            work.await
        };
        runtime.spawn(work.in_current_span().with_current_subscriber())
    }

    /// Waits until no task is running.
    pub(super) async fn idle(&self) {
        // It cannot fail: the sender is this one.
        drop(self.0.subscribe().wait_for(|running| *running == 0).await);
    }
}

/// Only the end of the runtime stops a task.
const fn shut_down() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "changing an account while the runtime ends")
}

/// What the store says of a change whose outcome was unknown.
enum Fate {
    Made,
    NotMade,
    /// The account is as it was before, so the change may still come; or it cannot
    /// be read although others can.
    NotYet,
    Unreadable,
}

impl Fate {
    const fn unreadable(error: &StoreError) -> Self {
        match error.kind() {
            StoreErrorKind::Corrupt => Self::NotYet,
            _ => Self::Unreadable,
        }
    }
}

impl Inner {
    /// Tells of changes that are in doubt once they turn out to be committed.
    pub(super) fn await_outcome(self: &Arc<Self>, doubtful: Vec<Follows>, error: &StoreError) {
        // Without a runtime nothing goes on after the answer.
        let Ok(runtime) = Handle::try_current() else { return };
        if NotBegun::is_cause_of(error) {
            return;
        }
        let (inner, late) = (Arc::clone(self), LateWrite::of(error));
        drop(self.tasks.spawn(&runtime, async move {
            let doubtful = match late {
                Some(late) => inner.hear(late, doubtful).await,
                None => doubtful,
            };
            inner.look_for(doubtful).await;
        }));
    }

    /// Waits for the answer to a write that goes on, and tells of what was
    /// written. Returns what is in doubt even then.
    async fn hear(&self, late: LateWrite, doubtful: Vec<Follows>) -> Vec<Follows> {
        let mut answers = match late.answer().await {
            Ok(answers) => answers.into_iter(),
            Err(error) if error.kind().may_have_written() => return doubtful,
            Err(_) => return Vec::new(),
        };
        let mut left = Vec::new();
        for follows in doubtful {
            match answers.next() {
                Some(Ok(())) => self.tell_late(follows).await,
                Some(Err(error)) if !error.kind().may_have_written() => {}
                _ => left.push(follows),
            }
        }
        left
    }

    /// Looks for the changes until they are in the store or can no longer come,
    /// and tells of those that are there.
    async fn look_for(&self, mut doubtful: Vec<Follows>) {
        let (mut pause, mut end) = (FIRST_PAUSE, None);
        let last = Instant::now() + SEARCH;
        while !doubtful.is_empty() {
            sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
            let (left, readable) = self.look(doubtful).await;
            doubtful = left;
            end = readable.then(|| end.unwrap_or_else(|| Instant::now() + APPEARANCE));
            if Instant::now() >= end.unwrap_or(last) {
                doubtful.iter().for_each(outcome_unknown);
                return;
            }
        }
    }

    /// Looks once. Returns what is still in doubt, and whether the store could
    /// be read.
    async fn look(&self, doubtful: Vec<Follows>) -> (Vec<Follows>, bool) {
        let (mut left, mut readable) = (Vec::new(), true);
        for follows in doubtful {
            let fate = if readable { self.fate(&follows).await } else { Fate::Unreadable };
            readable &= !matches!(fate, Fate::Unreadable);
            match fate {
                Fate::Made => self.tell_late(follows).await,
                Fate::NotMade => {}
                Fate::NotYet | Fate::Unreadable => left.push(follows),
            }
        }
        (left, readable)
    }

    /// Tells of a change that was committed some time ago. A code that is dead by
    /// now is sent to nobody.
    async fn tell_late(&self, mut follows: Follows) {
        if let Follows::Change { outgoing, .. } = &mut follows
            && let Some(late) = outgoing.take()
            && self.may_confirm(&late.message).await
        {
            *outgoing = Some(late);
        }
        drop(self.tell(follows).await);
    }

    /// Whether the message's code can still activate its token, as far as the store
    /// says.
    async fn may_confirm(&self, message: &ConfirmationMessage) -> bool {
        let Ok(loaded) = self.store.load(&message.user).await else { return true };
        let account = loaded.account_or_absent(&message.user);
        let code = message.code.digest(&message.user);
        let pending = account.pending().filter(|pending| pending.code == code);
        pending.is_some_and(|pending| loaded.now < pending.code_expires_at)
    }

    async fn fate(&self, follows: &Follows) -> Fate {
        let entries = match follows {
            Follows::Change { entries, .. } => entries,
            Follows::Erasure(erasing) => return self.fate_of_erasure(erasing).await,
        };
        let Some(entry) = entries.last() else { return Fate::NotMade };
        let AuditEntry { user, revision, .. } = entry;
        let loaded = match self.store.load(user).await {
            Ok(loaded) => loaded,
            Err(error) => return Fate::unreadable(&error),
        };
        if loaded.account_or_absent(user).revision() < *revision {
            return Fate::NotYet;
        }
        match self.store.history(user, Some(revision.next()), PageSize::clamped(1)).await {
            Ok(history) if history.items.first() == Some(entry) => Fate::Made,
            Ok(_) => Fate::NotMade,
            Err(error) => Fate::unreadable(&error),
        }
    }

    async fn fate_of_erasure(&self, erasing: &Erasing) -> Fate {
        let loaded = match self.store.load(&erasing.user).await {
            Ok(loaded) => loaded,
            Err(error) => return Fate::unreadable(&error),
        };
        if loaded.revision() == Some(erasing.last) {
            return Fate::NotYet;
        }
        match self.is_erased(erasing).await {
            Ok(true) => Fate::Made,
            Ok(false) => Fate::NotMade,
            Err(error) => Fate::unreadable(&error),
        }
    }
}

fn outcome_unknown(follows: &Follows) {
    match follows {
        Follows::Change { entries, .. } => entries.iter().for_each(telemetry::outcome_unknown),
        Follows::Erasure(erasing) => telemetry::erasure_unknown(&erasing.erased),
    }
}
