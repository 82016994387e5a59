//! The operations as JSON.

pub(super) mod admin;
mod answer;
mod body;
mod description;
mod number;
pub(super) mod own;
mod words;

pub(super) use self::description::description;
