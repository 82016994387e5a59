//! Whether the peppers of a scheme are those that the store's tokens were made with,
//! and whether the scheme recognises what tokens there are.

use super::StartError;
use crate::store::{AccountStore, StoreError};
use crate::telemetry;
use crate::token::{Pepper, PepperVersion, TokenScheme};
use crate::usage::UnverifiedPepper;

/// Refuses a pepper that is not the one whose check value the store keeps; and
/// answers with those that have none, although tokens are in use under them.
///
/// A check value is kept at once where no token is in use under the version: the
/// first start decides for all.
pub(super) async fn verify(
    store: &dyn AccountStore,
    scheme: &TokenScheme,
    in_use: &[(PepperVersion, u64)],
) -> Result<Vec<UnverifiedPepper>, StartError> {
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
            None if pepper.is_short() => return Err(StartError::ShortPepper { version }),
            None => store.keep_pepper_check(version, check).await?,
        };
        if known != check {
            return Err(StartError::WrongPepper { version });
        }
    }
    Ok(unverified)
}

/// Tells the log of tokens in use that every request is refused with.
pub(super) async fn tell_of_unrecognised(
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
