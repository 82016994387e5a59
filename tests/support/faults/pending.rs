//! I5 on two nodes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tower_api_token::manage::Guard;
use tower_api_token::user::Actor;

use super::poll::Poll;
use super::world::{World, generate, manager};
use super::{BOUND, Engine};

const ROUNDS: usize = 200;

/// The pending token is used on both nodes in every millisecond: it is refused
/// until its confirmation begins, and accepted from the bound after its return
/// at the latest.
pub(crate) async fn a_pending_token_is_polled<E: Engine>(engine: E) {
    let world = World::start(engine).await;
    let nodes = [world.node().await, world.node().await];
    let (actor, (alice, _)) = (Actor::User, world.holder("alice").await);
    let managers =
        [manager(Arc::clone(&nodes[0].cache)).await, manager(Arc::clone(&nodes[1].cache)).await];
    let mut waited = Vec::new();
    for round in 0..ROUNDS {
        let generated = generate(&world.manager, &alice).await;
        let polls = nodes
            .each_ref()
            .map(|node| Poll::start(node, &generated.token, Duration::from_millis(1)));
        for poll in &polls {
            poll.has_made(5).await;
        }
        let begun = Instant::now();
        // Confirmed on a node in turn, and past both.
        let manager = managers.get(round % 3).unwrap_or(&world.manager);
        let entry = manager.confirm(&actor, &alice, &generated.code).await.expect("confirmed");
        assert_eq!(entry.event.name(), "primary_confirmed");
        let confirmed = Instant::now();
        for node in &nodes {
            while node.decide(&generated.token).await.is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
        for poll in polls {
            let attempts = poll.end().await;
            attempts.assert_plain();
            let first = attempts.first_accepted().expect("it is accepted in the end");
            assert!(first > begun, "I5: accepted before it was confirmed");
            let refused = attempts.last_refused().expect("it was refused at first");
            let late = refused.saturating_duration_since(confirmed);
            assert!(late <= BOUND, "I5: refused {late:?} after it was confirmed");
            waited.push(first.saturating_duration_since(confirmed));
        }
        let account = world.manager.view(&alice).await.expect("a view");
        let backup = account.backup.expect("the former primary").id;
        let guard = Guard::EvenIfInUse;
        world.manager.delete_backup(&actor, &alice, backup, guard).await.expect("deleted");
    }
    waited.sort_unstable();
    let (median, p99) = (waited[waited.len() / 2], waited[waited.len() * 99 / 100]);
    println!("from the confirmation to the first acceptance: p50 {median:?}, p99 {p99:?}");
}
