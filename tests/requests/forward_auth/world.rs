//! Users, tokens, and ways to ask.

use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;
use tower_api_token::account::{Account, TokenRecord};
use tower_api_token::authenticate::Authenticator;
use tower_api_token::credentials::CredentialSource;
use tower_api_token::forward_auth::{ForwardAuth, Profile};
use tower_api_token::method::MethodSet;
use tower_api_token::store::MemoryStore;
use tower_api_token::time::Timestamp;
use tower_api_token::token::{Token, TokenHint, TokenId, TokenScheme};
use tower_api_token::user::UserId;

/// The profiles, all of them.
pub(crate) const PROFILES: [Profile; 4] = [
    Profile::OriginalMethod,
    Profile::ForwardedMethod,
    Profile::MethodHeader,
    Profile::OwnRequestLine,
];

/// alice may GET (and PURGE), and has two tokens; bob may do nothing; carol may
/// do everything that is standard.
pub(crate) const ALICE: &str = "rest_P0000000000000000000000000000000000000000";
pub(crate) const ALICE_BACKUP: &str = "rest_B0000000000000000000000000000000000000000";
pub(crate) const BOB: &str = "rest_O0000000000000000000000000000000000000000";
pub(crate) const CAROL: &str = "rest_C0000000000000000000000000000000000000000";

pub(crate) fn scheme() -> TokenScheme {
    TokenScheme::default().accept_foreign_tokens(true)
}

pub(crate) fn store() -> MemoryStore {
    let store = MemoryStore::new();
    insert(&store, "alice", &["GET", "PURGE", "purge"], &[ALICE, ALICE_BACKUP]);
    insert(&store, "bob", &[], &[BOB]);
    let standard = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
    insert(&store, "carol", &standard, &[CAROL]);
    store
}

/// Puts in a user with a primary and perhaps a backup.
pub(crate) fn insert(store: &MemoryStore, user: &str, methods: &[&str], tokens: &[&str]) {
    let user = UserId::new(user).unwrap();
    let mut account = Account::builder(user).methods(MethodSet::new(methods).unwrap());
    for (token, id) in tokens.iter().zip(1..) {
        let digest = scheme().digest(&Token::parse(*token).unwrap());
        let made_at = Timestamp::default();
        let hint = TokenHint::unknown();
        let record = TokenRecord::new(TokenId::from_u64(id), digest, hint, made_at);
        account = if id == 1 { account.primary(record) } else { account.backup(record) };
    }
    store.insert(account.build().unwrap()).unwrap();
}

/// The service over `store` as a host sets it up that takes all carriers.
pub(crate) fn verify(
    store: impl tower_api_token::store::TokenStore,
    profile: Profile,
) -> ForwardAuth {
    let header = CredentialSource::Header(http::HeaderName::from_static("x-api-key"));
    let sources = [CredentialSource::Bearer, CredentialSource::Tok, header];
    let authenticator = Authenticator::new(store).scheme(scheme()).sources(sources);
    ForwardAuth::with_authenticator(authenticator, profile)
}

/// A request that states `method` as `profile` reads it.
pub(crate) fn stating(profile: Profile, method: &str) -> http::request::Builder {
    match profile {
        Profile::OriginalMethod => Request::builder().header("x-original-method", method),
        Profile::ForwardedMethod => Request::builder().header("x-forwarded-method", method),
        Profile::MethodHeader => Request::builder().header("method", method),
        _ => Request::builder().method(method),
    }
}

pub(crate) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.headers.get_all(name).iter();
        let line = lines.next()?.to_str().unwrap();
        assert!(lines.next().is_none(), "{name} stands there twice: {self:?}");
        Some(line)
    }

    /// A 200 that is one: empty, never stored, with the identity.
    #[track_caller]
    pub(crate) fn grants(&self, user: &str, slot: &str) {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.header("x-auth-user"), Some(user));
        assert_eq!(self.header("x-auth-slot"), Some(slot));
        let told = (slot == "backup").then_some(slot);
        assert_eq!(self.header("api-token-slot"), told, "what its client is told");
        assert_eq!(self.header("content-length"), Some("0"));
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert_eq!(self.body, "");
    }

    /// A denial that tells nothing but itself.
    #[track_caller]
    pub(crate) fn denies(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"));
        let told = [
            "cache-control",
            "content-length",
            "content-type",
            "date",
            "retry-after",
            "x-content-type-options",
        ];
        for name in self.headers.keys() {
            let challenge = name == "www-authenticate" && matches!(status, 400 | 401 | 403);
            assert!(challenge || told.contains(&name.as_str()), "{name} in {self:?}");
        }
        if status == 401 {
            let challenges = self.headers.get_all("www-authenticate");
            let first = challenges.iter().next().expect("a challenge").to_str().unwrap();
            assert!(first.starts_with("Bearer realm="), "{first}");
        }
        let shown = format!("{:?}{}", self.headers, self.body);
        for secret in [ALICE, ALICE_BACKUP, BOB, CAROL] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

/// Asks the service directly.
pub(crate) async fn ask(verify: &ForwardAuth, request: Request<String>) -> Answer {
    let response: Response<_> = verify.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    Answer { status: head.status, headers: head.headers, body }
}

/// Asks with a credential and a stated method.
pub(crate) async fn ask_as(profile: Profile, token: &str, method: &str) -> Answer {
    let request = stating(profile, method).header("authorization", bearer(token));
    ask(&verify(store(), profile), request.body(String::new()).unwrap()).await
}
