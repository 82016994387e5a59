//! Who an authenticated request comes from.

use std::any::Any;

use http::{HeaderName, HeaderValue};

use crate::account::{Extension, Slot};
use crate::method::MethodSet;
use crate::time::Timestamp;
use crate::token::TokenId;
use crate::user::UserId;

/// Tells the owner of a request that it still uses the old token.
pub(crate) const SLOT: HeaderName = HeaderName::from_static("api-token-slot");

/// Tells the owner of a request when its token is going to end.
pub(crate) const EXPIRES: HeaderName = HeaderName::from_static("api-token-expires");

/// What a client is told of its token: that it is the backup, and when it is going to
/// end.
pub(crate) fn notices(
    is_backup: bool,
    expires: Option<Timestamp>,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let slot = is_backup.then(|| (SLOT, HeaderValue::from_static(Slot::Backup.as_str())));
    let expires = expires.and_then(|end| HeaderValue::try_from(end.to_string()).ok());
    slot.into_iter().chain(expires.map(|end| (EXPIRES, end)))
}

/// Who an authenticated request comes from, and with which token.
///
/// The layer puts it into the request's extensions. It is a copy: later changes
/// of the account do not show in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub(super) user: UserId,
    pub(super) methods: MethodSet,
    pub(super) token: TokenId,
    pub(super) slot: Slot,
    pub(super) announced_end: Option<Timestamp>,
    pub(super) extension: Extension,
}

impl Identity {
    /// The user whom the token identifies.
    #[must_use]
    pub const fn user(&self) -> &UserId {
        &self.user
    }

    /// The slot that the presented token is in.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// The public name of the presented token.
    #[must_use]
    pub const fn token_id(&self) -> TokenId {
        self.token
    }

    /// When the presented token ends, if its user has been told of it.
    #[must_use]
    pub const fn announced_end(&self) -> Option<Timestamp> {
        self.announced_end
    }

    /// The methods granted to the user, this request's among them.
    #[must_use]
    pub const fn methods(&self) -> &MethodSet {
        &self.methods
    }

    /// The value that the host's own store has put beside the account, if there is
    /// one of that type; see
    /// [`AccountBuilder::extension`](crate::account::AccountBuilder::extension).
    #[must_use]
    pub fn extension<T: Any>(&self) -> Option<&T> {
        self.extension.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_a_plain_value() {
        fn plain<T: Clone + Send + Sync + Unpin + 'static>() {}
        plain::<Identity>();
    }
}
