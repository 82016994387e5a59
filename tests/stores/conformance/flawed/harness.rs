//! Harnesses of flawed stores.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};

use tower_api_token::store::conformance::{Failing, Harness, Interrupting, Migrating, Nodes};
use tower_api_token::store::{StoreError, StoreErrorKind};

use super::{Flaw, Flawed};

/// Makes stores that have a flaw.
pub(crate) struct FlawedHarness {
    flaw: Flaw,
    nodes: AtomicU64,
    migrated: AtomicBool,
    /// Where the nodes that migrate one place meet.
    meeting: std::sync::OnceLock<Barrier>,
}

impl FlawedHarness {
    pub(crate) fn new(flaw: Flaw) -> Self {
        let (nodes, migrated) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { flaw, nodes, migrated, meeting: std::sync::OnceLock::new() }
    }
}

impl Harness for FlawedHarness {
    type Store = Flawed;

    async fn store(&self) -> Flawed {
        Flawed::new(self.flaw)
    }
}

impl Migrating for FlawedHarness {
    async fn unmigrated(&self, count: usize) -> Vec<Flawed> {
        self.meeting.get_or_init(|| Barrier::new(count));
        let first = Flawed::new(self.flaw);
        let others: Vec<_> = (1..count).map(|node| beside(&first, node as u64)).collect();
        std::iter::once(first).chain(others).collect()
    }

    async fn migrate(&self, store: &Flawed) -> Result<(), StoreError> {
        if self.flaw == Flaw::MigrationEmpties {
            store.place.state().accounts.clear();
        }
        if self.flaw == Flaw::MigrationRaces && !self.migrated.load(Ordering::SeqCst) {
            // All have seen that nothing is there before any makes it.
            self.meeting.get().expect("nodes have been made").wait();
            if self.migrated.swap(true, Ordering::SeqCst) {
                return Err(StoreError::new(StoreErrorKind::Conflict, "making a table"));
            }
        }
        Ok(())
    }
}

impl Nodes for FlawedHarness {
    async fn another(&self, store: &Flawed) -> Flawed {
        beside(store, self.nodes.fetch_add(1, Ordering::SeqCst) + 1)
    }
}

impl Failing for FlawedHarness {
    async fn failing(&self) -> Flawed {
        Flawed { down: AtomicBool::new(true), ..Flawed::new(self.flaw) }
    }
}

impl Interrupting for FlawedHarness {
    async fn cut_off(&self, store: &Flawed) {
        store.down.store(true, Ordering::SeqCst);
        store.place.cut_off(store.node);
    }

    async fn reconnect(&self, store: &Flawed) {
        let silent = self.flaw == Flaw::FeedReconnectsInSilence;
        store.place.reconnect(store.node, silent);
        store.down.store(self.flaw == Flaw::CutOffForEver, Ordering::SeqCst);
    }
}

/// A node of the same place, if places are shared.
fn beside(store: &Flawed, node: u64) -> Flawed {
    let place = match store.flaw {
        Flaw::NodesApart => Arc::default(),
        _ => Arc::clone(&store.place),
    };
    Flawed { flaw: store.flaw, place, node, down: AtomicBool::new(false) }
}
