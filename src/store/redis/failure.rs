//! What an answer that is none means.

use std::error::Error;

use redis::RedisError;

use super::scripts::LOST;
use crate::store::{StoreError, StoreErrorKind};

pub(super) fn unavailable(doing: &'static str, error: RedisError) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, doing).with_source(cause(error))
}

/// The error without what it may quote.
pub(super) fn cause(error: RedisError) -> Box<dyn Error + Send + Sync> {
    if error.is_io_error() {
        return error.into();
    }
    match error.code() {
        Some(LOST) => Loss::Lost.into(),
        code => Refusal::new(code.unwrap_or(error.category()), error.detail()).into(),
    }
}

/// Why the server has no answer although it answers.
#[derive(Debug, thiserror::Error)]
pub(super) enum Loss {
    #[error("the deployment was never created on this server, or the server has lost everything")]
    NotCreated,
    #[error("the server has lost the deployment that was there before")]
    Lost,
}

pub(super) fn lost(doing: &'static str, loss: Loss) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, doing).with_source(loss)
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
    use redis::ErrorKind;

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
