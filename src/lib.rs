//! API tokens for tower services.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod account;
pub mod audit;
pub mod authenticate;
pub mod credentials;
pub mod denial;
pub mod events;
#[cfg(feature = "ext-authz")]
pub mod ext_authz;
#[cfg(feature = "axum")]
pub mod extract;
#[cfg(feature = "forward-auth")]
pub mod forward_auth;
pub mod identity;
pub mod method;
pub mod middleware;
pub mod rotation;
pub mod store;
pub mod time;
pub mod token;
pub mod usage;

pub use self::identity::Identity;
pub use self::middleware::TokenAuthLayer;
