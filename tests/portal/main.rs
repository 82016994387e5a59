//! What people see: the portal over HTTP, the same in a browser, and mail.

#[cfg(all(feature = "portal", feature = "smtp", feature = "sqlite"))]
mod browser;
#[cfg(feature = "smtp")]
mod smtp;
#[cfg(all(feature = "portal", feature = "reveal"))]
mod web;

#[cfg(all(feature = "portal", feature = "smtp", feature = "sqlite"))]
#[path = "../support/build.rs"]
mod build;
#[cfg(all(feature = "portal", feature = "reveal"))]
#[path = "../support/generated.rs"]
mod generated;
#[cfg(any(feature = "smtp", all(feature = "portal", feature = "reveal")))]
#[path = "../support/log.rs"]
mod log;
#[cfg(feature = "portal")]
#[path = "../support/secret.rs"]
mod secret;
