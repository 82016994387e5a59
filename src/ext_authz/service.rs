//! The gRPC service.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Method;
use http_body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Response, Status};
use tower_service::Service;

use super::message::CheckRequest;
use super::request::Described;
use super::verdict::{CheckCodec, Verdict};
use super::{ExtAuthz, Settings};
use crate::forward_auth::gate::GateStep;

/// The one method of the service.
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

impl NamedService for ExtAuthz {
    const NAME: &'static str = "envoy.service.auth.v3.Authorization";
}

impl<B> Service<http::Request<B>> for ExtAuthz
where
    B: Body + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = ExtAuthzFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> ExtAuthzFuture {
        let check = Check(Arc::clone(&self.settings));
        ExtAuthzFuture(Box::pin(async move {
            if request.uri().path() == CHECK {
                Grpc::new(CheckCodec).unary(check, request).await
            } else {
                Status::unimplemented("there is no such method").into_http()
            }
        }))
    }
}

/// Answers one check.
struct Check(Arc<Settings>);

impl UnaryService<CheckRequest> for Check {
    type Response = Verdict;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Verdict>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<CheckRequest>) -> Self::Future {
        let settings = Arc::clone(&self.0);
        Box::pin(
            async move { Ok(Response::new(settings.decide(request.into_inner().into()).await)) },
        )
    }
}

impl Settings {
    async fn decide(&self, mut request: Described) -> Verdict {
        let method = request.method().map(str::to_owned);
        let decided = match self.gate.begin(method.as_deref(), &mut request.head.headers) {
            GateStep::Done(decided) => decided,
            GateStep::Ask(question) => self.gate.ask(question, method.as_deref()).await,
        };
        match self.gate.settle(decided, &mut request.head) {
            Ok(admission) => Verdict::Allowed { admission, remove: self.remove() },
            Err(denial) => {
                // To HEAD, too, Envoy answers without the body by itself.
                let response = self.gate.render(&denial, &Method::GET);
                Verdict::Denied { denial, response }
            }
        }
    }

    fn remove(&self) -> Vec<String> {
        let sources = self.gate.authenticator.enabled_sources();
        let names = self.strip_credentials.then(|| sources.names());
        names.into_iter().flatten().map(|name| name.as_str().to_owned()).collect()
    }
}

/// The future of an answer of [`ExtAuthz`].
///
/// It may be dropped at any point.
pub struct ExtAuthzFuture(Pin<Box<dyn Future<Output = http::Response<tonic::body::Body>> + Send>>);

impl Future for ExtAuthzFuture {
    type Output = Result<http::Response<tonic::body::Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for ExtAuthzFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtAuthzFuture").finish_non_exhaustive()
    }
}
