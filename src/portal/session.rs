//! Who the host says is signed in.

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::refusal::Refusal;
use crate::identity::{Actor, UserId};

/// The person whom the host has signed in: its session layer puts one into the
/// extensions of the request.
///
/// ```
/// use tower_api_token::identity::UserId;
/// use tower_api_token::portal::PortalUser;
///
/// let root = PortalUser::administrator(UserId::new("root")?);
/// assert!(root.is_admin() && !PortalUser::new(UserId::new("alice")?).is_admin());
/// # Ok::<(), tower_api_token::identity::UserIdError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortalUser {
    user: UserId,
    is_admin: bool,
}

impl PortalUser {
    /// A user who sees and changes their own tokens.
    #[must_use]
    pub const fn new(user: UserId) -> Self {
        Self { user, is_admin: false }
    }

    /// A user who also sees every account, grants methods and revokes.
    #[must_use]
    pub const fn administrator(user: UserId) -> Self {
        Self { user, is_admin: true }
    }

    /// Who it is.
    #[must_use]
    pub const fn user(&self) -> &UserId {
        &self.user
    }

    /// Whether they administer the accounts of others.
    #[must_use]
    pub const fn is_admin(&self) -> bool {
        self.is_admin
    }
}

/// Whoever is signed in.
pub(super) struct SignedIn(pub(super) PortalUser);

impl<S: Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let user = parts.extensions.get::<PortalUser>().cloned();
        user.map(Self).ok_or(Refusal::NOT_SIGNED_IN)
    }
}

/// An administrator; anybody else is refused before the request is read.
pub(super) struct Administrator(pub(super) PortalUser);

impl Administrator {
    pub(super) fn actor(&self) -> Actor {
        Actor::Administrator(self.0.user.clone())
    }
}

impl<S: Sync> FromRequestParts<S> for Administrator {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let SignedIn(user) = SignedIn::from_request_parts(parts, state).await?;
        if user.is_admin { Ok(Self(user)) } else { Err(Refusal::NOT_ADMINISTRATOR) }
    }
}
