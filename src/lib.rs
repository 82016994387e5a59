#![cfg_attr(all(feature = "axum", feature = "tokio"), doc = include_str!("../README.md"))]
#![cfg_attr(
    not(all(feature = "axum", feature = "tokio")),
    doc = "API tokens for tower services; shown whole with all features."
)]
//!
//! # Where things are
//!
//! | module | what |
//! |---|---|
//! | [`guide`] | how things are done, a page for each |
//! | [`Tokens`] | one configuration for all of it |
//! | [`middleware`] | [`TokenAuthLayer`]: when a request passes |
//! | [`manage`] | [`TokenManager`]: grants, rotation, views |
//! | [`store`] | where accounts are kept, and how to keep them elsewhere |
//! | [`rotation`] | the rules of a token's life, as a pure function |
//! | [`denial`] | what a refused request is answered |
//! | [`ConfigError`], [`ValueError`] | what cannot be configured so, and what is not the value that it would be |
//! | [`credentials`], [`token`] | where a token may stand, and what it looks like |
//! | `portal` | the pages on which users and administrators do it (feature `portal`) |
//! | [`usage`], [`audit`], [`notify`] | last uses, what has happened, messages to users |
//! | `holder` | a service by which whoever holds a token ends it, and a secret scanner reports it (feature `holder`) |
//! | [`sealing`] | tokens that can be shown again |
//! | [`authenticate`] | the decision without the layer |
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod account;
pub mod audit;
pub mod authenticate;
#[cfg(feature = "axum")]
pub mod axum;
pub mod credentials;
#[cfg(feature = "tokio")]
pub mod delivery;
pub mod denial;
#[cfg(feature = "serde")]
mod encoding;
mod error;
#[cfg(feature = "ext-authz")]
pub mod ext_authz;
#[cfg(feature = "forward-auth")]
pub mod forward_auth;
pub mod guide;
#[cfg(feature = "holder")]
pub mod holder;
#[cfg(any(feature = "holder", feature = "portal"))]
mod limit;
pub mod manage;
pub mod method;
pub mod middleware;
pub mod notify;
#[cfg(feature = "portal")]
pub mod portal;
pub mod rotation;
pub mod sealing;
pub mod store;
mod telemetry;
#[cfg(any(test, feature = "test-util"))]
pub mod test_util;
pub mod time;
pub mod token;
mod tokens;
pub mod usage;
pub mod user;
mod visible;

pub use self::authenticate::Identity;
pub use self::error::{ConfigError, ValueError};
pub use self::manage::TokenManager;
pub use self::middleware::TokenAuthLayer;
#[cfg(feature = "metrics")]
pub use self::telemetry::metrics;
pub use self::tokens::{Tokens, TokensBuilder};
