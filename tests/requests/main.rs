//! What becomes of a request: at the layer, at the extractor, at the services for
//! gateways, and by the configuration that all of them share.

#[cfg(feature = "ext-authz")]
mod ext_authz;
#[cfg(feature = "axum")]
mod extract;
#[cfg(feature = "forward-auth")]
mod forward_auth;
mod layer;
mod no_panic;
#[cfg(feature = "tokio")]
mod tokens;
mod traces;
#[cfg(feature = "tokio")]
mod usage;

#[path = "../support/generated.rs"]
mod generated;
#[path = "../support/secret.rs"]
mod secret;
#[path = "../support/thread_log.rs"]
mod thread_log;
