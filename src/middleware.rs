//! The tower middleware: [`TokenAuthLayer`] and what it makes.
//!
//! # When a request passes
//!
//! With exactly one well-formed credential of an enabled source, whose token is
//! live in either slot, whose user may perform the request's method (or the one
//! that it [counts as](TokenAuthLayer::counts_as)) and every method that an
//! override header asks for, and whom the host's own check, if
//! there is one, lets through. Then the [`Identity`](crate::authenticate::Identity)
//! is in the request's extensions.
//!
//! Without any credential only where the host said so: in
//! [`optional`](TokenAuthLayer::optional) mode, or as a CORS preflight with
//! [`allow_preflight`](TokenAuthLayer::allow_preflight). Then there is no
//! identity.
//!
//! Every other request is answered as [`denial`](crate::denial) says, without
//! the inner service being called. There is no list of public paths: mount the
//! layer on the routes that it shall protect.
//!
//! # Readiness
//!
//! The inner service that was polled ready is the one that is called, and a
//! denied request gives the readiness it held back at once, so that the layer
//! may stand over a concurrency limit or a load shedder.

mod body;
mod future;
mod layer;
mod preallocated;
mod respond;
mod same_body;
mod service;

pub use self::body::ResponseBody;
pub use self::future::ResponseFuture;
pub use self::layer::TokenAuthLayer;
pub use self::same_body::SameBody;
pub use self::service::{Anonymous, TokenAuth};

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{Request, Response};
    use tower_service::Service;

    use super::*;
    use crate::authenticate::Authenticator;

    fn shared<T: Clone + Send + Sync + Unpin + 'static>() {}
    fn sent<T: Send + Unpin + 'static>() {}

    /// An inner service whose every part may cross threads.
    #[derive(Clone)]
    struct Inner;

    impl Service<Request<Bytes>> for Inner {
        type Response = Response<Bytes>;
        type Error = ();
        type Future = std::future::Ready<Result<Response<Bytes>, ()>>;

        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), ()>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Bytes>) -> Self::Future {
            std::future::ready(Ok(Response::default()))
        }
    }

    #[test]
    fn the_middleware_goes_wherever_its_inner_service_goes() {
        shared::<Authenticator>();
        shared::<TokenAuthLayer>();
        shared::<TokenAuth<Inner>>();
        shared::<SameBody<TokenAuthLayer>>();
        shared::<SameBody<TokenAuth<Inner>>>();
        shared::<Anonymous>();
        sent::<ResponseFuture<Inner, Bytes>>();
        sent::<SameBody<ResponseFuture<Inner, Bytes>>>();
        sent::<ResponseBody<Bytes>>();
    }
}
