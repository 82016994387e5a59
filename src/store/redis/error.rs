//! What an answer that is none means.

use std::error::Error;
use std::io;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, RedisResult};

use super::scripts::LOST;
use crate::store::{StoreError, StoreErrorKind};

/// Names what was being done when the driver failed.
pub(super) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError>;
}

impl<T> Doing<T> for RedisResult<T> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| store_error(doing, error))
    }
}

pub(super) fn store_error(doing: &'static str, error: RedisError) -> StoreError {
    StoreError::new(kind(&error), doing).with_source(cause(error))
}

/// The kind of failure that the driver's error stands for.
pub(super) fn kind(error: &RedisError) -> StoreErrorKind {
    match error.kind() {
        ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig => StoreErrorKind::Refused,
        ErrorKind::Io if is_untrusted(error) => StoreErrorKind::Refused,
        _ => match error.code() {
            // Who asks, what that user may do, and from where.
            Some("WRONGPASS" | "NOAUTH" | "NOPERM" | "DENIED") => StoreErrorKind::Refused,
            _ if lacks_right_in_script(error) => StoreErrorKind::Refused,
            _ => StoreErrorKind::Unavailable,
        },
    }
}

/// Whether the user lacks a right that a script needs: Redis 7.0 and 7.2 have
/// no code for it but `ERR`.
fn lacks_right_in_script(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.starts_with("The user executing the script can't"))
}

type Cause = dyn Error + Send + Sync;

/// Whether client and server were connected, but TLS refuses the certificate,
/// or what was answered is no TLS.
fn is_untrusted(error: &RedisError) -> bool {
    // The driver shares the error that caused its own.
    let shared = error.source().and_then(|cause| cause.downcast_ref::<Arc<Cause>>());
    let cause = shared.and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::InvalidData)
}

/// The error without what it may quote.
pub(super) fn cause(error: RedisError) -> Box<dyn Error + Send + Sync> {
    if error.is_io_error() {
        return error.into();
    }
    match error.code() {
        Some(LOST) => Loss::Lost.into(),
        _ if lacks_right_in_script(&error) => MissingRight.into(),
        code => Refusal::new(code.unwrap_or(error.category()), error.detail()).into(),
    }
}

/// The server names the command in its own log (`ACL LOG`) alone.
#[derive(Debug, thiserror::Error)]
#[error("the user lacks a right that a script needs: see `ACL LOG` on the server")]
struct MissingRight;

/// Why the server has no answer although it answers.
#[derive(Debug, thiserror::Error)]
pub(super) enum Loss {
    #[error("the deployment was never created on this server, or the server has lost everything")]
    NotCreated,
    #[error("the server has lost the deployment that was there before")]
    Lost,
}

/// Why a deployment cannot be used although it is there.
#[derive(Debug, thiserror::Error)]
pub(super) enum SchemaFault {
    #[error("the deployment has an older schema version than this program needs: migrate it")]
    Older,
    #[error("the deployment has a later schema version than this program knows")]
    Newer,
}

pub(super) fn lost(doing: &'static str, loss: Loss) -> StoreError {
    let kind = match loss {
        Loss::NotCreated => StoreErrorKind::NotSetUp,
        // It may come back: from a backup, or with another server.
        Loss::Lost => StoreErrorKind::Unavailable,
    };
    StoreError::new(kind, doing).with_source(loss)
}

/// What the server said, up to the first thing that it quotes: that may be a
/// digest.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refusal(String);

impl Refusal {
    fn new(code: &str, detail: Option<&str>) -> Self {
        let detail = detail.and_then(|detail| detail.split(['\'', '"', '`']).next());
        let mut said = code.to_owned();
        if let Some(detail) = detail.map(str::trim).filter(|detail| !detail.is_empty()) {
            said = format!("{said}: {detail}");
        }
        Self(said)
    }
}

/// An answer of a form that no script gives. The answer itself is no part of
/// the error: it may hold digests.
pub(super) const fn corrupt(doing: &'static str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, doing)
}

/// The change is made, but a failover could lose it.
#[derive(Debug, thiserror::Error)]
#[error(
    "{reached} of {enough} replicas {} the change",
    if *.reached == 1 { "has" } else { "have" }
)]
pub(super) struct TooFewReplicas {
    pub(super) reached: i64,
    pub(super) enough: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_server_quotes_is_told() {
        let detail = "unknown command 'EVALSHA', with args beginning with: 'secret'";
        let error = RedisError::from((ErrorKind::Extension, "refused", detail.to_owned()));
        let cause = cause(error);
        assert_eq!(cause.to_string(), "extension error: unknown command");
        assert!(!format!("{cause:?}").contains("secret"));
    }
}
