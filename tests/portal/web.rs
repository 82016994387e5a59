//! The portal as HTTP: its pages, its JSON operations, and every attack on them
//! that needs no browser.

mod admin;
mod api;
mod audit;
mod bare;
mod branding;
mod cases;
mod cors;
mod described;
mod expiry;
mod filter;
mod forms;
mod lifetimes;
mod links;
mod pages;
mod placed;
mod protection;
mod races;
mod reveal;
mod suspended;
mod world;
