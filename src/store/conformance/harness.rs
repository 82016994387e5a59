//! Where the suite gets its stores from, and what a case runs on.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::store::{AccountStore, StoreError};

/// Gives the suite the stores that it tests.
///
/// A closure that makes a store in a future is one. Whatever a store needs to
/// live (a directory, a server) the harness keeps: it is dropped after its
/// stores. Each test makes a harness of its own. An [`Arc`] of a harness is one of
/// the same stores, each behind an [`Arc`].
pub trait Harness: Send + Sync {
    /// The store under test.
    type Store: AccountStore;

    /// A fresh, migrated and empty store, which shares nothing with another.
    /// Its clock shows the true time.
    fn store(&self) -> impl Future<Output = Self::Store> + Send;
}

impl<F, Answer> Harness for F
where
    F: Fn() -> Answer + Send + Sync,
    Answer: Future<Output: AccountStore> + Send,
{
    type Store = Answer::Output;

    fn store(&self) -> impl Future<Output = Self::Store> + Send {
        self()
    }
}

/// A harness of stores that must be migrated before their first use.
pub trait Migrating: Harness {
    /// `count` stores over one new place, as nodes that start at the same time
    /// open it; none has migrated it yet.
    fn unmigrated(&self, count: usize) -> impl Future<Output = Vec<Self::Store>> + Send;

    /// Migrates the place of `store`.
    fn migrate(&self, store: &Self::Store) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// A harness of stores that other nodes or processes share.
pub trait Nodes: Harness {
    /// Another store over the same data, as another node or process opens it.
    fn another(&self, store: &Self::Store) -> impl Future<Output = Self::Store> + Send;
}

/// A harness of stores that can be made to fail.
pub trait Failing: Harness {
    /// A store whose every operation fails in its driver: its server is gone,
    /// or its file unreadable.
    fn failing(&self) -> impl Future<Output = Self::Store> + Send;
}

/// A harness of stores whose connections can be cut, as networks, servers and
/// poolers do.
pub trait Interrupting: Nodes {
    /// A fresh, migrated and empty store that can be cut off.
    fn interruptible(&self) -> impl Future<Output = Self::Store> + Send {
        self.store()
    }

    /// Breaks every connection that `store` has, the feed's too, and lets it open no
    /// other. [Another](Nodes::another) store over the same data is not cut off.
    fn cut_off(&self, store: &Self::Store) -> impl Future<Output = ()> + Send;

    /// Lets `store` connect again.
    fn reconnect(&self, store: &Self::Store) -> impl Future<Output = ()> + Send;
}

/// The same stores, each behind an [`Arc`], as most hosts share them.
impl<H: Harness> Harness for Arc<H> {
    type Store = Arc<H::Store>;

    async fn store(&self) -> Self::Store {
        Arc::new((**self).store().await)
    }
}

impl<H: Migrating> Migrating for Arc<H> {
    async fn unmigrated(&self, count: usize) -> Vec<Self::Store> {
        (**self).unmigrated(count).await.into_iter().map(Arc::new).collect()
    }

    async fn migrate(&self, store: &Self::Store) -> Result<(), StoreError> {
        (**self).migrate(store).await
    }
}

impl<H: Nodes> Nodes for Arc<H> {
    async fn another(&self, store: &Self::Store) -> Self::Store {
        Arc::new((**self).another(store).await)
    }
}

impl<H: Failing> Failing for Arc<H> {
    async fn failing(&self) -> Self::Store {
        Arc::new((**self).failing().await)
    }
}

impl<H: Interrupting> Interrupting for Arc<H> {
    async fn interruptible(&self) -> Self::Store {
        Arc::new((**self).interruptible().await)
    }

    async fn cut_off(&self, store: &Self::Store) {
        (**self).cut_off(store).await;
    }

    async fn reconnect(&self, store: &Self::Store) {
        (**self).reconnect(store).await;
    }
}

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
