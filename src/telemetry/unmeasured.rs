//! What stands in for the measurements without the feature `metrics`: nothing.

use crate::account::Slot;
use crate::denial::DenialKind;

#[inline(always)]
pub(crate) const fn passed(_: Option<Slot>) {}

pub(super) const fn denied(_: DenialKind) {}

pub(super) const fn happened(_: &'static str) {}

pub(crate) const fn flushed(_: usize, _: bool) {}

pub(crate) const fn interval_ended() {}

#[cfg(feature = "cache")]
pub(crate) const fn cache_looked_up(_: &'static str, _: u64) {}

#[cfg(feature = "cache")]
pub(crate) const fn cache_changed(_: u64, _: u64) {}

#[cfg(feature = "cache")]
pub(crate) const fn cache_stands(_: u64, _: bool, _: Option<std::time::Duration>) {}

#[cfg(feature = "tokio")]
pub(crate) const fn delivered(_: &str, _: &'static str) {}

#[cfg(feature = "tokio")]
pub(crate) const fn delivery_stands(_: &str, _: usize, _: Option<std::time::Duration>) {}
