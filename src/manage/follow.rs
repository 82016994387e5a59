//! What follows a change once it is committed: its audit entries, the
//! confirmation code, and the notices to its user.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::Inner;
use super::claims::Claim;
use super::outcome::Delivery;
use crate::account::{Account, Revision};
use crate::audit::{AccountErased, AuditEntry, Event};
use crate::notify::{ConfirmationMessage, Notice, Notifier, NotifyError};
use crate::store::{Erasure, Replacement};
use crate::telemetry;
use crate::token::ConfirmationCode;
use crate::user::{Actor, ClientLabel, UserId};

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
    fn letter(&self, account: &Account, entry: &AuditEntry) -> Option<Letter> {
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
        Some(Letter { notifier: Arc::clone(notifier), message })
    }
}

/// A message with a confirmation code, and who sends it.
pub(super) struct Letter {
    notifier: Arc<dyn Notifier>,
    pub(super) message: ConfirmationMessage,
}

/// What follows one change.
pub(super) enum Follows {
    Change {
        /// What the change adds to the history, the earliest first; never empty.
        entries: Vec<AuditEntry>,
        letter: Option<Box<Letter>>,
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
        let letter = code.and_then(|code| code.letter(&change.account, &change.entry));
        let AuditEntry { user, revision, .. } = &change.entry;
        let claim = Claim::new(&self.claims, user, *revision);
        let entries = change.entries().cloned().collect();
        Follows::Change { entries, letter: letter.map(Box::new), claim }
    }

    /// What follows an erasure that is about to be written.
    pub(super) fn follows_erasure(&self, erasure: &Erasure, erased: AccountErased) -> Erasing {
        let (user, last) = (erasure.user().clone(), erasure.account.revision());
        let claim = Claim::new(&self.claims, &user, erasure.change().revision);
        Erasing { user, last, erased, claim }
    }

    /// Tells of a change that is committed.
    pub(super) async fn tell(&self, follows: Follows) -> Option<Delivery> {
        let (mut entries, letter, claim) = match follows {
            Follows::Change { entries, letter, claim } => (entries, letter, claim),
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
        let delivery = match (letter, newest) {
            (Some(letter), Some(entry)) => Some(self.send(&letter, &entry).await),
            _ => None,
        };
        for entry in &entries {
            self.notice(entry).await;
        }
        delivery
    }

    async fn send(&self, letter: &Letter, entry: &AuditEntry) -> Delivery {
        let Letter { notifier, message } = letter;
        match unless_it_panics(async { notifier.confirmation(message).await }).await {
            Ok(()) => Delivery::Sent,
            Err(error) => {
                let event = Event::ConfirmationNotSent { id: message.token };
                self.events.audit(&AuditEntry { event, ..entry.clone() });
                Delivery::NotSent(error)
            }
        }
    }

    /// Tells the user of a change that they should know of.
    async fn notice(&self, entry: &AuditEntry) {
        let Some(notifier) = self.notifier.as_ref().filter(|_| is_notable(entry)) else {
            return;
        };
        let AuditEntry { user, event, actor, at, .. } = entry.clone();
        let notice = Notice::new(user, event, actor, at);
        if let Err(error) = unless_it_panics(async { notifier.notice(&notice).await }).await {
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

/// Whether the user should know of it: a change of what works, and a token that
/// somebody may have who should not.
const fn is_notable(entry: &AuditEntry) -> bool {
    match entry.event {
        Event::PrimaryConfirmed { .. }
        | Event::BackupDeleted { .. }
        | Event::RolledBack { .. }
        | Event::AllRevoked
        | Event::AccessRevoked
        | Event::TokenRevealed { .. } => true,
        Event::TokenIssued { .. } => !matches!(entry.actor, Actor::User),
        _ => false,
    }
}
