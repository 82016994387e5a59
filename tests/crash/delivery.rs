//! Delivery by force: three processes on one store tell two webhooks of ten thousand
//! tokens that come to their ends, and are killed with SIGKILL again and again.
//!
//! The days are simulated: the processes take the time from a file, which the test sets
//! forward when everything is done that was due. What they lease they lease by the
//! server's own clock. One webhook takes everything; the other one refuses, hangs up and
//! hangs by turns. Both keep the book, from which the test judges.

mod book;
mod calendar;
mod hook;
mod node;
mod users;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tower_api_token::store::{AccountStore, PageSize};
use tower_api_token::time::Timestamp;

use self::book::Book;
use self::calendar::Calendar;
use self::hook::Hook;
use self::node::{Node, Place};
use crate::random::Random;
use crate::{one_at_a_time, postgres, redis_server};

const NODES: usize = 3;
const KILLS: usize = 200;

/// Short enough that everything which is due about one token is due in a step of its own.
const STEP: Duration = Duration::from_secs(288 * 60);
const STEPS: usize = 40;

/// How long what was begun may take without a kill.
const PATIENCE: Duration = Duration::from_secs(180);

/// Between two kills.
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_millis(750);

#[test]
fn nodes_on_postgresql_that_are_killed_deliver_everything_in_order() {
    if node::run_if_told() {
        return;
    }
    let _alone = one_at_a_time();
    runtime().block_on(async {
        let database = postgres::Server::shared().database().await;
        database.store().await;
        let test = "delivery::nodes_on_postgresql_that_are_killed_deliver_everything_in_order";
        World::start(test, Place::Postgres(Box::new(database))).await.go_through().await;
    });
}

#[test]
fn nodes_on_redis_that_are_killed_deliver_everything_in_order() {
    if node::run_if_told() {
        return;
    }
    let _alone = one_at_a_time();
    runtime().block_on(async {
        let deployment = redis_server::Server::shared().deployment();
        deployment.store().await;
        let test = "delivery::nodes_on_redis_that_are_killed_deliver_everything_in_order";
        World::start(test, Place::Redis(deployment)).await.go_through().await;
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// What the nodes work on, and whom they tell.
struct World {
    test: &'static str,
    place: Place,
    store: Arc<dyn AccountStore>,
    calendar: Calendar,
    _directory: tempfile::TempDir,
    start: Timestamp,
    moody: Arc<Hook>,
    steady: Arc<Hook>,
    random: Random,
}

impl World {
    async fn start(test: &'static str, place: Place) -> Self {
        let (start, directory) = (Timestamp::now(), tempfile::tempdir().unwrap());
        let seed = start.unix_millis();
        println!("seed {seed}");
        let store = place.store().await;
        users::keep(&*store, start).await;
        let calendar = Calendar { file: directory.path().join("now") };
        calendar.set(start);
        let (moody, steady) = (Hook::start(true, seed).await, Hook::start(false, seed).await);
        let (random, _directory) = (Random::new(seed), directory);
        Self { test, place, store, calendar, _directory, start, moody, steady, random }
    }

    fn node(&self) -> Node {
        let hooks = [self.moody.address, self.steady.address];
        Node::start(self.test, &self.place, &self.calendar, hooks)
    }

    /// Lets the days pass, in which nodes are killed, until everything is delivered; and
    /// judges.
    async fn go_through(mut self) {
        let end = self.store.audit_log().unwrap().audit_end().await.unwrap();
        let mut nodes: Vec<_> = (0..NODES).map(|_| self.node()).collect();
        until("both cursors are made", async || self.cursors().await == 2).await;
        let begun = Instant::now();
        for step in 1..=STEPS {
            let now = self.start + STEP * step as u32;
            self.calendar.set(now);
            for _ in 0..KILLS / STEPS {
                tokio::time::sleep(self.random.between(SHORTEST, LONGEST)).await;
                let next = self.random.below(NODES);
                nodes[next].kill();
                nodes[next] = self.node();
            }
            until("nothing is due", async || self.nothing_is_due(now).await).await;
        }
        println!("{KILLS} kills in {:?}", begun.elapsed());
        self.moody.calm_down();
        let book = Book::read(&*self.store, end).await;
        let hooks = [&self.moody, &self.steady];
        until("everything is delivered", async || {
            hooks.iter().all(|hook| hook.has_taken() >= book.len())
        })
        .await;
        println!("everything delivered in {:?}", begun.elapsed());
        nodes.into_iter().for_each(Node::close);
        book.assert_everything_was_due_once();
        for (name, hook) in node::RECEIVERS.into_iter().zip(hooks) {
            hook.with_arrivals(|arrivals| book.assert_delivered(name, arrivals, KILLS));
        }
    }

    async fn cursors(&self) -> usize {
        self.store.audit_log().unwrap().audit_cursors().await.unwrap().len()
    }

    async fn nothing_is_due(&self, now: Timestamp) -> bool {
        let accounts = self.store.due_accounts().unwrap();
        accounts.due(now, None, PageSize::clamped(1)).await.unwrap().items.is_empty()
    }
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "still waiting for this: {what}");
        tokio::time::sleep(SHORTEST).await;
    }
}
