//! API tokens for tower services.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod account;
pub mod audit;
pub mod events;
pub mod identity;
pub mod manage;
pub mod method;
pub mod notify;
pub mod rotation;
pub mod store;
pub mod time;
pub mod token;
pub mod usage;
