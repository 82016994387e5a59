//! The token's life, managed: every change that a user, an administrator or a
//! program asks for, with its audit entry and its message to the user.
//!
//! A [`TokenManager`] only loads an account, gathers what the rules need to
//! know, lets [`rotation`](crate::rotation) decide, writes the result on
//! condition that nobody else has written meanwhile, and tells of it. So every
//! change may be repeated, delayed, made by two nodes at once or dropped
//! half-way: it happens once or not at all.
//!
//! ```
//! use tower_api_token::user::{Actor, UserId};
//! use tower_api_token::manage::{Confirmation, Delivery, Guard, TokenManager};
//! use tower_api_token::method::MethodSet;
//! use tower_api_token::store::MemoryStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let manager = TokenManager::builder(MemoryStore::new())
//!     .confirmation(Confirmation::ByCaller)
//!     .build()
//!     .await?;
//! let (root, alice) = (Actor::administrator("root")?, UserId::new("alice")?);
//!
//! // An administrator grants access, and alice takes her first token.
//! manager.grant(&root, &alice, MethodSet::new(["GET"])?).await?;
//! let first = manager.issue(&Actor::User, &alice).await?;
//!
//! // Later she generates another. The first goes on working, as the primary
//! // until the new one is confirmed and as the backup from then on.
//! let second = manager.generate_primary(&Actor::User, &alice).await?;
//! let Delivery::ToCaller(code) = second.delivery else { unreachable!() };
//! manager.confirm(&Actor::User, &alice, &code).await?;
//!
//! // When everything uses the second, the first goes.
//! manager.delete_backup(&Actor::User, &alice, first.id, Guard::EvenIfInUse).await?;
//! let view = manager.view(&alice).await?;
//! assert_eq!(view.primary.map(|token| token.id), Some(second.id));
//! assert!(view.backup.is_none());
//! # Ok(())
//! # }
//! ```
//!
//! # The first administrator
//!
//! At the first start of a service nobody has a token yet, and later starts find
//! the store as it was left. To grant again at each of them would fail with
//! [`AlreadyDone`](crate::rotation::RotationError::AlreadyDone), or undo a
//! revocation. [`summary`](TokenManager::summary) tells a first start from a
//! later one, since the account of a user stays when their access is revoked. Of
//! nodes that start at once one makes the token, and the others are refused what is
//! done already:
//!
//! ```
//! use tower_api_token::TokenManager;
//! use tower_api_token::user::{Actor, UserId};
//! use tower_api_token::manage::ManageError;
//! use tower_api_token::method::MethodSet;
//! use tower_api_token::rotation::RotationError;
//! use tower_api_token::token::Token;
//!
//! /// The first administrator's token at the very first start, and none at any later one
//! /// or where another node has made it.
//! async fn first_administrator(
//!     manager: &TokenManager,
//!     admin: &UserId,
//!     methods: MethodSet,
//! ) -> Result<Option<Token>, ManageError> {
//!     // Whoever has an account is left alone, also without access: somebody has revoked it.
//!     if manager.summary(admin).await?.is_some() {
//!         return Ok(None);
//!     }
//!     let by = Actor::program("bootstrap").expect("a name");
//!     let granted = manager.grant(&by, admin, methods).await.map(drop);
//!     granted.or_else(|error| match error.refusal() {
//!         Some(RotationError::AlreadyDone) => Ok(()),
//!         _ => Err(error),
//!     })?;
//!     match manager.issue(&by, admin).await {
//!         Ok(issued) => Ok(Some(issued.token)),
//!         Err(error) if error.refusal() == Some(RotationError::PrimaryExists) => Ok(None),
//!         Err(error) => Err(error),
//!     }
//! }
//! # use tower_api_token::{manage::Confirmation, store::MemoryStore};
//! # use std::sync::Arc;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let store = Arc::new(MemoryStore::new());
//! # let root = UserId::new("root")?;
//! # for start in 1..=3 {
//! #     let builder = TokenManager::builder(Arc::clone(&store));
//! #     let manager = builder.confirmation(Confirmation::ByCaller).build().await?;
//! #     let methods = MethodSet::new(["GET"])?;
//! #     let (one, other) = tokio::join!(
//! #         first_administrator(&manager, &root, methods.clone()),
//! #         first_administrator(&manager, &root, methods),
//! #     );
//! #     let made = [one?, other?].into_iter().flatten().count();
//! #     assert_eq!(made, usize::from(start == 1));
//! #     if start == 2 {
//! #         manager.revoke_access(&Actor::administrator("boss")?, &root).await?;
//! #     }
//! #     let account = manager.summary(&root).await?.expect("it stays");
//! #     assert_eq!(account.methods.is_empty(), start > 1);
//! # }
//! # Ok(())
//! # }
//! ```

