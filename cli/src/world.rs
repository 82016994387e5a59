//! What every command but a few works with: the settings, the store, the
//! manager, and in whose name it asks.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tower_api_token::TokenManager;
use tower_api_token::audit::AuditEntry;
use tower_api_token::manage::Confirmation;
use tower_api_token::notify::visible;
use tower_api_token::rotation::Policy;
use tower_api_token::store::{AccountStore, WithTimeout};
use tower_api_token::user::{Actor, UserId};

use crate::arguments::Common;
use crate::audit_file;
use crate::command::show;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::{Layers, Settings};
use crate::store::{COMMAND_PATIENCE, Opened};

/// How long a command waits at its end without a word.
const QUIET_PATIENCE: Duration = Duration::from_secs(5);

/// How long it waits then, where somebody is to be told: longer than a manager
/// looks for a change whose outcome is unknown.
const LAST_PATIENCE: Duration = Duration::from_secs(15 * 60);

/// What a command works with.
pub(crate) struct World {
    pub(crate) store: Arc<WithTimeout<Arc<dyn AccountStore>>>,
    pub(crate) manager: TokenManager,
    pub(crate) policy: Policy,
    pub(crate) actor: Actor,
    pub(crate) output: Output,
    /// Whether changes are told to anybody but the caller.
    tells: bool,
}

impl World {
    pub(crate) async fn open(common: &Common, output: Output) -> Result<Self, Failure> {
        let settings = settings(common)?;
        Self::of(&settings, common, output).await
    }

    /// As [`open`](Self::open), with these settings.
    pub(crate) async fn of(
        settings: &Settings,
        common: &Common,
        output: Output,
    ) -> Result<Self, Failure> {
        let world = Self::with(settings, actor(common)?, output).await;
        world.map_err(|failure| failure.located(&settings.origins))
    }

    async fn with(settings: &Settings, actor: Actor, output: Output) -> Result<Self, Failure> {
        let store =
            Arc::new(Opened::open_small(settings).await?.accounts(settings, COMMAND_PATIENCE));
        let policy = settings.policy.policy()?;
        let mut manager = TokenManager::builder(Arc::clone(&store))
            .scheme(settings.tokens.scheme()?)
            .policy(policy.clone())
            .events(audit_file::events(settings)?)
            .confirmation(Confirmation::ByCaller);
        let messenger = settings.notify.messenger()?;
        let tells = messenger.is_some() || settings.audit.file.is_some();
        if let Some(messenger) = messenger {
            manager = manager.notifier(messenger);
        }
        let manager = manager.build().await.map_err(|error| settings.tokens.not_started(error));
        let manager = manager.map_err(|failure| failure.located(&settings.origins))?;
        Ok(Self { store, manager, policy, actor, output, tells })
    }

    /// Waits until everybody has been told of what was changed, a change
    /// included whose outcome the store could not tell in time.
    pub(crate) async fn end(&self) {
        if self.idle(QUIET_PATIENCE).await || !self.tells {
            return;
        }
        tracing::warn!("waiting for the store, to tell of changes that it may have made");
        if !self.idle(LAST_PATIENCE).await {
            tracing::warn!("changes are not told of that the store may have made");
        }
    }

    /// Whether nothing is left to be done within that time.
    async fn idle(&self, patience: Duration) -> bool {
        timeout(patience, self.manager.idle()).await.is_ok()
    }

    /// Whether there is no account of that user.
    pub(crate) async fn store_has_no(&self, user: &UserId) -> Result<bool, Failure> {
        Ok(self.store.load(user).await?.account.is_none())
    }

    /// Tells of a change that was made.
    pub(crate) fn changed(&self, entry: &AuditEntry) -> Result<(), Failure> {
        let text = format!("{}: {}", visible(&entry.user), entry.event);
        self.output.done(text, &show::entry_value(entry))
    }
}

pub(crate) fn settings(common: &Common) -> Result<Settings, Failure> {
    Ok(Layers::of(common)?.settings()?)
}

/// Who asks: the administrator that the flag names, or this program.
fn actor(common: &Common) -> Result<Actor, Failure> {
    let actor = match &common.administrator {
        Some(name) => Actor::administrator(name),
        None => Actor::program("tower-api-token"),
    };
    actor.map_err(|source| Failure::Name { what: "--administrator", source })
}

/// The user of that name; what breaks a rule is not repeated.
pub(crate) fn user(name: &str) -> Result<UserId, Failure> {
    UserId::new(name).map_err(|source| Failure::Name { what: "the user's name", source })
}
