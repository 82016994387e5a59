//! What a Prometheus recorder has got.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use metrics::LocalRecorderGuard;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tower_api_token::metrics::{describe, report};

/// A recorder of this test's own. Requests count for the whole process, so only
/// one test at a time has one.
pub(crate) struct Recorded {
    handle: PrometheusHandle,
    _recording: LocalRecorderGuard<'static>,
    _alone: MutexGuard<'static, ()>,
}

impl Recorded {
    pub(crate) fn start() -> Self {
        Self::by(PrometheusBuilder::new())
    }

    /// With histograms of these ranges.
    pub(crate) fn with_ranges(ranges: &[f64]) -> Self {
        Self::by(PrometheusBuilder::new().set_buckets(ranges).unwrap())
    }

    fn by(recorder: PrometheusBuilder) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        // What a test before this one has counted goes to nobody.
        report();
        let recorder = Box::leak(Box::new(recorder.build_recorder()));
        let handle = recorder.handle();
        let recording = metrics::set_default_local_recorder(recorder);
        describe();
        Self { handle, _recording: recording, _alone: alone }
    }

    /// The page that Prometheus would read.
    pub(crate) fn page(&self) -> String {
        report();
        self.handed_on()
    }

    /// The same without what requests have counted since the last report.
    pub(crate) fn handed_on(&self) -> String {
        self.handle.run_upkeep();
        self.handle.render()
    }

    /// Every series of this crate, and its value.
    pub(crate) fn series(&self) -> BTreeMap<String, f64> {
        let page = self.page();
        let lines = page.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let parts = lines.map(|line| line.rsplit_once(' ').expect("a value"));
        let ours = parts.filter(|(name, _)| name.starts_with("tower_api_token_"));
        ours.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
    }

    /// The value of one series, 0 if it is not there.
    pub(crate) fn value(&self, series: &str) -> f64 {
        self.series().get(series).copied().unwrap_or(0.0)
    }

    /// The series of one counter that are not 0, by their labels.
    pub(crate) fn risen(&self, name: &str) -> Vec<(String, f64)> {
        let labels = |(series, value): (String, f64)| {
            let labels = series.strip_prefix(name)?.strip_prefix('{')?.strip_suffix('}')?;
            (value != 0.0).then(|| (labels.replace('"', ""), value))
        };
        self.series().into_iter().filter_map(labels).collect()
    }
}