mod access;
mod builder;
mod change;
mod due;
#[cfg(feature = "serde")]
mod encoding;
mod end;
mod erase;
mod error;
mod filter;
mod follow;
mod generate;
mod held;
mod import;
mod problem;
mod reveal;
mod schedule;
#[cfg_attr(not(feature = "tokio"), path = "manage/no_tasks.rs")]
mod tasks;
mod view;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub use self::builder::TokenManagerBuilder;
pub use self::end::LeakResponse;
pub use self::error::ManageError;
pub use self::filter::AccountFilter;
use self::follow::Claims;
pub use self::generate::{Confirmation, Delivery, GeneratedPrimary, IssuedToken};
pub use self::held::HeldToken;
pub use self::import::{ImportItem, ImportedToken};
pub use self::problem::Problem;
use self::schedule::Walk;
use self::tasks::Tasks;
pub use self::view::{AccountSummary, AccountView, PendingView, TokenView};
use crate::account::Revision;
use crate::audit::AuditEntry;
use crate::method::MethodSet;
use crate::notify::Notifier;
use crate::rotation::{Command, Policy};
use crate::sealing::Sealer;
#[cfg(feature = "portal")]
use crate::store::AuditPosition;
use crate::store::{AccountStore, StoreError};
use crate::telemetry::Events;
use crate::token::{ConfirmationCode, RandomSource, TokenId, TokenScheme};
use crate::usage::UsageRecorder;
use crate::user::{Actor, ClientLabel, UserId};

/// Makes every change of an account, and shows what there is.
///
/// Cheap to clone; clones are one manager. Made by [`TokenManager::builder`].
///
/// # Who may ask
///
/// The manager believes the host: an [`Actor`] is the host's word that it has
/// signed that person or program in, and that they may do this to that user's
/// tokens. Only the owner, an administrator or a program acting for one of
/// them may change an account; an API token never signs anyone in for it.
///
/// # What may go wrong
///
/// A change that was refused or has failed with a [`ManageError`] has not
/// happened, with one exception: after a
/// [store error](ManageError::Store) of kind `Unavailable` nobody can tell.
/// Then ask again; what had happened is refused as already done, or superseded.
/// Time-outs are the store's: a store that never answers holds the call up.
///
/// # What follows a change
///
/// Once a change is committed its audit entries go to the log and to an
/// [`EventSink`](crate::audit::EventSink), and the confirmation code and notices
/// to the [`Notifier`]. The store has kept the entries in the change's own
/// transaction before.
///
/// With the feature `tokio`, and called on a runtime, a change and what follows
/// it are a task of their own, which goes on when the caller hangs up. So a
/// future that is dropped after it was first polled is as good as one that is
/// awaited: the change is made or refused, and everybody is told once. A
/// confirmation code is sent even if nobody was shown the token it activates.
///
/// Where the store could not tell whether it has made a change, a task goes on
/// after the answer `Unavailable`. It waits for a write that a `WithTimeout` has
/// left running, looks into the history for half a minute (ten minutes where the
/// store cannot be read), and tells of the change if it is there; else the log says
/// that its outcome is unknown. The runtime's timer must be enabled for that.
/// [`idle`](Self::idle) waits for all of it.
///
/// Without the feature, or outside a runtime, a change is made in its caller's
/// future. If that is dropped half-way the change is made or not made, and
/// perhaps nobody is told.
#[derive(Clone)]
pub struct TokenManager {
    inner: Arc<Inner>,
    /// The revision that an account must have to be changed, if it matters.
    expected: Option<Revision>,
    /// How confirmation codes reach their user.
    confirmation: Confirmation,
    /// By which client the user asks, if that is known.
    client: Option<ClientLabel>,
}

