use tower_api_token::TokenManager;
use tower_api_token::identity::{Actor, UserId};
use tower_api_token::manage::{Confirmation, Delivery, Guard};
use tower_api_token::rotation::RotationError;
use tower_api_token::token::Token;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Ends the former token, and answers whether there is none any more.
pub(crate) async fn end_former(manager: &TokenManager, robot: &UserId) -> Result<bool, Error> {
    let rotator = Actor::program("rotator")?;
    let Some(backup) = manager.view(robot).await?.backup else { return Ok(true) };
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

/// Makes the next token and activates it as soon as `keep` has put it where the
/// robot's programs find it. The present one goes on working as the backup.
pub(crate) async fn make_next(
    manager: &TokenManager,
    robot: &UserId,
    keep: impl AsyncFnOnce(&Token) -> Result<(), Error>,
) -> Result<(), Error> {
    let rotator = Actor::program("rotator")?;
    let generate = manager.generate_primary(&rotator, robot);
    let generated = generate.confirmation(Confirmation::ByCaller).await?;
    keep(&generated.token).await?;
    if let Delivery::ToCaller(code) = &generated.delivery {
        manager.confirm(&rotator, robot, code).await?;
    }
    Ok(())
}
