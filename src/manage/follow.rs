//! What follows a change once it is committed: its audit entries, the
//! confirmation code, and the notices to its user.

use std::collections::HashMap;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use super::{Delivery, Inner};
use crate::account::{Account, Revision};
use crate::audit::{AccountErased, AuditEntry, Event};
use crate::notify::{ConfirmationMessage, Notifier, NotifyError};
use crate::store::{Erasure, Replacement};
use crate::telemetry;
use crate::token::ConfirmationCode;
use crate::user::{ClientLabel, UserId};

/// A confirmation code that was just made.
pub(super) struct NewCode {
    pub(super) code: ConfirmationCode,
    /// Who sends it; `None` if the caller gets it.
    pub(super) notifier: Option<Arc<dyn Notifier>>,
    /// By which client it was asked for.
    pub(super) client: Option<ClientLabel>,
}

impl NewCode {
    /// The message that brings the code to the user of the account, if a
    /// notifier sends it.
    fn outgoing(&self, account: &Account, entry: &AuditEntry) -> Option<Outgoing> {
        let (notifier, pending) = (self.notifier.as_ref()?, account.pending()?);
        let mut message = ConfirmationMessage::new(
            entry.user.clone(),
            pending.token.id,
            self.code.clone(),
            pending.code_expires_at,
            pending.expires_at,
            entry.actor.clone(),
            entry.at,
        );
        message.client = self.client.clone();
        message.hint = pending.token.hint.clone();
        Some(Outgoing { notifier: Arc::clone(notifier), message })
    }
}

/// A message with a confirmation code, and who sends it.
pub(super) struct Outgoing {
    notifier: Arc<dyn Notifier>,
    pub(super) message: ConfirmationMessage,
}

/// What follows one change.
pub(super) enum Follows {
    Change {
        /// What the change adds to the history, the earliest first; never empty.
        entries: Vec<AuditEntry>,
        outgoing: Option<Box<Outgoing>>,
        claim: Claim,
    },
    Erasure(Erasing),
}

/// An erasure to tell of.
pub(super) struct Erasing {
    pub(super) user: UserId,
    /// The last revision of the account.
    pub(super) last: Revision,
    pub(super) erased: AccountErased,
    claim: Claim,
}

impl Inner {
    /// What follows a change that is about to be written. `code` is that of the
    /// token which is pending after it, where the change makes a new one.
    pub(super) fn follows(&self, change: &Replacement, code: Option<&NewCode>) -> Follows {
        let outgoing = code.and_then(|code| code.outgoing(&change.account, &change.entry));
        let AuditEntry { user, revision, .. } = &change.entry;
        let claim = Claim::new(&self.claims, user, *revision);
        let entries = change.entries().cloned().collect();
        Follows::Change { entries, outgoing: outgoing.map(Box::new), claim }
    }

    /// What follows an erasure that is about to be written.
    pub(super) fn follows_erasure(&self, erasure: &Erasure, erased: AccountErased) -> Erasing {
        let (user, last) = (erasure.user().clone(), erasure.account.revision());
        let claim = Claim::new(&self.claims, &user, erasure.change().revision);
        Erasing { user, last, erased, claim }
    }

    /// Tells of a change that is committed.
    pub(super) async fn tell(&self, follows: Follows) -> Option<Delivery> {
        let (mut entries, outgoing, claim) = match follows {
            Follows::Change { entries, outgoing, claim } => (entries, outgoing, claim),
            Follows::Erasure(Erasing { erased, claim, .. }) => {
                if claim.take() {
                    self.events.account_erased(&erased);
                }
                return None;
            }
        };
        let newest = entries.last().cloned();
        if !claim.take() {
            entries.clear();
        }
        entries.iter().for_each(|entry| self.events.audit(entry));
        let delivery = match (outgoing, newest) {
            (Some(outgoing), Some(entry)) => Some(self.send(&outgoing, &entry).await),
            _ => None,
        };
        for entry in &entries {
            self.notice(entry).await;
        }
        delivery
    }

    async fn send(&self, outgoing: &Outgoing, entry: &AuditEntry) -> Delivery {
        let Outgoing { notifier, message } = outgoing;
        match unless_it_panics(async { notifier.confirmation(message).await }).await {
            Ok(()) => Delivery::Sent,
            Err(error) => {
                let event = Event::ConfirmationNotSent { id: message.token };
                self.events.audit(&AuditEntry { event, ..entry.clone() });
                Delivery::NotSent(error)
            }
        }
    }

    /// Whether this manager tells the user of the entry: one that they should know of,
    /// unless everything is delivered from the store's log.
    fn tells(&self, entry: &AuditEntry) -> bool {
        entry.is_notable() && !self.notices_are_delivered.load(Ordering::Relaxed)
    }

    /// Tells the user of a change that they should know of.
    async fn notice(&self, entry: &AuditEntry) {
        let Some(notifier) = self.notifier.as_ref().filter(|_| self.tells(entry)) else {
            return;
        };
        if let Err(error) = unless_it_panics(async { notifier.notice(entry).await }).await {
            telemetry::notice_not_sent(entry, &error);
        }
    }
}

/// What comes of a notifier's call. Its panic is a failure: others are still to be
/// told. The message of the panic is left out, since it may quote anything.
async fn unless_it_panics(
    call: impl Future<Output = Result<(), NotifyError>>,
) -> Result<(), NotifyError> {
    let mut call = pin!(call);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context)));
        polled.unwrap_or_else(|_| {
            telemetry::host_panicked("notifier");
            Poll::Ready(Err(NotifyError::new("the notifier has panicked")))
        })
    })
    .await
}

/// Which entries of histories a manager and its clones are about to add, or may
/// have added, by the place of the entry.
///
/// A change whose outcome is unknown is looked for by its entry in the history.
/// If its caller asks again at once, the second change may add the very same
/// entry: whichever of the two finds it first tells of it.
#[derive(Default)]
pub(super) struct Claims(Mutex<HashMap<(UserId, Revision), Claimed>>);

#[derive(Default)]
struct Claimed {
    claims: usize,
    told: bool,
}

impl Claims {
    /// No code that holds this lock can panic half-way through a change.
    fn lock(&self) -> MutexGuard<'_, HashMap<(UserId, Revision), Claimed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One change's claim to its entry, from before it is written until it is told
/// of or given up.
pub(super) struct Claim {
    claims: Arc<Claims>,
    entry: (UserId, Revision),
}

impl Claim {
    fn new(claims: &Arc<Claims>, user: &UserId, revision: Revision) -> Self {
        let entry = (user.clone(), revision);
        claims.lock().entry(entry.clone()).or_default().claims += 1;
        Self { claims: Arc::clone(claims), entry }
    }

    /// Takes the entry, which is in the history, to tell of it; `false` if
    /// another change of this manager has.
    fn take(&self) -> bool {
        let mut claims = self.claims.lock();
        claims.get_mut(&self.entry).is_some_and(|it| !std::mem::replace(&mut it.told, true))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claims = self.claims.lock();
        if let Some(claimed) = claims.get_mut(&self.entry) {
            claimed.claims -= 1;
            if claimed.claims == 0 {
                claims.remove(&self.entry);
            }
        }
    }
}