/// The cursor of the notices to users in the store's audit log. Where there is one,
/// some node delivers them.
pub(crate) const NOTICES: &str = "notices";

/// What clones of a manager share.
struct Inner {
    store: Arc<dyn AccountStore>,
    scheme: TokenScheme,
    policy: Policy,
    notifier: Option<Arc<dyn Notifier>>,
    events: Events,
    usage: Option<UsageRecorder>,
    random: Box<dyn RandomSource>,
    sealer: Option<Box<dyn Sealer>>,
    claims: Arc<Claims>,
    tasks: Tasks,
    walk: Walk,
    /// Whether users get their notices from the store's log, so that none is given here.
    notices_are_delivered: Arc<AtomicBool>,
}

impl TokenManager {
    /// A manager of the accounts in `store`, to be configured.
    pub fn builder(store: impl AccountStore) -> TokenManagerBuilder {
        TokenManagerBuilder::new(store)
    }

    /// A manager that changes an account only if it still has this revision when
    /// the change is written, and refuses as
    /// [`Stale`](crate::rotation::RotationError::Stale) else: for one decision about
    /// what was shown, which nobody must have changed meanwhile.
    /// [`Revision::ABSENT`] stands for a user without an account. What it reads is
    /// not affected.
    ///
    /// ```
    /// # use tower_api_token::user::{Actor, UserId};
    /// # use tower_api_token::manage::{Confirmation, TokenManager};
    /// # use tower_api_token::method::MethodSet;
    /// # use tower_api_token::rotation::RotationError;
    /// # use tower_api_token::store::MemoryStore;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = MemoryStore::new();
    /// # let builder = TokenManager::builder(store).confirmation(Confirmation::ByCaller);
    /// # let manager = builder.build().await?;
    /// # let root = Actor::administrator("root")?;
    /// # let alice = UserId::new("alice")?;
    /// # manager.grant(&root, &alice, MethodSet::new(["GET"])?).await?;
    /// let shown = manager.view(&alice).await?.revision;
    /// // Another administrator is faster.
    /// manager.grant(&root, &alice, MethodSet::new(["GET", "POST"])?).await?;
    ///
    /// let methods = MethodSet::new(["GET", "DELETE"])?;
    /// let refused = manager.at_revision(shown).grant(&root, &alice, methods).await;
    /// assert_eq!(refused.unwrap_err().refusal(), Some(RotationError::Stale));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn at_revision(&self, revision: Revision) -> Self {
        Self { expected: Some(revision), ..self.clone() }
    }

    /// A manager whose confirmation codes reach their user in this way, whatever
    /// this one was built with: for machine accounts beside those of people.
    ///
    /// ```
    /// # use tower_api_token::user::{Actor, UserId};
    /// # use tower_api_token::manage::{Confirmation, GeneratedPrimary, ManageError, TokenManager};
    /// # async fn rotate(
    /// #     manager: &TokenManager,
    /// #     rotator: &Actor,
    /// #     robot: &UserId,
    /// # ) -> Result<GeneratedPrimary, ManageError> {
    /// let by_caller = manager.with_confirmation(Confirmation::ByCaller);
    /// by_caller.generate_primary(rotator, robot).await
    /// # }
    /// ```
    #[must_use]
    pub fn with_confirmation(&self, confirmation: Confirmation) -> Self {
        Self { confirmation, ..self.clone() }
    }

    /// A manager that is asked by the user's client `client`. The message with a
    /// confirmation code tells of it: the user may recognise that it was not
    /// theirs. Not told otherwise.
    #[must_use]
    pub fn from_client(&self, client: ClientLabel) -> Self {
        Self { client: Some(client), ..self.clone() }
    }

    /// The manager, as long as somebody else has it.
    #[cfg(feature = "tokio")]
    pub(crate) fn downgrade(&self) -> impl Fn() -> Option<Self> + Send + Sync + 'static + use<> {
        let (inner, confirmation) = (Arc::downgrade(&self.inner), self.confirmation);
        move || {
            let inner = inner.upgrade()?;
            Some(Self { inner, expected: None, confirmation, client: None })
        }
    }

    /// The position of the last entry of the log that [`audit`](Self::audit) reads.
    #[cfg(feature = "portal")]
    pub(crate) async fn audit_end(&self) -> Result<AuditPosition, ManageError> {
        let log = self.inner.store.audit_log();
        let log = log.ok_or_else(|| StoreError::unsupported("an audit log"))?;
        Ok(log.audit_end().await?)
    }

    /// By what the host lets tokens live.
    #[cfg(feature = "portal")]
    pub(crate) fn policy(&self) -> &Policy {
        &self.inner.policy
    }

    /// The notifier, if there is one, and what says from when on notices are left to
    /// whoever delivers them from the store's log.
    #[cfg(feature = "tokio")]
    pub(crate) fn notices(&self) -> Option<(Arc<dyn Notifier>, Arc<AtomicBool>)> {
        let notifier = self.inner.notifier.clone()?;
        Some((notifier, Arc::clone(&self.inner.notices_are_delivered)))
    }

    /// Lets the user perform exactly these methods from now on, with whichever
    /// token; the account is made if there is none. No method at all is
    /// [`revoke_access`](Self::revoke_access).
    ///
    /// # Errors
    ///
    /// [`AlreadyDone`](crate::rotation::RotationError::AlreadyDone) if these are
    /// the user's methods already; [`ManageError`] if it could not be done.
    pub async fn grant(
        &self,
        actor: &Actor,
        user: &UserId,
        methods: MethodSet,
    ) -> Result<AuditEntry, ManageError> {
        self.change_without_secret(actor, user, Command::Grant { methods, lifetimes: None }).await
    }

    /// Ends the user's API access: no method is granted, and every token is
    /// retired. A later grant starts without tokens.
    ///
    /// # Errors
    ///
    /// [`AlreadyDone`](crate::rotation::RotationError::AlreadyDone) if the user
    /// has neither access nor tokens; [`ManageError`] if it could not be done.
    pub async fn revoke_access(
        &self,
        actor: &Actor,
        user: &UserId,
    ) -> Result<AuditEntry, ManageError> {
        self.change_without_secret(actor, user, Command::RevokeAccess).await
    }

    /// Activates the pending token that has this code: it becomes the primary,
    /// and the primary the backup.
    ///
    /// # Errors
    ///
    /// [`UnknownCode`](crate::rotation::RotationError::UnknownCode),
    /// [`ExpiredCode`](crate::rotation::RotationError::ExpiredCode),
    /// [`AlreadyConfirmed`](crate::rotation::RotationError::AlreadyConfirmed) for
    /// the same code again while its token is live,
    /// [`Stale`](crate::rotation::RotationError::Stale) if there is a backup that
    /// nobody agreed to end; [`ManageError`] if it could not be done.
    pub async fn confirm(
        &self,
        actor: &Actor,
        user: &UserId,
        code: &ConfirmationCode,
    ) -> Result<AuditEntry, ManageError> {
        let code = code.digest(user);
        self.change_without_secret(actor, user, Command::Confirm { code }).await
    }

    /// Gives up the pending token `id`; its code is dead. A host calls it, too,
    /// when the address changes that the code was sent to.
    ///
    /// # Errors
    ///
    /// [`AlreadyDone`](crate::rotation::RotationError::AlreadyDone) if it was
    /// cancelled before, [`Stale`](crate::rotation::RotationError::Stale) if it
    /// is no longer pending, as after its confirmation. One whose time has run out
    /// is cancelled like any other. [`ManageError`] if it could not be done.
    pub async fn cancel_pending(
        &self,
        actor: &Actor,
        user: &UserId,
        id: TokenId,
    ) -> Result<AuditEntry, ManageError> {
        self.change_without_secret(actor, user, Command::CancelPending { id }).await
    }

    /// Ends the backup `id`.
    ///
    /// # Errors
    ///
    /// [`InUse`](crate::rotation::RotationError::InUse) as the guard says,
    /// [`AlreadyDone`](crate::rotation::RotationError::AlreadyDone) if it was
    /// deleted before or has expired,
    /// [`Stale`](crate::rotation::RotationError::Stale) if it is not the backup;
    /// [`ManageError`] if it could not be done.
    pub async fn delete_backup(
        &self,
        actor: &Actor,
        user: &UserId,
        id: TokenId,
        guard: Guard,
    ) -> Result<AuditEntry, ManageError> {
        let even_if_in_use = guard.is_waived();
        self.change_without_secret(actor, user, Command::DeleteBackup { id, even_if_in_use }).await
    }

    /// Ends the primary `give_up` and makes the backup the primary again: the
    /// way back for someone who has lost the new token.
    ///
    /// # Errors
    ///
    /// [`InUse`](crate::rotation::RotationError::InUse) as the guard says,
    /// [`NoLiveBackup`](crate::rotation::RotationError::NoLiveBackup),
    /// [`AlreadyDone`](crate::rotation::RotationError::AlreadyDone) if it was
    /// given up before or has expired beside a live backup,
    /// [`Stale`](crate::rotation::RotationError::Stale) if it is not the primary;
    /// [`ManageError`] if it could not be done.
    pub async fn roll_back(
        &self,
        actor: &Actor,
        user: &UserId,
        give_up: TokenId,
        guard: Guard,
    ) -> Result<AuditEntry, ManageError> {
        let even_if_in_use = guard.is_waived();
        self.change_without_secret(actor, user, Command::RollBack { give_up, even_if_in_use }).await
    }

    /// Ends every token of the user at once, for one that has leaked. The
    /// methods stay granted, so that a new token can be issued.
    ///
    /// # Errors
    ///
    /// [`AlreadyDone`](crate::rotation::RotationError::AlreadyDone) if there is
    /// none; [`ManageError`] if it could not be done.
    pub async fn revoke_all(
        &self,
        actor: &Actor,
        user: &UserId,
    ) -> Result<AuditEntry, ManageError> {
        self.change_without_secret(actor, user, Command::RevokeAll).await
    }

    /// A change that brings no secret: made, told of, and the user notified.
    async fn change_without_secret(
        &self,
        actor: &Actor,
        user: &UserId,
        command: Command,
    ) -> Result<AuditEntry, ManageError> {
        let (actor, user, expected) = (actor.clone(), user.clone(), self.expected);
        self.run(|inner| async move {
            Ok(inner.change(expected, &actor, &user, &command, None, None).await?.entry)
        })
        .await
    }

    /// Makes a change with everything that follows it, to its end.
    async fn run<T, E, F>(&self, change: impl FnOnce(Arc<Inner>) -> F + Send) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.inner.tasks.run(change(Arc::clone(&self.inner))).await
    }

    /// Waits until everything is done that this manager and its clones have
    /// begun: changes whose callers have hung up, what follows them, and the
    /// search for changes whose outcome a store could not tell.
    ///
    /// Call it when no more requests are taken and before the runtime ends, and
    /// bound the time: a notifier or a store that never answers holds it up.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tower_api_token::manage::TokenManager;
    /// # async fn stop(manager: TokenManager) {
    /// if tokio::time::timeout(Duration::from_secs(10), manager.idle()).await.is_err() {
    ///     eprintln!("stopped before everybody was told of every change");
    /// }
    /// # }
    /// ```
    pub async fn idle(&self) {
        self.inner.tasks.idle().await;
    }
}

impl fmt::Debug for TokenManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenManager")
            .field("scheme", &self.inner.scheme)
            .field("policy", &self.inner.policy)
            .field("confirmation", &self.confirmation)
            .finish_non_exhaustive()
    }
}

/// Whether a token may end although it was used within the guard window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a token is in use or not")]
pub enum Guard {
    /// Refuse with [`RotationError::InUse`](crate::rotation::RotationError::InUse)
    /// if it was, if it is so new that nobody can tell yet, or if the store keeps no
    /// last uses.
    #[default]
    UnlessInUse,
    /// End it all the same.
    EvenIfInUse,
}

impl Guard {
    const fn is_waived(self) -> bool {
        matches!(self, Self::EvenIfInUse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_can_be_shared_between_threads() {
        const fn shared<T: Clone + fmt::Debug + Send + Sync + 'static>() {}
        const { shared::<TokenManager>() }
    }
}
