//! API tokens for tower services.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod account;
pub mod audit;
pub mod authenticate;
pub mod credentials;
pub mod denial;
pub mod events;
#[cfg(feature = "axum")]
pub mod extract;
pub mod identity;
pub mod manage;
pub mod method;
pub mod middleware;
pub mod notify;
pub mod rotation;
pub mod store;
pub mod time;
pub mod token;
pub mod usage;

pub use self::identity::Identity;
pub use self::manage::TokenManager;
pub use self::middleware::TokenAuthLayer;
