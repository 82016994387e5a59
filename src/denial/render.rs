//! A denial as an HTTP response: status, challenges (RFC 9110 section 11.6.1,
//! RFC 6750 section 3, RFC 7617 section 2) and a problem document (RFC 9457).

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Response};

use super::{Denial, DenialKind};
use crate::ConfigError;
use crate::credentials::{CredentialSource, Sources};

/// How long a client shall wait before it asks an unavailable store again, in
/// seconds.
const RETRY_AFTER_SECONDS: &str = "1";

/// The protection space that challenges name (RFC 9110 section 11.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Realm(String);

impl Default for Realm {
    fn default() -> Self {
        Self("api".to_owned())
    }
}

impl Realm {
    /// A realm of printable ASCII without quotation marks and backslashes, so
    /// that no client has to unescape it.
    pub(crate) fn new(text: &str) -> Result<Self, ConfigError> {
        let plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        match text {
            "" => Err(ConfigError::RealmEmpty),
            text if text.len() > 100 => Err(ConfigError::RealmTooLong),
            text if !text.bytes().all(plain) => Err(ConfigError::RealmCharacter),
            text => Ok(Self(text.to_owned())),
        }
    }
}

/// Renders denials for one realm and one set of credential sources.
#[derive(Clone, Debug)]
pub(crate) struct Renderer {
    /// The challenge of each enabled source, and whether it carries an error.
    challenges: Vec<(String, bool)>,
}

impl Renderer {
    pub(crate) fn new(realm: &Realm, sources: &Sources) -> Self {
        let Realm(realm) = realm;
        let challenge =
            |source: &CredentialSource| (source.challenge(realm), source.challenge_carries_error());
        let challenges = sources.iter().map(challenge).collect();
        Self { challenges }
    }

    pub(crate) fn render(&self, denial: &Denial) -> Response<Bytes> {
        let mut response = Response::new(problem(denial));
        *response.status_mut() = denial.status();
        let headers = response.headers_mut();
        let problem_type = HeaderValue::from_static("application/problem+json");
        headers.insert(CONTENT_TYPE, problem_type);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if denial.kind() == DenialKind::StoreUnavailable {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        } else if denial.kind() != DenialKind::StoreCorrupt {
            for challenge in self.challenges(denial) {
                headers.append(WWW_AUTHENTICATE, challenge);
            }
        }
        response
    }

    fn challenges(&self, denial: &Denial) -> impl Iterator<Item = HeaderValue> {
        let error = denial.error().map(|error| {
            let description = denial.detail();
            format!(", error=\"{error}\", error_description=\"{description}\"")
        });
        // A method is a `token`, so it needs no escaping in a quoted string.
        let scope = denial.required_method().map(|method| format!(", scope=\"{method}\""));
        let details = error.into_iter().chain(scope).collect::<String>();
        self.challenges.iter().filter_map(move |(challenge, carries_error)| {
            let details = if *carries_error { details.as_str() } else { "" };
            HeaderValue::try_from(format!("{challenge}{details}")).ok()
        })
    }
}

/// RFC 9110 sections 8.6 and 9.3.2: what the answer to a GET would say of its
/// body, without it. Over HTTP/2 a server that sent it would break the stream.
pub(crate) fn keep_the_head(response: &mut Response<Bytes>) {
    let body = std::mem::take(response.body_mut());
    if !body.is_empty() {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
}

/// The problem document of RFC 9457 section 3. Nothing in it needs escaping:
/// all but the method is our own text, and a method is a `token`.
fn problem(denial: &Denial) -> Bytes {
    let status = denial.status();
    let title = status.canonical_reason().unwrap_or_default();
    let (code, detail, status) = (denial.code(), denial.detail(), status.as_u16());
    let method = denial.required_method();
    let method = method.map(|method| format!(",\"required_method\":\"{method}\""));
    let method = method.unwrap_or_default();
    Bytes::from(format!(
        "{{\"type\":\"urn:problem-type:tower-api-token:{code}\",\"title\":\"{title}\",\
         \"status\":{status},\"detail\":\"{detail}\"{method}}}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renderer(sources: impl IntoIterator<Item = CredentialSource>) -> Renderer {
        Renderer::new(&Realm::default(), &sources.into_iter().collect())
    }

    fn challenges(renderer: &Renderer, denial: &Denial) -> Vec<String> {
        let response = renderer.render(denial);
        let values = response.headers().get_all(WWW_AUTHENTICATE).iter();
        values.map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn each_enabled_scheme_has_a_challenge_on_its_own_line() {
        let header = http::HeaderName::from_static("x-api-key");
        let all = renderer([
            CredentialSource::Bearer,
            CredentialSource::Tok,
            CredentialSource::Basic,
            CredentialSource::Header(header),
        ]);
        let missing = Denial::new(DenialKind::MissingCredential);
        let expected = [
            "Bearer realm=\"api\"",
            "TOK realm=\"api\"",
            "Basic realm=\"api\", charset=\"UTF-8\"",
            "ApiKey realm=\"api\", in=\"header\", name=\"x-api-key\"",
        ];
        assert_eq!(challenges(&all, &missing), expected);
    }

    #[test]
    fn an_outage_carries_no_challenge_and_says_when_to_come_back() {
        let bearer = renderer([CredentialSource::Bearer]);
        let outage = Denial::new(DenialKind::StoreUnavailable);
        assert!(challenges(&bearer, &outage).is_empty());
        let response = bearer.render(&outage);
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        assert!(challenges(&bearer, &Denial::new(DenialKind::StoreCorrupt)).is_empty());
    }

    #[test]
    fn a_refused_method_is_named_as_the_scope_and_a_long_one_is_not() {
        let bearer = renderer([CredentialSource::Bearer]);
        let refused = challenges(&bearer, &Denial::method_not_granted("DELETE"));
        assert!(refused[0].contains("error=\"insufficient_scope\""));
        assert!(refused[0].ends_with("scope=\"DELETE\""), "{refused:?}");
        let long = "A".repeat(33);
        let denial = Denial::method_not_granted(&long);
        let response = bearer.render(&denial);
        assert!(!format!("{response:?}").contains(&long));
    }

    #[test]
    fn every_problem_is_json_and_names_its_type() {
        let bearer = renderer([CredentialSource::Bearer]);
        let odd = Denial::method_not_granted("M!#$%&'*+-.^_`|~");
        for denial in [odd, Denial::new(DenialKind::InvalidToken)] {
            let body = bearer.render(&denial).into_body();
            let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(problem["status"], denial.status().as_u16());
            assert!(problem["type"].as_str().unwrap().ends_with(denial.code()));
            assert_eq!(problem["required_method"].as_str(), denial.required_method());
        }
    }

    #[test]
    fn a_realm_names_the_rule_it_breaks() {
        assert_eq!(Realm::new("").unwrap_err(), ConfigError::RealmEmpty);
        assert_eq!(Realm::new(&"a".repeat(101)).unwrap_err(), ConfigError::RealmTooLong);
        for bad in ["a\"b", "a\\b", "a\nb", "é"] {
            assert_eq!(Realm::new(bad).unwrap_err(), ConfigError::RealmCharacter);
        }
    }
}
