//! Who the host says is signed in.

use axum::extract::FromRequestParts;
use http::header::USER_AGENT;
use http::request::Parts;

use crate::manage::Problem;
use crate::user::{Actor, ClientLabel, UserId};

/// The person whom the host has signed in: its session layer puts one into the
/// extensions of the request.
///
/// ```
/// use tower_api_token::user::UserId;
/// use tower_api_token::portal::PortalUser;
///
/// let root = PortalUser::administrator(UserId::new("root")?);
/// assert!(root.is_admin() && !PortalUser::new(UserId::new("alice")?).is_admin());
/// # Ok::<(), tower_api_token::ValueError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortalUser {
    user: UserId,
    is_admin: bool,
    client: Option<ClientLabel>,
}

impl PortalUser {
    /// A user who sees and changes their own tokens.
    #[must_use]
    pub const fn new(user: UserId) -> Self {
        Self { user, is_admin: false, client: None }
    }

    /// A user who also sees every account, grants methods and revokes.
    #[must_use]
    pub const fn administrator(user: UserId) -> Self {
        Self { user, is_admin: true, client: None }
    }

    /// From where they ask, as the mail with a confirmation link says. Default:
    /// the first product of the request's `User-Agent`.
    #[must_use]
    pub fn from_client(mut self, client: ClientLabel) -> Self {
        self.client = Some(client);
        self
    }

    pub(super) const fn client(&self) -> Option<&ClientLabel> {
        self.client.as_ref()
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
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let user = parts.extensions.get::<PortalUser>().cloned();
        let mut user = user.ok_or(Problem::NOT_SIGNED_IN)?;
        if user.client.is_none() {
            let agent = parts.headers.get(USER_AGENT);
            user.client = agent.and_then(|agent| ClientLabel::of_user_agent(agent.as_bytes()));
        }
        Ok(Self(user))
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
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let SignedIn(user) = SignedIn::from_request_parts(parts, state).await?;
        if user.is_admin { Ok(Self(user)) } else { Err(Problem::NOT_ADMINISTRATOR) }
    }
}
