use std::time::Duration;

use tower_api_token::TokenManager;
use tower_api_token::manage::{Confirmation, Delivery, Guard};
use tower_api_token::rotation::RotationError;
use tower_api_token::time::Timestamp;
use tower_api_token::token::{Token, TokenId};
use tower_api_token::user::{Actor, UserId};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Where the robot's programs find its token: a file, a secret manager.
pub(crate) trait SecretStore {
    /// Keeps a new token aside, where no program looks for it.
    async fn stage(&self, id: TokenId, token: &Token) -> Result<(), Error>;
    /// The tokens that are kept aside.
    async fn staged(&self) -> Result<Vec<TokenId>, Error>;
    /// Puts a token that is kept aside where programs find it.
    async fn publish(&self, id: TokenId) -> Result<(), Error>;
    /// Removes a token that is kept aside.
    async fn discard(&self, id: TokenId) -> Result<(), Error>;
}

/// How long a program may take from reading a token to its first request.
const DAY: Duration = Duration::from_secs(86_400);

/// One run: makes the next token, unless something may still use the former.
/// Answers whether it did.
pub(crate) async fn rotate(
    manager: &TokenManager,
    robot: &UserId,
    secrets: &impl SecretStore,
    now: Timestamp,
) -> Result<bool, Error> {
    complete_former_runs(manager, robot, secrets).await?;
    let ended = end_former(manager, robot, now).await?;
    if ended {
        make_next(manager, robot, secrets).await?;
    }
    Ok(ended)
}

/// Publishes a token that was activated by a run which broke off then.
async fn complete_former_runs(
    manager: &TokenManager,
    robot: &UserId,
    secrets: &impl SecretStore,
) -> Result<(), Error> {
    // First the tokens, then the account: a token that another run stages
    // meanwhile is not taken for one that was given up.
    let staged = secrets.staged().await?;
    let view = manager.view(robot).await?;
    let primary = view.primary.map(|token| token.id);
    let pending = view.pending.map(|token| token.id);
    for id in staged {
        if primary == Some(id) {
            secrets.publish(id).await?;
        } else if pending != Some(id) {
            secrets.discard(id).await?;
        }
    }
    Ok(())
}

/// Ends the former token, and answers whether there is none any more.
async fn end_former(manager: &TokenManager, robot: &UserId, now: Timestamp) -> Result<bool, Error> {
    let rotator = Actor::program("rotator")?;
    let view = manager.view(robot).await?;
    let Some(backup) = view.backup else { return Ok(true) };
    // A program may have read it just before the present one was published.
    if view.primary.is_some_and(|primary| now.since(primary.active_since) < DAY) {
        return Ok(false);
    }
    match manager.delete_backup(&rotator, robot, backup.id, Guard::UnlessInUse).await {
        Ok(_) => Ok(true),
        Err(error) => match error.refusal() {
            Some(RotationError::AlreadyDone) => Ok(true),
            // A program still uses it: the next run tries again.
            Some(RotationError::InUse { .. }) => Ok(false),
            _ => Err(error.into()),
        },
    }
}

/// Makes the next token, and publishes it once it is active. The present one goes
/// on working as the backup.
async fn make_next(
    manager: &TokenManager,
    robot: &UserId,
    secrets: &impl SecretStore,
) -> Result<(), Error> {
    let rotator = Actor::program("rotator")?;
    let manager = manager.with_confirmation(Confirmation::ByCaller);
    let generated = manager.generate_primary(&rotator, robot).await?;
    secrets.stage(generated.id, &generated.token).await?;
    if let Delivery::ToCaller(code) = &generated.delivery {
        manager.confirm(&rotator, robot, code).await?;
        secrets.publish(generated.id).await?;
    }
    Ok(())
}
