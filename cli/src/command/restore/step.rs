//! The changes that take from an account what an audit tells was taken away.

use tower_api_token::account::{Account, TokenRecord};
use tower_api_token::audit::AuditEntry;
use tower_api_token::manage::{Guard, ManageError};
use tower_api_token::method::MethodSet;
use tower_api_token::token::TokenId;
use tower_api_token::user::UserId;

use super::told::ToTake;
use crate::world::World;

/// One change of an account.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    RevokeAccess,
    Grant(MethodSet),
    RevokeAll,
    RollBack(TokenId),
    DeleteBackup(TokenId),
    CancelPending(TokenId),
}

impl Step {
    /// The next change of an account whose expired tokens are retired; `None` if
    /// nothing is left to take. The methods come first: they are told by revisions,
    /// which each change raises.
    pub(super) fn next(live: &Account, take: &ToTake) -> Option<Self> {
        if let Some(left) = take.methods.as_ref().filter(|left| *left != live.methods()) {
            let step = if left.is_empty() { Self::RevokeAccess } else { Self::Grant(left.clone()) };
            return Some(step);
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
            Self::Grant(methods) => manager.grant(actor, user, methods).await,
            Self::RevokeAll => manager.revoke_all(actor, user).await,
            Self::RollBack(id) => manager.roll_back(actor, user, id, guard).await,
            Self::DeleteBackup(id) => manager.delete_backup(actor, user, id, guard).await,
            Self::CancelPending(id) => manager.cancel_pending(actor, user, id).await,
        }
    }
}
