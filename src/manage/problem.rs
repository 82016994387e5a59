//! What a refused change is answered over HTTP.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};

use super::ManageError;
use crate::rotation::RotationError;
use crate::sealing::SealerError;
use crate::store::{StoreError, StoreErrorKind};
use crate::telemetry;

/// A problem document (RFC 9457): a status, and why a request was not done.
///
/// Every [`ManageError`] becomes one, so that a handler of the host's own answers
/// a refused change in one line, as the portal's operations do:
///
/// ```
/// use http::Response;
/// use bytes::Bytes;
/// use tower_api_token::TokenManager;
/// use tower_api_token::user::{Actor, UserId};
/// use tower_api_token::manage::Problem;
///
/// async fn revoke(manager: &TokenManager, user: &UserId) -> Result<(), Problem> {
///     manager.revoke_all(&Actor::User, user).await?;
///     Ok(())
/// }
///
/// # use tower_api_token::{manage::Confirmation, store::MemoryStore};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let builder = TokenManager::builder(MemoryStore::new());
/// # let manager = builder.confirmation(Confirmation::ByCaller).build().await?;
/// let problem = revoke(&manager, &UserId::new("nobody")?).await.unwrap_err();
/// assert_eq!((problem.status().as_u16(), problem.code()), (409, "already_done"));
/// let response: Response<Bytes> = problem.to_response();
/// assert_eq!(response.headers()["content-type"], "application/problem+json");
/// # Ok(())
/// # }
/// ```
///
/// With the feature `axum` it is a response by itself, and is found again in that
/// response's extensions. It holds no secret, and nothing of a failure's cause:
/// the conversion from an error writes a failure of the store or the sealer to the
/// log, as the layer does.
///
/// | error | status | code |
/// |---|---|---|
/// | `NoAccess`, `Suspended` | 403 | `no_access`, `suspended` |
/// | `UnknownCode` | 404 | `unknown_code` |
/// | `AlreadyDone`, `Stale` | 409 | `already_done`, `stale` |
/// | `BackupExists`, `InUse` | 409 | `backup_exists`, `in_use` |
/// | `NoLivePrimary`, `NoLiveBackup` | 409 | `only_token`, `no_backup` |
/// | `PrimaryExists`, `SlotTaken`, `DigestInUse` | 409 | `primary_exists`, `slot_taken`, `known_token` |
/// | [`NoSealer`](ManageError::NoSealer), [`NotSealed`](ManageError::NotSealed) | 409 | `not_kept` |
/// | [`Sealer`](ManageError::Sealer) that cannot open what is kept | 409 | `not_kept` |
/// | `ExpiredCode`, `AlreadyConfirmed` | 410 | `expired_code`, `already_confirmed` |
/// | [`Import`](ManageError::Import) | 422 | `not_importable` |
/// | `LifetimeTooLong` | 422 | `lifetime_too_long` |
/// | `TooSoon` | 429 with `Retry-After` | `too_soon` |
/// | [`Corrupt`](StoreErrorKind::Corrupt) | 500 | `unreadable_record` |
/// | [`NoNotifier`](ManageError::NoNotifier) | 500 | `no_notifier` |
/// | [`Unsupported`](StoreErrorKind::Unsupported) | 501 | `unsupported` |
/// | any other | 503 with `Retry-After` | `unavailable` |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) title: &'static str,
    pub(crate) detail: Cow<'static, str>,
    pub(crate) retry_after: Option<Duration>,
}

impl Problem {
    pub(crate) const fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: &'static str,
    ) -> Self {
        Self { status, code, title, detail: Cow::Borrowed(detail), retry_after: None }
    }

    const fn conflict(code: &'static str, title: &'static str, detail: &'static str) -> Self {
        Self::new(StatusCode::CONFLICT, code, title, detail)
    }

    pub(crate) fn because(self, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    /// A user has done this too often.
    pub(crate) fn too_many(code: &'static str, title: &'static str, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let unit = if seconds == 1 { "second" } else { "seconds" };
        let detail = format!("Please try again in {seconds} {unit}. Nothing has changed.");
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, code, title, "").because(detail);
        problem.after(Duration::from_secs(seconds))
    }

    const fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The HTTP status that says so.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The problem's stable name: the last part of its type.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// What kind of problem it is, in a few words.
    #[must_use]
    pub const fn title(&self) -> &'static str {
        self.title
    }

    /// What happened this time, and what can be done about it.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// How long to wait before the request is repeated, in whole seconds.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The whole answer: the status, the document, `Retry-After` where there is a
    /// wait, and that nobody may keep it.
    #[must_use]
    pub fn to_response(&self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(self.document()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let problem_type = HeaderValue::from_static("application/problem+json");
        headers.insert(CONTENT_TYPE, problem_type);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        }
        response
    }

    /// RFC 9457 section 3.1.
    fn document(&self) -> String {
        let (code, status) = (self.code, self.status.as_u16());
        let (title, detail) = (quoted(self.title), quoted(&self.detail));
        format!(
            "{{\"type\":\"urn:problem-type:tower-api-token:{code}\",\"title\":{title},\
             \"status\":{status},\"detail\":{detail}}}"
        )
    }
}

