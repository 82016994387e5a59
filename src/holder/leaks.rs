//! Reports of a secret scanner, in the protocol of GitHub's secret scanning partner
//! program.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::{Deserialize, Serialize};

use super::keys::{PublicKey, PublicKeys};
use super::{BoxError, answer, program};
use crate::manage::{LeakResponse, Problem, TokenManager};
use crate::token::sha256;
use crate::user::Actor;

/// The longest body, in bytes, and the most tokens in it.
const MOST_BYTES: usize = 1 << 20;
const MOST_TOKENS: usize = 1_000;

const IDENTIFIER: HeaderName = HeaderName::from_static("github-public-key-identifier");
const SIGNATURE: HeaderName = HeaderName::from_static("github-public-key-signature");

/// Finds the key of an identifier.
type KeyOf = dyn Fn(&str) -> Option<PublicKey> + Send + Sync;

/// Takes what GitHub's secret scanning has found, as its
/// [partner program](https://docs.github.com/en/code-security/secret-scanning/secret-scanning-partnership-program/secret-scanning-partner-program)
/// reports it.
///
/// A report is a JSON list of `token`, `type`, `url` and `source`, signed as it is by
/// ECDSA P-256 over SHA-256. The header `Github-Public-Key-Identifier` names one of the
/// keys that the host has given, and `Github-Public-Key-Signature` holds the signature.
/// No key is ever fetched because a request names it.
///
/// Each token is reported by
/// [`TokenManager::report_leak`] as the program `github secret scanning`, found at its
/// `source` and `url`, and answered with its SHA-256 in base64: `true_positive` if it is
/// or was a token of this system, else `false_positive`.
///
/// ```text
/// [{"token_hash":"n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=","token_type":"acme_api_token","label":"true_positive"}]
/// ```
///
/// | request | answer |
/// |---|---|
/// | no such key, no signature, a wrong one | 403, before the store is asked anything |
/// | a body over 1 MiB, more than 1000 tokens | 413 |
/// | signed, and no such list | 400 `{"error":"invalid_request"}` |
/// | a store that fails at any of the tokens | 503, so that all are sent again |
///
/// A token that has ended is not ended again, so that a report may be repeated.
#[derive(Clone)]
pub struct LeakReports {
    key_of: Arc<KeyOf>,
    response: LeakResponse,
    actor: Actor,
}

impl LeakReports {
    /// Takes what one of these keys has signed.
    ///
    /// ```
    /// # use tower_api_token::{ConfigError, TokenManager};
    /// use tower_api_token::holder::{HolderService, LeakReports, PublicKeys};
    ///
    /// # fn on(manager: TokenManager, file: &str) -> Result<HolderService, ConfigError> {
    /// let reports = LeakReports::signed_by(PublicKeys::from_json(file)?);
    /// let holder = HolderService::new(manager).leak_reports(reports);
    /// # Ok(holder)
    /// # }
    /// ```
    #[must_use]
    pub fn signed_by(keys: PublicKeys) -> Self {
        Self::with_keys_of(move |identifier| keys.get(identifier).cloned())
    }

    /// Takes what is signed with the key that `key_of` has for an identifier: for a host
    /// that reads its keys anew. It is asked for whatever anybody sends, so it must not
    /// fetch any.
    #[must_use]
    pub fn with_keys_of(
        key_of: impl Fn(&str) -> Option<PublicKey> + Send + Sync + 'static,
    ) -> Self {
        let actor = program("github secret scanning");
        Self { key_of: Arc::new(key_of), response: LeakResponse::default(), actor }
    }

    /// What is done about a token that was found. Default: it ends, and its user is told.
    #[must_use]
    pub const fn response(mut self, response: LeakResponse) -> Self {
        self.response = response;
        self
    }

    /// The body, if it is signed.
    pub(super) async fn signed<B>(&self, head: &Parts, body: B) -> Result<Bytes, StatusCode>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        const FORBIDDEN: StatusCode = StatusCode::FORBIDDEN;
        let identifier = only(&head.headers, &IDENTIFIER).ok_or(FORBIDDEN)?;
        let signature = only(&head.headers, &SIGNATURE).ok_or(FORBIDDEN)?;
        let signature = STANDARD.decode(signature).map_err(|_| FORBIDDEN)?;
        let key = (self.key_of)(identifier).ok_or(FORBIDDEN)?;
        let body = pin!(Limited::new(body, MOST_BYTES));
        let body = body.collect().await.map_err(|error| unread(&*error))?.to_bytes();
        if key.has_signed(&body, &signature) { Ok(body) } else { Err(FORBIDDEN) }
    }

    /// Does what is to be done about each token of a report.
    pub(super) async fn take(&self, manager: &TokenManager, signed: &[u8]) -> Response<Bytes> {
        let Ok(found) = serde_json::from_slice::<Vec<Found>>(signed) else {
            return answer::invalid_request();
        };
        if found.len() > MOST_TOKENS {
            return answer::empty(StatusCode::PAYLOAD_TOO_LARGE);
        }
        let mut labels = Vec::with_capacity(found.len());
        for found in &found {
            let place = found.place();
            let reported = manager.report_leak(&self.actor, &found.token, &place, self.response);
            match reported.await {
                Ok(is_ours) => labels.push(Label::of(found, is_ours)),
                Err(error) => return Problem::from(error).to_response(),
            }
        }
        answer::json(&labels)
    }
}

impl fmt::Debug for LeakReports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeakReports").field("response", &self.response).finish_non_exhaustive()
    }
}

/// The header's value, if it is there once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    value.to_str().ok()
}

fn unread(error: &(dyn std::error::Error + Send + Sync + 'static)) -> StatusCode {
    if error.is::<LengthLimitError>() {
        StatusCode::PAYLOAD_TOO_LARGE
    } else {
        StatusCode::BAD_REQUEST
    }
}

/// A token that was found, as it is reported.
#[derive(Deserialize)]
struct Found {
    token: String,
    #[serde(rename = "type")]
    kind: String,
    url: Option<String>,
    source: Option<String>,
}

impl Found {
    /// Where: the kind of place, and its address if it has one.
    fn place(&self) -> String {
        let parts = [self.source.as_deref(), self.url.as_deref()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

/// What GitHub is told of it: never the token itself.
#[derive(Serialize)]
struct Label<'f> {
    token_hash: String,
    token_type: &'f str,
    label: &'static str,
}

impl<'f> Label<'f> {
    fn of(found: &'f Found, is_ours: bool) -> Self {
        Self {
            token_hash: STANDARD.encode(sha256(found.token.as_bytes())),
            token_type: &found.kind,
            label: if is_ours { "true_positive" } else { "false_positive" },
        }
    }
}
