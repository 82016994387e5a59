//! Bodies that nobody wants.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Full, Limited};
use tokio::time::timeout;
use tower_api_token::forward_auth::ForwardAuth;
use tower_service::Service;

use super::body::RequestBody;

/// How much of a body is taken, and for how long, before the stream is closed.
const MOST_BYTES: usize = 64 * 1_024;
const LONGEST: Duration = Duration::from_secs(1);

/// Takes the body and throws it away: some clients over HTTP/2 do not look at
/// the answer of a stream that is closed before they have sent theirs. Over
/// HTTP/1 the connection sees to it.
pub(super) async fn discard(version: Version, body: RequestBody) {
    if version == Version::HTTP_2 {
        drop(timeout(LONGEST, Limited::new(body, MOST_BYTES).collect()).await);
    }
}

/// The endpoint, which looks at no body.
#[derive(Clone)]
pub(super) struct Bodiless(pub(super) ForwardAuth);

type Answer = Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send>>;

impl Service<Request<RequestBody>> for Bodiless {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Answer {
        let (head, body) = request.into_parts();
        let version = head.version;
        let answer = self.0.call(Request::from_parts(head, Bytes::new()));
        Box::pin(async move {
            let answer = answer.await;
            discard(version, body).await;
            answer
        })
    }
}
