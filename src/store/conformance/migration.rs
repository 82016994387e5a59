//! Cases of a store that must be migrated; for a [`Migrating`] harness.

use std::thread;

use tokio::runtime::Handle;

use super::Migrating;
use super::sample::{everywhere, holder, user};
use super::subject::{Rule, Subject};
use crate::store::PageSize;

/// Migrating again changes nothing that is there.
pub async fn migrating_twice_changes_nothing<H: Migrating>(harness: &H) {
    let subject = Subject::new(harness, "migrating again changes nothing").await;
    subject.put(&everywhere("alice")).await;
    subject.put(&holder("alice", 2, 9)).await;
    let before = subject.state(&[]).await;
    for _ in 0..2 {
        let migrated = harness.migrate(&subject.store).await;
        subject.rule.answered(migrated, "migrating again");
    }
    subject.rule.same(&subject.state(&[]).await, &before, "the store afterwards");
    subject.put(&holder("alice", 3, 10)).await;
    subject.has(&holder("alice", 3, 10)).await;
}

/// Nodes that migrate a new place at the same time all succeed, and all can use
/// it.
pub async fn concurrent_migrations_all_succeed<H: Migrating>(harness: &H) {
    const NODES: usize = 4;

    let rule = Rule("nodes that migrate at the same time all succeed");
    let nodes = harness.unmigrated(NODES).await;
    rule.same(&nodes.len(), &NODES, "the stores that the harness gave");
    let runtime = &Handle::current();
    thread::scope(|scope| {
        let migrate = |node| scope.spawn(move || runtime.block_on(harness.migrate(node)));
        let migrations: Vec<_> = nodes.iter().map(migrate).collect();
        for migration in migrations {
            let migrated = migration.join();
            let migrated = migrated.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            rule.answered(migrated, "migrating");
        }
    });
    let first = everywhere("alice");
    for (place, node) in nodes.into_iter().enumerate() {
        let subject = Subject::over(node, rule);
        if place == 0 {
            subject.put(&first).await;
        }
        subject.rule.same(&subject.load(&user("alice")).await.as_ref(), &Some(&first), "loading");
        subject.rule.same(&subject.list(PageSize::MAX).await.len(), &1, "listing");
    }
}
