//! The same service behind JSON Web Tokens.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use futures_util::future::Either;
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use tower::Service;

use super::population::{METHODS, user};

/// The token of a Bearer credential.
pub(crate) fn bearer(request: &Request<Body>) -> Option<&str> {
    request.headers().get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

pub(crate) fn refusal(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// The claims of a JSON Web Token that says what one of our tokens stands for.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Claims {
    sub: String,
    methods: Vec<String>,
    exp: u64,
}

const SECRET: &[u8] = b"a secret of the thirty-two bytes";

/// A token of that kind, signed with HMAC-SHA-256.
pub(crate) fn jwt(number: u64) -> String {
    let methods = METHODS.map(str::to_owned).to_vec();
    let claims = Claims { sub: user(number), methods, exp: 4_000_000_000 };
    jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET))
        .expect("claims that serialise")
}

/// A service behind `jsonwebtoken`, without any boxed future.
#[derive(Clone)]
pub(crate) struct Jwt<S> {
    inner: S,
    key: Arc<DecodingKey>,
    validation: Arc<Validation>,
}

impl<S> Jwt<S> {
    pub(crate) fn new(inner: S) -> Self {
        let key = Arc::new(DecodingKey::from_secret(SECRET));
        Self { inner, key, validation: Arc::new(Validation::new(Algorithm::HS256)) }
    }

    fn authorize(&self, request: &Request<Body>) -> Result<Claims, StatusCode> {
        let token = bearer(request).ok_or(StatusCode::UNAUTHORIZED)?;
        let claims = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation)
            .map_err(|_| StatusCode::UNAUTHORIZED)?
            .claims;
        if claims.methods.iter().any(|method| method == request.method().as_str()) {
            Ok(claims)
        } else {
            Err(StatusCode::FORBIDDEN)
        }
    }
}

impl<S> Service<Request<Body>> for Jwt<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match self.authorize(&request) {
            Ok(claims) => {
                request.extensions_mut().insert(claims);
                Either::Left(self.inner.call(request))
            }
            Err(status) => Either::Right(ready(Ok(refusal(status)))),
        }
    }
}
