//! The tower middleware: [`TokenAuthLayer`] and what it makes.
//!
//! # When a request passes
//!
//! With exactly one well-formed credential of an enabled source, whose token is
//! live in either slot, whose user may perform the request's method and every
//! method that an override header asks for, and whom the host's own check, if
//! there is one, lets through. Then the [`Identity`](crate::identity::Identity)
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
mod respond;
mod service;

pub use self::body::ResponseBody;
pub use self::future::ResponseFuture;
pub use self::layer::TokenAuthLayer;
pub use self::service::{Anonymous, TokenAuth};
