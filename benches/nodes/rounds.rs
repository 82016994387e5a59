//! One revocation after the other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tower_api_token::user::UserId;

use super::node::{Change, Node};
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
    println!("| store | change | readers | rounds | p50 ms | p99 ms | most ms |");
    println!("|---|---|---|--:|--:|--:|--:|");
}

/// How late the other node was.
#[derive(Clone, Copy)]
pub(crate) struct Late {
    pub(crate) p99: Duration,
    pub(crate) most: Duration,
}

/// Measures one case and prints its row.
pub(crate) fn measure(
    store: &str,
    change: Change,
    nodes: &[Node; 2],
    pace: Pace,
    rounds: usize,
) -> Late {
    let tasks = [Task::default(), Task::default()];
    let took = thread::scope(|scope| {
        for (task, node) in tasks.iter().zip(nodes) {
            scope.spawn(move || task.read(node, pace));
        }
        let _readers = Readers(&tasks);
        let begun = Instant::now();
        let numbers = (0..rounds).take_while(|_| begun.elapsed() < PATIENCE);
        numbers.map(|number| round(change, nodes, &tasks, number)).collect::<Vec<_>>()
    });
    let took: Vec<_> = took.iter().map(Duration::as_secs_f64).collect();
    let half = median(&took);
    let took = sorted(&took);
    let place = |part: f64| took[((took.len() - 1) as f64 * part).ceil() as usize];
    let [p99, most] = [0.99, 1.0].map(place);
    println!(
        "| {store} | {} | {} | {} | {:.2} | {:.2} | {:.2} |",
        change.name(),
        pace.name(),
        took.len(),
        half * 1e3,
        p99 * 1e3,
        most * 1e3
    );
    Late { p99: Duration::from_secs_f64(p99), most: Duration::from_secs_f64(most) }
}

/// Makes the change on one node; how long after that the other accepted the token.
fn round(change: Change, nodes: &[Node; 2], tasks: &[Task; 2], number: usize) -> Duration {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let user = format!("user-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let user = UserId::new(user).expect("a name");
    let (here, there) = (number % 2, 1 - number % 2);
    let (token, start) = (nodes[here].issue(&user), Instant::now());
    let seen = [Seen::new(&token, start), Seen::new(&token, start)];
    tasks.iter().zip(&seen).for_each(|(task, seen)| task.set(seen));
    wait(|| seen.iter().all(|seen| seen.accepted.load(Ordering::SeqCst) >= WARM));

    nodes[here].make(change, &user, &token);
    let returned = start.elapsed();
    wait(|| seen.iter().all(|seen| seen.refused.load(Ordering::SeqCst) >= COLD));
    assert!(
        seen[here].last_asked() < returned,
        "the node that made the change accepted it after that"
    );
    seen[there].last_accepted().saturating_sub(returned)
}

fn wait(until: impl Fn() -> bool) {
    let begun = Instant::now();
    while !until() {
        assert!(begun.elapsed() < PATIENCE, "it does not come to an end");
        thread::sleep(Duration::from_micros(200));
    }
}
