//! The changes that take from an account what an audit tells was taken away.

use tower_api_token::account::{Account, Lifetimes, Slot, TokenRecord};
use tower_api_token::audit::AuditEntry;
use tower_api_token::manage::{Guard, ManageError};
use tower_api_token::method::MethodSet;
use tower_api_token::rotation::RotationError;
use tower_api_token::token::TokenId;
use tower_api_token::user::UserId;

use super::told::{ToTake, shortest};
use crate::world::World;

/// One change of an account.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    RevokeAccess,
    Grant(MethodSet, Lifetimes),
    Suspend,
    RevokeAll,
    RollBack(TokenId),
    DeleteBackup(TokenId),
    CancelPending(TokenId),
}

impl Step {
    /// The next change of an account whose expired tokens are retired; `None` if
    /// nothing is left to take. What is granted comes first: that is told by revisions,
    /// which each change raises.
    pub(super) fn next(live: &Account, take: &ToTake) -> Option<Self> {
        let methods = take.methods.as_ref().unwrap_or(live.methods());
        let lifetimes = shortest(live.lifetimes(), take.lifetimes);
        let suspend = take.suspended && live.suspended_since().is_none();
        if methods.is_empty() && !live.methods().is_empty() {
            // An access that is gone can no longer be suspended.
            return Some(if suspend { Self::Suspend } else { Self::RevokeAccess });
        }
        if !methods.is_empty() && (methods != live.methods() || lifetimes != live.lifetimes()) {
            return Some(Self::Grant(methods.clone(), lifetimes));
        }
        if !methods.is_empty() && suspend {
            return Some(Self::Suspend);
        }
        let ended = |token: &&TokenRecord| take.ended.contains(&token.id);
        match (live.primary().filter(ended), live.backup()) {
            (Some(primary), Some(backup)) if !ended(&backup) => Some(Self::RollBack(primary.id)),
            // No other change ends a primary without a backup to take its place.
            (Some(_), _) => Some(Self::RevokeAll),
            (None, Some(backup)) if ended(&backup) => Some(Self::DeleteBackup(backup.id)),
            (None, _) => {
                let pending = live.pending().map(|pending| &pending.token).filter(ended);
                pending.map(|token| Self::CancelPending(token.id))
            }
        }
    }

    pub(super) async fn make(
        self,
        world: &World,
        user: &UserId,
    ) -> Result<AuditEntry, ManageError> {
        let (manager, actor, guard) = (&world.manager, &world.actor, Guard::EvenIfInUse);
        match self {
            Self::RevokeAccess => manager.revoke_access(actor, user).await,
            Self::Grant(methods, lifetimes) => grant(world, user, methods, lifetimes).await,
            Self::Suspend => manager.suspend(actor, user).await,
            Self::RevokeAll => manager.revoke_all(actor, user).await,
            Self::RollBack(id) => manager.roll_back(actor, user, id, guard).await,
            Self::DeleteBackup(id) => manager.delete_backup(actor, user, id, guard).await,
            Self::CancelPending(id) => manager.cancel_pending(actor, user, id).await,
        }
    }
}

/// Grants lifetimes no longer than the policy has them by now.
async fn grant(
    world: &World,
    user: &UserId,
    methods: MethodSet,
    mut lifetimes: Lifetimes,
) -> Result<AuditEntry, ManageError> {
    loop {
        let methods = methods.clone();
        let granted =
            world.manager.grant_with_lifetimes(&world.actor, user, methods, lifetimes).await;
        match granted {
            Err(ManageError::Refused(RotationError::LifetimeTooLong { slot, longest })) => {
                match slot {
                    Slot::Primary => lifetimes.token = Some(longest),
                    Slot::Backup => lifetimes.backup = Some(longest),
                }
            }
            granted => return granted,
        }
    }
}
