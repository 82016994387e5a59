//! What changes accounts: the rules of a token's life, alone and against a
//! plain model, and the manager that carries them out on a store.

#[cfg(feature = "tokio")]
mod delivery;
#[cfg(feature = "holder")]
mod holder;
mod manager;
mod rotation_properties;
mod rotation_rules;

#[path = "../support/model.rs"]
mod model;
