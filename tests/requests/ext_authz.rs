//! Envoy's external authorisation service: what a check is answered.

mod checks;
pub(crate) mod envoy;