/// A JSON string (RFC 8259 section 7).
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\0'..='\x1f' => {
                let number = u32::from(character);
                write!(quoted, "\\u{number:04x}").expect("a string takes all that is written");
            }
            _ => quoted.push(character),
        }
    }
    quoted + "\""
}

impl From<ManageError> for Problem {
    fn from(error: ManageError) -> Self {
        match error {
            ManageError::Refused(error) => error.into(),
            ManageError::Import(error) => {
                Self::NOT_IMPORTABLE.because(format!("Nothing has changed: {error}."))
            }
            ManageError::Store(error) => error.into(),
            ManageError::NoNotifier => Self::NO_NOTIFIER,
            ManageError::NoSealer
            | ManageError::NotSealed
            | ManageError::Sealer(SealerError::OtherKey { .. } | SealerError::Unreadable) => {
                Self::NOT_KEPT
            }
            ManageError::Sealer(error) => {
                telemetry::sealer_failed(&error);
                Self::UNAVAILABLE
            }
            // Never of a change.
            ManageError::Config(_)
            | ManageError::Random(_)
            | ManageError::RepeatedToken
            | ManageError::Contended => Self::UNAVAILABLE,
        }
    }
}

impl From<RotationError> for Problem {
    fn from(error: RotationError) -> Self {
        match error {
            RotationError::NoAccess => Self::NO_ACCESS,
            RotationError::Suspended => Self::SUSPENDED,
            RotationError::LifetimeTooLong { .. } => {
                Self::LIFETIME_TOO_LONG.because(format!("{error}. Nothing has changed."))
            }
            RotationError::UnknownCode => Self::UNKNOWN_CODE,
            RotationError::ExpiredCode => Self::EXPIRED_CODE,
            RotationError::AlreadyConfirmed { id } => Self::ALREADY_CONFIRMED
                .because(format!("Token {id} is active already. There is nothing left to do.")),
            RotationError::TooSoon { retry_after } => {
                Self::too_many("too_soon", "A mail was sent moments ago", retry_after)
            }
            RotationError::AlreadyDone => Self::ALREADY_DONE,
            RotationError::Stale => Self::STALE,
            RotationError::BackupExists { .. } => Self::BACKUP_EXISTS,
            RotationError::InUse { id, last_used_at: Some(at) } => Self::IN_USE
                .because(format!("Token {id} was last used at {at}. Nothing has changed.")),
            RotationError::InUse { id, last_used_at: None } => Self::IN_USE.because(format!(
                "No use of token {id} is recorded, but it may be in use. Nothing has changed."
            )),
            RotationError::NoLivePrimary => Self::ONLY_TOKEN,
            RotationError::NoLiveBackup => Self::NO_BACKUP,
            RotationError::PrimaryExists => Self::PRIMARY_EXISTS,
            RotationError::SlotTaken { slot } => Self::SLOT_TAKEN
                .because(format!("There is a {slot} token already. Nothing has changed.")),
            RotationError::DigestInUse => Self::KNOWN_TOKEN,
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        error.log();
        match error.kind() {
            StoreErrorKind::Corrupt => Self::UNREADABLE_RECORD,
            StoreErrorKind::Unsupported => Self::UNSUPPORTED.because(format!(
                "The store of this system does not support {}. Nothing has changed.",
                error.doing()
            )),
            _ => Self::UNAVAILABLE,
        }
    }
}

/// What is said of each.
impl Problem {
    const NO_ACCESS: Self = Self::new(
        StatusCode::FORBIDDEN,
        "no_access",
        "No API access",
        "The user has no API access. An administrator grants it. Until then there are no tokens \
         to see or to generate.",
    );
    const SUSPENDED: Self = Self::new(
        StatusCode::FORBIDDEN,
        "suspended",
        "The API access is suspended",
        "Tokens can be ended, and neither made nor confirmed nor shown, until an administrator \
         resumes the access. Nothing has changed.",
    );
    const LIFETIME_TOO_LONG: Self = Self::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "lifetime_too_long",
        "This lifetime is too long",
        "",
    );
    pub(crate) const UNKNOWN_CODE: Self = Self::new(
        StatusCode::NOT_FOUND,
        "unknown_code",
        "This code is not known",
        "No token of yours waits for it. It may have been made for another user, been replaced \
         by a newer one, or been used. Nothing has changed.",
    );
    const EXPIRED_CODE: Self = Self::new(
        StatusCode::GONE,
        "expired_code",
        "This code has run out",
        "Have another one sent, or generate the token anew. Nothing has changed.",
    );
    const ALREADY_CONFIRMED: Self =
        Self::new(StatusCode::GONE, "already_confirmed", "This is already done", "");
    const ALREADY_DONE: Self =
        Self::conflict("already_done", "This is already done", "There is nothing left to do.");
    pub(crate) const STALE: Self = Self::conflict(
        "stale",
        "The account has changed",
        "The tokens are no longer those that the request is about. Nothing was done: look at what \
         there is now, and decide again.",
    );
    const BACKUP_EXISTS: Self = Self::conflict(
        "backup_exists",
        "There is a backup",
        "Delete it first, or agree that the new token's activation ends it. Nothing has changed.",
    );
    const IN_USE: Self = Self::conflict("in_use", "This token may be in use", "");
    const ONLY_TOKEN: Self = Self::conflict(
        "only_token",
        "This is the only token left",
        "There is no other that works. Nothing has changed.",
    );
    const NO_BACKUP: Self = Self::conflict(
        "no_backup",
        "There is no backup",
        "There is no token to go back to. Nothing has changed.",
    );
    const PRIMARY_EXISTS: Self = Self::conflict(
        "primary_exists",
        "There is a token already",
        "A further one is generated and confirmed. Nothing has changed.",
    );
    const SLOT_TAKEN: Self = Self::conflict("slot_taken", "The slot is not empty", "");
    const KNOWN_TOKEN: Self = Self::conflict(
        "known_token",
        "This token is already known",
        "An account names it, or has named it. Nothing has changed.",
    );
    const NOT_KEPT: Self = Self::new(
        StatusCode::CONFLICT,
        "not_kept",
        "This token cannot be shown again",
        "Nobody has it but you: the system keeps only a digest of it, which no token can be made \
         of. If you have lost it, generate a new one.",
    );
    const NOT_IMPORTABLE: Self = Self::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "not_importable",
        "This token cannot be imported",
        "",
    );
    const UNREADABLE_RECORD: Self = Self::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "unreadable_record",
        "This account cannot be read",
        "An administrator of the system has to look into it.",
    );
    const UNSUPPORTED: Self =
        Self::new(StatusCode::NOT_IMPLEMENTED, "unsupported", "The store cannot do this", "");
    const NO_NOTIFIER: Self = Self::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "no_notifier",
        "No mail can be sent",
        "The system has not been told how to. Nothing has changed.",
    );
    const UNAVAILABLE: Self = Self::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "unavailable",
        "Not available just now",
        "The tokens cannot be read or changed for the moment. Your tokens are not to blame: keep \
         them, and look again before you repeat a change.",
    )
    .after(Duration::from_secs(1));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;
    use crate::token::TokenId;

    #[test]
    fn a_document_says_what_the_problem_says() {
        let problem =
            Problem::from(RotationError::InUse { id: TokenId::from_u64(3), last_used_at: None });
        let response = problem.to_response();
        assert_eq!(response.status(), 409);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        let document: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        let expected = serde_json::json!({
            "type": "urn:problem-type:tower-api-token:in_use",
            "title": "This token may be in use",
            "status": 409,
            "detail": "No use of token 3 is recorded, but it may be in use. Nothing has changed.",
        });
        assert_eq!(document, expected);
        let used = Some(Timestamp::from_unix_millis(1_000_000_000_000));
        let problem =
            Problem::from(RotationError::InUse { id: TokenId::from_u64(3), last_used_at: used });
        assert_eq!(
            problem.detail(),
            "Token 3 was last used at 2001-09-09T01:46:40.000Z. Nothing has changed."
        );
    }

    #[test]
    fn what_a_store_does_not_offer_is_named_and_not_asked_for_again() {
        let error = StoreError::unsupported("erasing an account").with_source("hunter2");
        let response = Problem::from(ManageError::from(error)).to_response();
        assert_eq!(response.status(), 501);
        assert!(!response.headers().contains_key(RETRY_AFTER));
        let document: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        let expected = serde_json::json!({
            "type": "urn:problem-type:tower-api-token:unsupported",
            "title": "The store cannot do this",
            "status": 501,
            "detail": "The store of this system does not support erasing an account. Nothing has \
                       changed.",
        });
        assert_eq!(document, expected);
    }

    #[test]
    fn any_text_is_a_json_string() {
        for text in ["", "a\"b\\c", "\0\n\u{1f}\u{7f}", "\u{e9}\u{2028}\u{1f600}"] {
            assert_eq!(serde_json::from_str::<String>(&quoted(text)).unwrap(), text);
        }
    }

    #[test]
    fn an_outage_is_never_the_clients_fault_and_tells_when_to_ask_again() {
        for kind in [
            StoreErrorKind::Conflict,
            StoreErrorKind::Unavailable,
            StoreErrorKind::NotSetUp,
            StoreErrorKind::NewerSchema,
            StoreErrorKind::Refused,
        ] {
            let error = StoreError::new(kind, "reading").with_source("the password is hunter2");
            let response = Problem::from(ManageError::from(error)).to_response();
            assert_eq!(
                (response.status().as_u16(), &response.headers()[RETRY_AFTER]),
                (503, &HeaderValue::from(1))
            );
            assert!(!String::from_utf8_lossy(response.body()).contains("hunter2"));
        }
        let corrupt = StoreError::new(StoreErrorKind::Corrupt, "reading");
        assert_eq!(Problem::from(corrupt).status(), 500);
        let too_soon = RotationError::TooSoon { retry_after: Duration::from_millis(1_500) };
        assert_eq!(Problem::from(too_soon).to_response().headers()[RETRY_AFTER], "2");
    }
}
