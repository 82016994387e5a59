//! What the layer does with requests and responses, from outside: every
//! situation that the documentation of `denial` and `middleware` names.

mod anonymous;
mod bodies;
mod counts_as;
mod credentials;
mod denials;
mod doubt;
mod ends;
mod grpc;
mod head;
mod overrides;
mod readiness;
mod reasons;
mod responses;
mod same_body;
pub(crate) mod support;
mod uniform;
