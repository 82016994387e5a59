//! Why a request was not done, for a page and for a problem document alike.

use std::borrow::Cow;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::events;
use crate::identity::UserIdError;
use crate::manage::ManageError;
use crate::method::MethodError;
use crate::rotation::RotationError;
use crate::store::{StoreError, StoreErrorKind};

/// A refusal. As a response it is empty and carries itself in its extensions:
/// the [guard](super::guard) makes a page or a problem document of it.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// The last part of the problem's type.
    pub(super) code: &'static str,
    pub(super) title: &'static str,
    pub(super) detail: Cow<'static, str>,
    pub(super) retry_after: Option<Duration>,
}

impl Refusal {
    pub(super) const NOT_SIGNED_IN: Self = Self::new(
        StatusCode::UNAUTHORIZED,
        "not_signed_in",
        "Please sign in",
        "These pages are for people who have signed in. An API token does not sign anyone in.",
    );
    pub(super) const NOT_ADMINISTRATOR: Self = Self::new(
        StatusCode::FORBIDDEN,
        "not_administrator",
        "For administrators only",
        "Your account does not administer the access of others.",
    );
    pub(super) const CROSS_ORIGIN: Self = Self::new(
        StatusCode::FORBIDDEN,
        "cross_origin",
        "This came from somewhere else",
        "A change must be asked for on these pages themselves. Nothing has changed.",
    );
    pub(super) const FORGED_FORM: Self = Self::new(
        StatusCode::FORBIDDEN,
        "forged_form",
        "This form is not valid any more",
        "Open the page again and repeat what you did. Nothing has changed.",
    );
    pub(super) const NOT_FOUND: Self = Self::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "There is no such page",
        "The address may have been mistyped.",
    );
    pub(super) const METHOD: Self = Self::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This cannot be done that way",
        "The address does not answer to this HTTP method. Nothing has changed.",
    );
    pub(super) const TOO_LARGE: Self = Self::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too_large",
        "That was too much",
        "A request may have at most 16 KiB. Nothing has changed.",
    );
    pub(super) const NOT_JSON: Self = Self::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "not_json",
        "Not JSON",
        "The request must be sent as application/json. Nothing has changed.",
    );
    pub(super) const STALE: Self = Self::new(
        StatusCode::CONFLICT,
        "stale",
        "This page was out of date",
        "The tokens have changed since it was opened, in another window or by somebody else. \
         Nothing was done: look at what there is now, and decide again.",
    );
    pub(super) const UNKNOWN_CODE: Self = Self::new(
        StatusCode::NOT_FOUND,
        "unknown_code",
        "This code is not known",
        "No token of yours waits for it. It may have been made for another user, been replaced \
         by a newer one, or been used. Nothing has changed.",
    );
    pub(super) const LOOKS_SECRET: Self = Self::new(
        StatusCode::BAD_REQUEST,
        "looks_secret",
        "That looks like a token",
        "It was not searched for and is not shown here. If it was typed into the wrong place, \
         treat it as leaked.",
    );

    pub(super) const NOTHING_PENDING: Self = Self::new(
        StatusCode::NOT_FOUND,
        "nothing_pending",
        "There is nothing to activate",
        "No token of yours waits for its confirmation. Generate one on your profile first.",
    );
    pub(super) const NO_ACCOUNT: Self = Self::new(
        StatusCode::NOT_FOUND,
        "no_account",
        "There is no such account",
        "This user has never been granted API access, or was erased.",
    );
    pub(super) const NOT_KEPT: Self = Self::new(
        StatusCode::CONFLICT,
        "not_kept",
        "This token cannot be shown again",
        "Nobody has it but you: the system keeps only a digest of it, which no token can be made \
         of. If you have lost it, generate a new one.",
    );
    pub(super) const NOT_SENT: Self = Self::new(
        StatusCode::BAD_GATEWAY,
        "not_sent",
        "The mail could not be sent",
        "Your new token still waits. Have the mail sent again in a minute.",
    );

    pub(super) const fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: &'static str,
    ) -> Self {
        Self { status, code, title, detail: Cow::Borrowed(detail), retry_after: None }
    }

    /// A request that cannot be understood.
    pub(super) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        let refusal =
            Self::new(StatusCode::BAD_REQUEST, "bad_request", "This cannot be understood", "");
        Self { detail: detail.into(), ..refusal }
    }

    /// A user has done this too often.
    pub(super) fn limited(retry_after: Duration) -> Self {
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many", "Too often", "");
        refusal.after(retry_after)
    }

    fn after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let unit = if seconds == 1 { "second" } else { "seconds" };
        let detail = format!("Please try again in {seconds} {unit}. Nothing has changed.").into();
        Self { detail, retry_after: Some(Duration::from_secs(seconds)), ..self }
    }
}

