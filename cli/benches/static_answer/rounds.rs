//! nginx with our endpoint, and with one of the same server that decides
//! nothing, in turns.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::super::gateway::{Gateway, NGINX, Running};
use super::super::support::bootstrap::bootstrap;
use super::super::support::core::{processors, stay_on};
use super::super::support::load::Load;
use super::super::support::population::{Sequence, token};
use super::super::support::statistics::median;
use super::api::Api;
use super::endpoint::{Answer, Endpoint};

/// What our endpoint may cost over a static answer of the same server.
const BOUND: f64 = 1.05;

/// Whose tokens are sent, at random: one user's, as to each gateway before, and
/// so many users' that the processor's caches do not hold what is known of them.
const USERS: [(u64, &str); 2] = [(1, "one user"), (1_000, "1 000 users")];

/// Short, so that a machine that has something else to do now and then does it
/// to all of a round alike.
const SLICE: Duration = Duration::from_millis(10);
const ROUNDS: usize = 1_000;
/// Rounds tried at most, those included in which the machine was busy.
const TRIES: usize = 2_500;
/// The share of its processor that nginx and the endpoint must have had: else
/// the load, or another program, was what held them up.
const BUSY_ENOUGH: f64 = 0.95;

const ANSWERS: [(&str, Answer); 3] = [
    ("static 200", Answer::Static),
    ("static 200 with the headers of a pass", Answer::WithHeaders),
    ("our endpoint", Answer::Decided),
];

/// One worker, and connections that last.
const EDITS: &[(&str, &str)] = &[
    ("worker_processes auto;", "worker_processes 1;"),
    ("server_tokens off;", "server_tokens off; keepalive_requests 1000000000;"),
];

/// Requests per second with each answer, there and back.
type Round = [[f64; 2]; 3];

/// Whether our endpoint costs no more than it may.
pub(crate) fn measure() -> bool {
    let &[first, second, ..] = &*processors() else {
        println!("our endpoint: not measured, there is one processor only");
        return false;
    };
    stay_on(second);
    let verdicts = USERS.map(|(users, name)| {
        let (rounds, busy) = compare(users, first);
        report(name, &rounds, busy)
    });
    verdicts == [true; 2]
}

/// All rounds with so many users, and the share of their processor that nginx
/// and the endpoint had.
fn compare(users: u64, processor: usize) -> (Vec<Round>, f64) {
    let (endpoint, api) = (Endpoint::new(users), Api::new());
    let (asked, upstream) = (endpoint.start(processor), api.address());
    let start = move || {
        stay_on(processor);
        Gateway { edits: EDITS, ..NGINX }.start(asked, upstream)
    };
    let nginx = thread::spawn(start).join().expect("nginx starts");
    let mut load = load(users, &nginx, api);
    let (begun, idle, mut all) = (Instant::now(), idle_time(processor), Vec::new());
    while all.len() < TRIES && kept(&all).len() < ROUNDS {
        all.push(round(&endpoint, &mut load));
    }
    let idle = (idle_time(processor) - idle).as_secs_f64();
    (all, 1.0 - idle / begun.elapsed().as_secs_f64())
}

fn load(users: u64, nginx: &Running, mut api: Api) -> Load {
    let mut sequence = Sequence::new(9);
    let tokens = (0..4_096).map(|_| token(sequence.below(users)));
    let mut load = Load::new(nginx.address, tokens, move || api.answer());
    load.run(SLICE);
    load
}

/// A B C C B A.
fn round(endpoint: &Endpoint, load: &mut Load) -> Round {
    let mut slice = |(_, answer)| {
        endpoint.switch(answer);
        load.run(SLICE)
    };
    let there = ANSWERS.map(&mut slice);
    let [a, b, c] = ANSWERS;
    let back = [c, b, a].map(slice);
    [[there[0], back[2]], [there[1], back[1]], [there[2], back[0]]]
}

/// The rounds in which the static answer came as fast at the end as in the
/// beginning, but for a tenth: in the others the machine had something else to
/// do in between.
fn kept(rounds: &[Round]) -> Vec<Round> {
    let even = |[[there, back], ..]: &&Round| (there / back - 1.0).abs() <= 0.1;
    rounds.iter().filter(even).copied().collect()
}

fn report(users: &str, all: &[Round], busy: f64) -> bool {
    let kept = kept(all);
    println!("| nginx, one worker, {users}, asks | requests per second | costs | 95 % interval |");
    println!("|---|--:|--:|--:|");
    let mut cost = f64::NAN;
    for (place, (name, _)) in ANSWERS.iter().enumerate() {
        let usual = median(&kept.iter().map(|round| rate(&round[place])).collect::<Vec<_>>());
        let costs: Vec<f64> =
            kept.iter().map(|round| rate(&round[0]) / rate(&round[place])).collect();
        let (low, high) = bootstrap(&costs);
        cost = median(&costs);
        let [cost, low, high] = [cost, low, high].map(|cost| (cost - 1.0) * 100.0);
        println!("| {name} | {usual:.0} | {cost:.1} % | {low:.1} to {high:.1} % |");
    }
    println!("\n{} rounds, {} more discarded as busy", kept.len(), all.len() - kept.len());
    println!("nginx and the endpoint used {:.0} % of their processor\n", busy * 100.0);
    if kept.len() < ROUNDS || busy < BUSY_ENOUGH {
        println!("our endpoint, {users}: not measured, the machine was busy\n");
        return false;
    }
    let verdict = if cost <= BOUND { "holds" } else { "does not hold" };
    let (cost, bound) = ((cost - 1.0) * 100.0, (BOUND - 1.0) * 100.0);
    println!(
        "our endpoint, {users}, costs {cost:.1} % over a static 200; \
         at most {bound:.0} %: {verdict}\n"
    );
    verdict == "holds"
}

/// Requests per second in two slices of the same number of requests.
fn rate([there, back]: &[f64; 2]) -> f64 {
    2.0 / (there.recip() + back.recip())
}

/// How long that processor has had nothing to do, to a hundredth of a second.
fn idle_time(processor: usize) -> Duration {
    let stat = fs::read_to_string("/proc/stat").expect("Linux tells");
    let name = format!("cpu{processor} ");
    let line = stat.lines().find_map(|line| line.strip_prefix(&name)).expect("a processor");
    let times: Vec<u64> = line.split_whitespace().map(|time| time.parse().unwrap()).collect();
    Duration::from_millis(10 * (times[3] + times[4]))
}
