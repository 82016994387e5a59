//! What else a host could put around its service.

use std::collections::HashMap;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use fabryk_auth::{AuthConfig, AuthError, AuthLayer, AuthenticatedUser, TokenValidator};
use http::{Request, Response, StatusCode};
use sha2::{Digest, Sha256};
use tower::Layer;
use tower_http::auth::{
    AsyncAuthorizeRequest, AsyncRequireAuthorization, AsyncRequireAuthorizationLayer,
};

use super::jwt::{bearer, refusal};
use super::population::{METHODS, token, user};

/// A user as a host would keep one that has no use for this crate.
#[derive(Clone)]
pub(crate) struct PlainUser {
    name: String,
    methods: Vec<String>,
}

/// Users by the SHA-256 of their token.
#[derive(Clone)]
pub(crate) struct PlainTable(Arc<HashMap<[u8; 32], Arc<PlainUser>>>);

impl PlainTable {
    pub(crate) fn new(users: u64) -> Self {
        let users = (0..users).map(|number| {
            let methods = METHODS.map(str::to_owned).to_vec();
            let user = PlainUser { name: user(number), methods };
            (Sha256::digest(token(number)).into(), Arc::new(user))
        });
        Self(Arc::new(users.collect()))
    }

    fn find(&self, token: &str) -> Option<&Arc<PlainUser>> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        self.0.get(&digest)
    }
}

/// `AsyncRequireAuthorization` of tower-http around a look-up by SHA-256.
pub(crate) fn tower_http<S>(
    table: PlainTable,
    inner: S,
) -> AsyncRequireAuthorization<S, PlainTable> {
    AsyncRequireAuthorizationLayer::new(table).layer(inner)
}

impl AsyncAuthorizeRequest<Body> for PlainTable {
    type RequestBody = Body;
    type ResponseBody = Body;
    type Future = Pin<Box<dyn Future<Output = Result<Request<Body>, Response<Body>>> + Send>>;

    fn authorize(&mut self, mut request: Request<Body>) -> Self::Future {
        let table = self.clone();
        Box::pin(async move {
            let user = bearer(&request).and_then(|token| table.find(token));
            let user = Arc::clone(user.ok_or_else(|| refusal(StatusCode::UNAUTHORIZED))?);
            if !user.methods.iter().any(|method| method == request.method().as_str()) {
                return Err(refusal(StatusCode::FORBIDDEN));
            }
            request.extensions_mut().insert(user);
            Ok(request)
        })
    }
}

/// The layer of the crate `fabryk-auth`, with the same look-up as its validator.
pub(crate) fn fabryk_auth(table: PlainTable) -> AuthLayer<impl TokenValidator> {
    let config = AuthConfig { enabled: true, ..AuthConfig::default() };
    AuthLayer::new(Arc::new(ByDigest(table)), config)
}

struct ByDigest(PlainTable);

impl TokenValidator for ByDigest {
    fn validate(
        &self,
        token: &str,
        _: &AuthConfig,
    ) -> Pin<Box<dyn Future<Output = Result<AuthenticatedUser, AuthError>> + Send + '_>> {
        let user = self
            .0
            .find(token)
            .map(|user| AuthenticatedUser { email: String::new(), subject: user.name.clone() });
        Box::pin(ready(user.ok_or(AuthError::MissingToken)))
    }
}