impl From<RotationError> for Refusal {
    fn from(error: RotationError) -> Self {
        let conflict = |code, title, detail| Self::new(StatusCode::CONFLICT, code, title, detail);
        match error {
            RotationError::NoAccess => Self::new(
                StatusCode::FORBIDDEN,
                "no_access",
                "You have no API access",
                "An administrator grants it. Until then there are no tokens to see or to generate.",
            ),
            RotationError::UnknownCode => Self::UNKNOWN_CODE,
            RotationError::ExpiredCode => Self::new(
                StatusCode::GONE,
                "expired_code",
                "This code has run out",
                "Have another one sent from your profile, or generate the token anew. Nothing has \
                 changed.",
            ),
            RotationError::AlreadyConfirmed { id } => Self {
                detail: format!("Token {id} is active already. There is nothing left to do.")
                    .into(),
                ..Self::new(StatusCode::GONE, "already_confirmed", "This is already done", "")
            },
            RotationError::TooSoon { retry_after } => {
                let refusal = Self::limited(retry_after);
                Self { code: "too_soon", title: "A mail was sent moments ago", ..refusal }
            }
            RotationError::BackupExists { .. } => conflict(
                "backup_exists",
                "There is a backup",
                "Delete it first, or agree that the new token's activation ends it. Nothing has \
                 changed.",
            ),
            RotationError::InUse { id, .. } => Self {
                detail: format!("Token {id} was used lately. Nothing has changed.").into(),
                ..conflict("in_use", "This token is still in use", "")
            },
            RotationError::NoLivePrimary => conflict(
                "only_token",
                "This is the only token left",
                "There is no other that works. Nothing has changed.",
            ),
            RotationError::NoLiveBackup => conflict(
                "no_backup",
                "There is no backup",
                "There is no token to go back to. Nothing has changed.",
            ),
            RotationError::AlreadyDone => {
                conflict("already_done", "This is already done", "There is nothing left to do.")
            }
            _ => Self::STALE,
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        events::store_failed(&error);
        if error.kind() == StoreErrorKind::Corrupt {
            Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "unreadable_record",
                "This account cannot be read",
                "An administrator of the system has to look into it.",
            )
        } else {
            unavailable()
        }
    }
}

fn unavailable() -> Refusal {
    let refusal = Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "unavailable",
        "Not available just now",
        "The tokens cannot be read or changed for the moment. Your tokens are not to blame: keep \
         them, and look again before you repeat a change.",
    );
    Refusal { retry_after: Some(Duration::from_secs(1)), ..refusal }
}

impl From<ManageError> for Refusal {
    fn from(error: ManageError) -> Self {
        match error {
            ManageError::Refused(error) => error.into(),
            ManageError::Store(error) => error.into(),
            ManageError::NoNotifier => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "no_notifier",
                "No mail can be sent",
                "The system has not been told how to. Nothing has changed.",
            ),
            _ => unavailable(),
        }
    }
}

impl From<UserIdError> for Refusal {
    fn from(error: UserIdError) -> Self {
        Self::bad_request(format!("There can be no such user: {error}."))
    }
}

impl From<MethodError> for Refusal {
    fn from(error: MethodError) -> Self {
        Self::bad_request(format!("These methods cannot be granted: {error}. Nothing has changed."))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
