//! What people see: the portal over HTTP, the same in a browser, and mail.

mod browser;
mod smtp;
mod web;

#[path = "../support/bare.rs"]
mod bare;
#[path = "../support/build.rs"]
mod build;
#[path = "../support/generated.rs"]
mod generated;
#[path = "../support/log.rs"]
mod log;
#[path = "../support/secret.rs"]
mod secret;
