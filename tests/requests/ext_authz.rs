//! Envoy's external authorisation service: what a check is answered.

mod checks;
mod envoy;
