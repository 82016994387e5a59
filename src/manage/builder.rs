//! Putting a manager together.

use std::fmt;
use std::sync::Arc;

use super::sealing::Sealing;
use super::tasks::Tasks;
use super::{Confirmation, Inner, TokenManager};
use crate::events::Events;
use crate::notify::Notifier;
use crate::rotation::Policy;
use crate::store::{AccountStore, StoreError};
use crate::token::{PepperVersion, RandomSource, SystemRandom, TokenScheme};
use crate::usage::UsageRecorder;

/// Configures a [`TokenManager`]; see [`TokenManager::builder`].
///
/// ```
/// use tower_api_token::manage::TokenManager;
/// use tower_api_token::notify::DirectoryNotifier;
/// use tower_api_token::store::MemoryStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let manager = TokenManager::builder(MemoryStore::new())
///     .notifier(DirectoryNotifier::new(directory.path())?)
///     .build()
///     .await?;
/// # let _ = manager;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct TokenManagerBuilder(pub(super) Inner);

impl TokenManagerBuilder {
    pub(super) fn new(store: impl AccountStore) -> Self {
        Self(Inner {
            store: Arc::new(store),
            scheme: TokenScheme::default(),
            policy: Policy::default(),
            notifier: None,
            confirmation: Confirmation::default(),
            events: Events::default(),
            usage: None,
            random: Box::new(SystemRandom),
            sealing: Sealing::none(),
            claims: Arc::default(),
            tasks: Tasks::none(),
        })
    }

    /// How tokens are made, recognised and hashed; the same as the layer's.
    /// Default: [`TokenScheme::default`].
    pub fn scheme(mut self, scheme: TokenScheme) -> Self {
        self.0.scheme = scheme;
        self
    }

    /// How long things last. Default: [`Policy::default`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.0.policy = policy;
        self
    }

    /// Who sends confirmation codes and notices. Default: nobody, which only
    /// [`Confirmation::ByCaller`] can do without.
    pub fn notifier(mut self, notifier: impl Notifier) -> Self {
        self.0.notifier = Some(Arc::new(notifier));
        self
    }

    /// How confirmation codes reach their user, unless a call says otherwise.
    /// Default: [`Confirmation::ByNotifier`].
    pub fn confirmation(mut self, confirmation: Confirmation) -> Self {
        self.0.confirmation = confirmation;
        self
    }

    /// Where audit entries go, besides the store and the log. Default: nowhere
    /// else.
    pub fn events(mut self, events: Events) -> Self {
        self.0.events = events;
        self
    }

    /// The recorder that this node's layers note uses with. It is flushed before
    /// a guard decides whether a token is in use, so that the uses which this
    /// node has just seen count; a flush that fails fails the change. Default:
    /// none, so that only uses in the store count.
    pub fn usage(mut self, usage: UsageRecorder) -> Self {
        self.0.usage = Some(usage);
        self
    }

    /// What tokens, codes and nonces are made from. Default: [`SystemRandom`].
    ///
    /// Dangerous: from a source that anyone can predict come tokens that anyone
    /// can guess. It is for tests that need a certain token.
    pub fn dangerous_random_source(mut self, source: impl RandomSource) -> Self {
        self.0.random = Box::new(source);
        self
    }

    /// The manager.
    ///
    /// # Errors
    ///
    /// [`StartError`] if this configuration could not serve the store's tokens.
    pub async fn build(self) -> Result<TokenManager, StartError> {
        let Self(inner) = self;
        if inner.confirmation == Confirmation::ByNotifier && inner.notifier.is_none() {
            return Err(StartError::NoNotifier);
        }
        let in_use = inner.store.pepper_versions().await?;
        match in_use.into_iter().find(|(version, _)| !inner.scheme.knows(*version)) {
            Some((version, tokens)) => Err(StartError::UnknownPepper { version, tokens }),
            None => Ok(TokenManager { inner: Arc::new(inner) }),
        }
    }
}

impl fmt::Debug for TokenManagerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenManagerBuilder")
            .field("scheme", &self.0.scheme)
            .field("policy", &self.0.policy)
            .field("confirmation", &self.0.confirmation)
            .finish_non_exhaustive()
    }
}

/// Why a manager cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The scheme lacks a pepper under which tokens are in use: they would all
    /// be refused. Version 0 stands for tokens without a pepper.
    #[error(
        "{tokens} {} in use under pepper version {version}, which the scheme lacks",
        if *.tokens == 1 { "token is" } else { "tokens are" }
    )]
    UnknownPepper {
        /// The version that is missing.
        version: PepperVersion,
        /// How many tokens are in use under it.
        tokens: u64,
    },
    /// Codes are to be sent, and there is nobody to send them.
    #[error(
        "nobody sends confirmation codes: give the builder a `notifier`, or say \
         `.confirmation(Confirmation::ByCaller)` to be handed each code"
    )]
    NoNotifier,
    /// The store could not say which peppers are in use.
    #[error(transparent)]
    Store(#[from] StoreError),
}
