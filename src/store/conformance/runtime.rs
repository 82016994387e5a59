//! What a case runs on.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// How long one case may take.
const LIMIT: Duration = Duration::from_secs(300);

/// How long tasks that a failed case has left behind may take to end.
const END: Duration = Duration::from_secs(10);

/// Runs one case on a runtime of its own with four threads, as the tests of
/// [`conformance_suite!`](crate::conformance_suite) do.
///
/// # Panics
///
/// If the case does, if it takes longer than five minutes, or if the operating
/// system starts no thread.
pub fn run(case: impl Future<Output = ()>) {
    let runtime = Builder::new_multi_thread().worker_threads(4).enable_all().build();
    let runtime = Ending(Some(runtime.expect("the operating system starts threads")));
    let ended = runtime.block_on(async { tokio::time::timeout(LIMIT, case).await });
    assert!(ended.is_ok(), "the case took longer than {} s", LIMIT.as_secs());
}

/// A runtime that does not wait for ever for what a failed case has left
/// behind, so that the failure is told.
struct Ending(Option<Runtime>);

impl Ending {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.as_ref().expect("it is there until it is dropped").block_on(future)
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_timeout(END);
        }
    }
}
