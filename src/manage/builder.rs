//! Putting a manager together.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::schedule::Walk;
use super::tasks::Tasks;
use super::{Confirmation, Inner, ManageError, NOTICES, TokenManager};
use crate::ConfigError;
use crate::audit::EventSink;
use crate::notify::Notifier;
use crate::rotation::Policy;
use crate::sealing::Sealer;
use crate::store::{AccountStore, StoreError};
use crate::telemetry::{self, Events};
use crate::token::{Pepper, PepperVersion, RandomSource, SystemRandom, TokenScheme};
use crate::usage::{UnverifiedPepper, UsageRecorder};

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
pub struct TokenManagerBuilder {
    inner: Inner,
    confirmation: Confirmation,
}

impl TokenManagerBuilder {
    pub(super) fn new(store: impl AccountStore) -> Self {
        let inner = Inner {
            store: Arc::new(store),
            scheme: TokenScheme::default(),
            policy: Policy::default(),
            notifier: None,
            events: Events::default(),
            usage: None,
            random: Box::new(SystemRandom),
            sealer: None,
            claims: Arc::default(),
            tasks: Tasks::none(),
            walk: Walk::default(),
            notices_are_delivered: Arc::default(),
        };
        Self { inner, confirmation: Confirmation::default() }
    }

    /// How tokens are made, recognised and hashed; the same as the layer's.
    /// Default: [`TokenScheme::default`].
    pub fn scheme(mut self, scheme: TokenScheme) -> Self {
        self.inner.scheme = scheme;
        self
    }

    /// How long things last. Default: [`Policy::default`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.inner.policy = policy;
        self
    }

    /// Who sends confirmation codes and notices; a later one takes the place of an
    /// earlier one. Default: nobody, which only
    /// [`Confirmation::ByCaller`] can do without.
    pub fn notifier(mut self, notifier: impl Notifier) -> Self {
        self.inner.notifier = Some(Arc::new(notifier));
        self
    }

    /// How confirmation codes reach their user;
    /// [`with_confirmation`](TokenManager::with_confirmation) makes an exception.
    /// Default: [`Confirmation::ByNotifier`].
    pub fn confirmation(mut self, confirmation: Confirmation) -> Self {
        self.confirmation = confirmation;
        self
    }

    /// Where audit entries go, besides the store and the log; a later one takes the
    /// place of an earlier one. Default: nowhere else.
    pub fn events(mut self, sink: impl EventSink) -> Self {
        self.inner.events = Events::to(sink);
        self
    }

    /// The recorder that this node's layers note uses with. It is flushed before
    /// a guard decides whether a token is in use, so that the uses which this
    /// node has just seen count; a flush that fails fails the change. Default:
    /// none, so that only uses in the store count, and this node never keeps the
    /// check value of a pepper under which tokens are in use already; see
    /// [`build`](Self::build).
    pub fn usage(mut self, usage: UsageRecorder) -> Self {
        self.inner.usage = Some(usage);
        self
    }

    /// What keeps every token from now on sealed, so that it can be
    /// [revealed](TokenManager::reveal); a later one takes the place of an earlier
    /// one, and what that has sealed is not revealed. Default: none is kept.
    pub fn sealer(mut self, sealer: impl Sealer) -> Self {
        self.inner.sealer = Some(Box::new(sealer));
        self
    }

    /// What tokens and codes are made from. Default: the
    /// operating system's generator.
    ///
    /// Dangerous: from a source that anyone can predict come tokens that anyone
    /// can guess. It is for tests that need a certain token.
    pub fn dangerous_random_source(mut self, source: impl RandomSource) -> Self {
        self.inner.random = Box::new(source);
        self
    }

    /// The manager.
    ///
    /// The store keeps a check value of each pepper, so that another key under the
    /// same version is refused from then on. It is kept at once where no token is in
    /// use under the version, and else when a [recorder](Self::usage) has seen a token
    /// accepted that was made under it. Tokens in use that the scheme does not
    /// recognise, since they are of a foreign form or of a prefix that is not listed,
    /// are told of in the log.
    ///
    /// Where some node delivers notices from the store's audit log (see
    /// the module `delivery`), this manager gives none to its notifier.
    ///
    /// # Errors
    ///
    /// [`ManageError::Config`] if this configuration could not serve the store's
    /// tokens; [`ManageError::Store`] if the store could not say so.
    pub async fn build(self) -> Result<TokenManager, ManageError> {
        let Self { inner, confirmation } = self;
        if confirmation == Confirmation::ByNotifier && inner.notifier.is_none() {
            return Err(ConfigError::NoNotifier.into());
        }
        let in_use = inner.store.pepper_versions().await?;
        if let Some(&(version, tokens)) =
            in_use.iter().find(|(version, _)| !inner.scheme.knows(*version))
        {
            return Err(ConfigError::UnknownPepper { version: version.as_u16(), tokens }.into());
        }
        let unverified = verify_peppers(&*inner.store, &inner.scheme, &in_use).await?;
        if let Some(usage) = &inner.usage {
            usage.verify_peppers(unverified);
        }
        tell_of_unrecognised(&*inner.store, &inner.scheme).await?;
        if let Some(log) = inner.store.audit_log() {
            let delivered = log.audit_cursors().await?.iter().any(|cursor| cursor.name == NOTICES);
            inner.notices_are_delivered.store(delivered, Ordering::Relaxed);
        }
        let inner = Arc::new(inner);
        Ok(TokenManager { inner, expected: None, confirmation, client: None })
    }
}

impl fmt::Debug for TokenManagerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenManagerBuilder")
            .field("scheme", &self.inner.scheme)
            .field("policy", &self.inner.policy)
            .field("confirmation", &self.confirmation)
            .finish_non_exhaustive()
    }
}

/// Refuses a pepper that is not the one whose check value the store keeps; and
/// answers with those that have none, although tokens are in use under them.
///
/// A check value is kept at once where no token is in use under the version: the
/// first start decides for all.
async fn verify_peppers(
    store: &dyn AccountStore,
    scheme: &TokenScheme,
    in_use: &[(PepperVersion, u64)],
) -> Result<Vec<UnverifiedPepper>, ManageError> {
    if scheme.peppers().next().is_none() {
        return Ok(Vec::new());
    }
    let kept = store.pepper_checks().await?;
    let current = scheme.current_pepper().map(Pepper::version);
    let mut unverified = Vec::new();
    for pepper in scheme.peppers() {
        let (version, check) = (pepper.version(), pepper.check_value());
        let used = in_use.iter().any(|(of, tokens)| *of == version && *tokens > 0);
        let known = match kept.of(version) {
            Some(kept) => *kept,
            None if used => {
                let active_before = kept.kept_since;
                unverified.push(UnverifiedPepper { version, check, active_before });
                continue;
            }
            None if current != Some(version) => continue,
            None if pepper.is_short() => {
                return Err(ConfigError::ShortPepper { version: version.as_u16() }.into());
            }
            None => store.keep_pepper_check(version, check).await?,
        };
        if known != check {
            return Err(ConfigError::WrongPepper { version: version.as_u16() }.into());
        }
    }
    Ok(unverified)
}

/// Tells the log of tokens in use that every request is refused with.
async fn tell_of_unrecognised(
    store: &dyn AccountStore,
    scheme: &TokenScheme,
) -> Result<(), StoreError> {
    if scheme.accepts_foreign() {
        return Ok(());
    }
    for (prefix, tokens) in store.prefixes().await? {
        if !scheme.recognises(prefix.as_ref()) {
            telemetry::tokens_unrecognised(prefix.as_ref(), tokens);
        }
    }
    Ok(())
}
