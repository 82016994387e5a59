//! The pages in a real browser, with real mail: what a person clicks, with
//! scripts on and off, and what the REST API says to both tokens after each
//! step.

mod administrator;
mod api;
mod driver;
mod host;
mod hosts;
mod looks;
mod mail;
mod person;
mod procedure;
mod process;
mod scanner;
