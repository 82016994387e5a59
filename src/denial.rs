//! Why a request is not let through, and how HTTP says so.
//!
//! | [`DenialKind`] | status | `error` (RFC 6750 section 3.1) |
//! |---|---|---|
//! | `MissingCredential` | 401 | none |
//! | `InvalidRequest` | 400 | `invalid_request` |
//! | `InvalidToken` | 401 | `invalid_token` |
//! | `AccessSuspended` | 403 | none |
//! | `MethodNotGranted` | 403 | `insufficient_scope`, with `scope` |
//! | `PrivilegeMissing` | 403 | `insufficient_scope` |
//! | `StoreUnavailable` | 503 and `Retry-After` | none |
//! | `StoreCorrupt` | 500 | none |
//!
//! An outage never looks like a bad token, so that nobody rotates good ones.
//! Why a token is not valid no answer tells: the debug log does (see
//! [`audit`](crate::audit)).

pub(crate) mod grpc;
mod render;

use std::fmt;

use compact_str::CompactString;
use http::StatusCode;

pub(crate) use self::grpc::{is_grpc, render_grpc};
pub(crate) use self::render::{Realm, Renderer, keep_the_head};
pub use crate::credentials::RequestFault;
use crate::method::MAX_METHOD_LENGTH;

/// The kind of a [`Denial`]: what a host or a client decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DenialKind {
    /// No enabled source carries a credential.
    MissingCredential,
    /// The credential, or a method override, is malformed or ambiguous.
    InvalidRequest(RequestFault),
    /// The token is unknown, revoked, retired, pending or expired, or is not
    /// that of the user named beside it: which of these is never told.
    InvalidToken,
    /// The token is live, but its user's access is suspended.
    AccessSuspended,
    /// The token is live, but its user may not perform a method that the
    /// request needs.
    MethodNotGranted,
    /// The token is live and the method granted, but the host's own check
    /// refused.
    PrivilegeMissing,
    /// The store could not answer. Says nothing about the token.
    StoreUnavailable,
    /// The store's record cannot be read. Says nothing about the token.
    StoreCorrupt,
}

/// A decision not to let a request through.
///
/// It holds no secret: not the token, not its digest, no other header.
#[derive(Clone)]
pub struct Denial {
    pub(crate) kind: DenialKind,
    pub(crate) method: Option<CompactString>,
    /// For the log alone: nothing that a host can read, print or compare.
    pub(crate) reason: Option<&'static str>,
}

impl Denial {
    pub(crate) const fn new(kind: DenialKind) -> Self {
        Self { kind, method: None, reason: None }
    }

    /// A denial that the log gives this reason for.
    pub(crate) const fn because(kind: DenialKind, reason: Reason) -> Self {
        Self { kind, method: None, reason: Some(reason.text()) }
    }

