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
#[derive(Default)]
pub(crate) struct CacheMeter {
    _none: (),
}

#[cfg(feature = "cache")]
impl CacheMeter {
    pub(crate) fn report(&mut self, _: impl FnOnce() -> crate::store::CacheStatistics) {}
}
