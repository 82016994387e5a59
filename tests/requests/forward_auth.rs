//! The service for gateways: what it answers to whom, and what it never does.

mod cases;
mod denials;
mod grants;
mod methods;
mod properties;
mod store;
mod wire;
mod world;
