//! What the guide shows over a real PostgreSQL database.

mod own_store;
mod own_tokens;
