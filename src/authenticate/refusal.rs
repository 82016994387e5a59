//! The denials of a decision.

use super::Authenticator;
use crate::account::{Account, Place};
use crate::denial::{Denial, DenialKind, Reason, RequestFault};
use crate::store::{StoreError, StoreErrorKind};
use crate::token::TokenDigest;

impl Authenticator {
    /// The digest is known, but no live token's, or not of the user named
    /// beside it.
    #[cold]
    pub(super) fn not_live(
        &self,
        account: &Account,
        digest: &TokenDigest,
        user: Option<&str>,
    ) -> Box<Denial> {
        let place = account.place_of(digest);
        if let (Some(usage), Some(Place::Retired(id))) = (&self.usage, place) {
            usage.note_retired(account, id);
        }
        let of_another = user.is_some_and(|named| named != account.user().as_str());
        invalid(match place {
            Some(Place::Retired(_)) => Reason::Retired,
            Some(Place::Pending) => Reason::Pending,
            Some(Place::Live(_)) if of_another => Reason::OtherUser,
            Some(Place::Live(_)) => Reason::Expired,
            None => Reason::Unknown,
        })
    }
}

/// A denial as it is handed up: boxed, since the other outcome is small.
#[cold]
pub(super) fn refusal(kind: DenialKind) -> Box<Denial> {
    Box::new(Denial::new(kind))
}

/// The denial of every token that is not live; they differ in the log alone.
#[cold]
pub(super) fn invalid(reason: Reason) -> Box<Denial> {
    Box::new(Denial::because(DenialKind::InvalidToken, reason))
}

#[cold]
pub(super) fn faulty(fault: RequestFault) -> Box<Denial> {
    Box::new(Denial::fault(fault))
}

/// The method is not granted, or, for a gateway's client, in doubt.
#[cold]
pub(super) fn not_granted(method: Option<&str>) -> Box<Denial> {
    Box::new(match method {
        Some(method) => Denial::method_not_granted(method),
        None => Denial::because(DenialKind::MethodNotGranted, Reason::NoMethod),
    })
}

/// What a store's failure is to the client; none is an approval, and none looks
/// like a bad token.
pub(super) fn failed(error: &StoreError) -> DenialKind {
    error.log();
    match error.kind() {
        StoreErrorKind::Corrupt => DenialKind::StoreCorrupt,
        StoreErrorKind::Conflict
        | StoreErrorKind::Unavailable
        | StoreErrorKind::NotSetUp
        | StoreErrorKind::NewerSchema
        | StoreErrorKind::Refused
        | StoreErrorKind::Unsupported => DenialKind::StoreUnavailable,
    }
}
