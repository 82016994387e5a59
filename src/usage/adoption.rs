//! Peppers whose check value a store does not keep yet.

use crate::account::LastUse;
use crate::store::{AccountStore, StoreError};
use crate::telemetry;
use crate::time::Timestamp;
use crate::token::{PepperCheck, PepperVersion};
use crate::user::UserId;

/// How many of the tokens that were accepted are looked at in one flush.
const LOOKED_AT: usize = 32;

/// A pepper of which nobody knows yet whether it is the one that the tokens in use
/// were made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnverifiedPepper {
    pub(crate) version: PepperVersion,
    pub(crate) check: PepperCheck,
    /// A token that became active later may have been made with this very key.
    pub(crate) active_before: Option<Timestamp>,
}

/// Keeps the check value of each pepper under which one of these tokens was made, and
/// answers with those that none was. The tokens have been accepted, so the key is the
/// right one.
pub(super) async fn adopt(
    store: &dyn AccountStore,
    mut unverified: Vec<UnverifiedPepper>,
    accepted: &[(UserId, LastUse)],
) -> Result<Vec<UnverifiedPepper>, StoreError> {
    for (user, usage) in accepted.iter().take(LOOKED_AT) {
        let account = store.load(user).await?.account;
        let Some(token) = account.as_ref().and_then(|account| account.token(usage.id)) else {
            continue;
        };
        let made_under = |pepper: &UnverifiedPepper| {
            let before = pepper.active_before.is_none_or(|before| token.active_since < before);
            before && pepper.version == token.digest.pepper
        };
        let Some(place) = unverified.iter().position(made_under) else { continue };
        let UnverifiedPepper { version, check, .. } = unverified.swap_remove(place);
        if store.keep_pepper_check(version, check).await? != check {
            telemetry::pepper_differs(version);
        }
    }
    Ok(unverified)
}
