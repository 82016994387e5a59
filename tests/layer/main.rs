//! What the layer does with requests and responses, from outside: every
//! situation that the documentation of `denial` and `middleware` names.

mod anonymous;
mod credentials;
mod denials;
mod overrides;
mod support;

#[path = "../support/generated.rs"]
mod generated;
#[path = "../support/secret.rs"]
mod secret;
