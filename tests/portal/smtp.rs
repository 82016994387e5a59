//! Mail through a real server on loopback (the Python package aiosmtpd), in
//! good and in bad health, with and without encryption.
//!
//! A test whose name begins with `web_` and a number is the adversarial case of
//! that id (see `tests/adversarial`).

mod contents;
mod encryption;
mod ends;
mod logs;
mod server;
mod trouble;
mod world;