    /// What the log says of it; no answer may hold it.
    pub(crate) fn reason(&self) -> &'static str {
        self.reason.unwrap_or(self.detail())
    }

    pub(crate) const fn fault(fault: RequestFault) -> Self {
        Self::new(DenialKind::InvalidRequest(fault))
    }

    /// `method` is not granted. One too long to be granted is not repeated.
    pub(crate) fn method_not_granted(method: &str) -> Self {
        let shown = (method.len() <= MAX_METHOD_LENGTH).then(|| method.into());
        Self { kind: DenialKind::MethodNotGranted, method: shown, reason: None }
    }

    /// The kind of denial.
    #[must_use]
    pub const fn kind(&self) -> DenialKind {
        self.kind
    }

    /// The method that the request needs and the user may not perform, where
    /// that is the reason and it can be repeated.
    #[must_use]
    pub fn required_method(&self) -> Option<&str> {
        self.method.as_deref()
    }

    /// The HTTP status that says so.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self.kind {
            DenialKind::InvalidRequest(_) => StatusCode::BAD_REQUEST,
            DenialKind::MissingCredential | DenialKind::InvalidToken => StatusCode::UNAUTHORIZED,
            DenialKind::AccessSuspended
            | DenialKind::MethodNotGranted
            | DenialKind::PrivilegeMissing => StatusCode::FORBIDDEN,
            DenialKind::StoreUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            DenialKind::StoreCorrupt => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The denial's stable name: the last part of its problem type, and of use
    /// as a metric's label.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self.kind {
            DenialKind::MissingCredential => "missing-credential",
            DenialKind::InvalidRequest(_) => "invalid-request",
            DenialKind::InvalidToken => "invalid-token",
            DenialKind::AccessSuspended => "access-suspended",
            DenialKind::MethodNotGranted => "method-not-granted",
            DenialKind::PrivilegeMissing => "privilege-missing",
            DenialKind::StoreUnavailable => "store-unavailable",
            DenialKind::StoreCorrupt => "internal-error",
        }
    }

    /// The error code of RFC 6750 section 3.1, where the denial has one.
    #[must_use]
    pub const fn error(&self) -> Option<&'static str> {
        match self.kind {
            DenialKind::InvalidRequest(_) => Some("invalid_request"),
            DenialKind::InvalidToken => Some("invalid_token"),
            DenialKind::MethodNotGranted | DenialKind::PrivilegeMissing => {
                Some("insufficient_scope")
            }
            DenialKind::MissingCredential
            | DenialKind::AccessSuspended
            | DenialKind::StoreUnavailable
            | DenialKind::StoreCorrupt => None,
        }
    }

    /// One sentence for a person. It tells no more than the kind does.
    #[must_use]
    pub const fn detail(&self) -> &'static str {
        match self.kind {
            DenialKind::MissingCredential => "an API token is required",
            DenialKind::InvalidRequest(fault) => fault.text(),
            DenialKind::InvalidToken => "the API token is not valid",
            DenialKind::AccessSuspended => "access with API tokens is suspended for this user",
            DenialKind::MethodNotGranted => "this API token does not grant the request's method",
            DenialKind::PrivilegeMissing => "this API token does not grant access to this resource",
            DenialKind::StoreUnavailable => "API tokens cannot be checked at the moment",
            DenialKind::StoreCorrupt => "the API token could not be checked",
        }
    }
}

impl fmt::Debug for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut denial = f.debug_struct("Denial");
        denial.field("kind", &self.kind).field("method", &self.method).finish()
    }
}

impl PartialEq for Denial {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, &self.method) == (other.kind, &other.method)
    }
}

impl Eq for Denial {}

/// A denial as an error, for hosts that call the decision themselves.
impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail())
    }
}

impl std::error::Error for Denial {}

/// What an answer does not tell: it is for the log alone.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reason {
    /// No enabled source carries a credential.
    NoCredential,
    /// `Authorization` is empty, or holds no scheme.
    NoScheme,
    /// `Authorization` holds another scheme's credential.
    OtherScheme,
    /// The request is a CORS preflight, which carries no credential.
    Preflight,
    /// The request passed as anonymous, and its handler serves no such one.
    Anonymous,
    /// The string is not of a form that the store is asked for.
    Foreign,
    /// The string has the form of a generated token and a wrong check sum.
    Damaged,
    /// No account names the token.
    Unknown,
    /// The token has been retired.
    Retired,
    /// The token waits for its confirmation.
    Pending,
    /// The token's lifetime is over.
    Expired,
    /// The user named beside the token is not its user.
    OtherUser,
    /// The gateway does not say which method its client used, or says it twice.
    NoMethod,
}

impl Reason {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::NoCredential => "no enabled source carries a credential",
            Self::NoScheme => "Authorization has no scheme before the credential, such as Bearer",
            Self::OtherScheme => "the scheme in Authorization is not an enabled one",
            Self::Preflight => {
                "a CORS preflight carries no credential, and passes only with allow_preflight (in \
                 the program requests.allow-preflight)"
            }
            Self::Anonymous => "the request is anonymous, and its handler needs an identity",
            Self::Foreign => {
                "the token has not the form of a generated one with a listed prefix, and a \
                 store is asked for others only with accept_foreign_tokens (in the program \
                 tokens.accept-foreign)"
            }
            Self::Damaged => "the token's check sum is wrong, so no store is asked for it",
            Self::Unknown => "no account has this token",
            Self::Retired => "the token has been retired",
            Self::Pending => "the token is not confirmed yet",
            Self::Expired => "the token has expired",
            Self::OtherUser => "the user named beside the token is not its user",
            Self::NoMethod => {
                "the gateway does not say its client's method once, in the way of the profile"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_is_a_plain_value_and_an_error() {
        fn plain<T: Clone + Send + Sync + Unpin + std::error::Error + 'static>() {}
        plain::<Denial>();
    }
}
