//! One revocation after the other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tower_api_token::user::UserId;

use super::node::Node;
use super::reader::{Pace, Readers, Seen, Task};
use crate::support::statistics::{median, sorted};

/// How long one case may take; it then ends with fewer rounds, as its row says.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often each node must have accepted a token before it is revoked: the
/// last of these answers came from memory.
const WARM: u64 = 3;

/// How often a node must have refused a token in the end.
const COLD: u64 = 5;

/// The head of the table.
pub(crate) fn head() {
    println!("| store | readers | revocations | p50 ms | p99 ms | most ms |");
    println!("|---|---|--:|--:|--:|--:|");
}

/// Measures one case, prints its row, and gives its 99th percentile.
pub(crate) fn measure(store: &str, nodes: &[Node; 2], pace: Pace, rounds: usize) -> Duration {
    let tasks = [Task::default(), Task::default()];
    let took = thread::scope(|scope| {
        for (task, node) in tasks.iter().zip(nodes) {
            scope.spawn(move || task.read(node, pace));
        }
        let _readers = Readers(&tasks);
        let begun = Instant::now();
        let numbers = (0..rounds).take_while(|_| begun.elapsed() < PATIENCE);
        numbers.map(|number| round(nodes, &tasks, number)).collect::<Vec<_>>()
    });
    let took: Vec<_> = took.iter().map(Duration::as_secs_f64).collect();
    let half = median(&took);
    let took = sorted(&took);
    let place = |part: f64| took[((took.len() - 1) as f64 * part).ceil() as usize];
    let [most_of_all, all] = [0.99, 1.0].map(place);
    println!(
        "| {store} | {} | {} | {:.2} | {:.2} | {:.2} |",
        pace.name(),
        took.len(),
        half * 1e3,
        most_of_all * 1e3,
        all * 1e3
    );
    Duration::from_secs_f64(most_of_all)
}

/// Revokes a token on one node; how long after that the other accepted it.
fn round(nodes: &[Node; 2], tasks: &[Task; 2], number: usize) -> Duration {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let user = format!("user-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let user = UserId::new(user).expect("a name");
    let (here, there) = (number % 2, 1 - number % 2);
    let (token, start) = (nodes[here].issue(&user), Instant::now());
    let seen = [Seen::new(&token, start), Seen::new(&token, start)];
    tasks.iter().zip(&seen).for_each(|(task, seen)| task.set(seen));
    wait(|| seen.iter().all(|seen| seen.accepted.load(Ordering::SeqCst) >= WARM));

    nodes[here].revoke(&user);
    let returned = start.elapsed();
    wait(|| seen.iter().all(|seen| seen.refused.load(Ordering::SeqCst) >= COLD));
    assert!(seen[here].last_asked() < returned, "the node that revoked it accepted it after that");
    seen[there].last_accepted().saturating_sub(returned)
}

fn wait(until: impl Fn() -> bool) {
    let begun = Instant::now();
    while !until() {
        assert!(begun.elapsed() < PATIENCE, "it does not come to an end");
        thread::sleep(Duration::from_micros(200));
    }
}
