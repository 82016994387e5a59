//! The nightly job of `examples/rotate`, which the guide shows, run twice a day for a
//! week, while a program makes a request every hour.

use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tower_api_token::account::Slot;
use tower_api_token::denial::DenialKind;
use tower_api_token::rotation::Policy;
use tower_api_token::time::Clock;
use tower_api_token::token::{Token, TokenId, TokenScheme};

use self::nightly::SecretStore;
use self::token_file::TokenFile;
use crate::manager::world::{World, alice};

#[cfg(feature = "sqlite")]
#[path = "../../support/build.rs"]
mod build;
#[path = "../../../examples/rotate/nightly.rs"]
#[expect(clippy::module_inception, reason = "it is named as in the example")]
mod nightly;
#[path = "../../../examples/rotate/token_file.rs"]
mod token_file;

on_every_store!(
    a_token_is_rotated_day_by_day_and_no_request_is_refused,
    a_rotation_goes_on_when_tokens_have_a_lifetime,
    a_rotation_goes_on_although_every_token_has_expired,
    a_program_that_keeps_the_former_token_holds_the_rotation_up_until_it_expires,
    a_program_starts_wherever_a_run_breaks_off,
    a_token_that_was_read_is_accepted_for_a_day_however_often_the_job_runs,
);

type Error = Box<dyn std::error::Error + Send + Sync>;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const RUNS: usize = 14;

/// The job, and a program that reads the token anew for each request.
struct Robot {
    directory: tempfile::TempDir,
    refused: usize,
}

impl Robot {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), refused: 0 }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("token")
    }

    /// One run of the job.
    async fn run(&self, world: &World) {
        self.try_run(world).await.unwrap();
    }

    async fn try_run(&self, world: &World) -> Result<(), Error> {
        let secrets = Slow(TokenFile::new(self.file()));
        nightly::rotate(&world.manager, alice(), &secrets, world.clock.now()).await.map(drop)
    }

    /// What a program that starts now reads.
    fn token(&self) -> String {
        std::fs::read_to_string(self.file()).unwrap()
    }

    async fn request(&mut self, world: &World) {
        self.refused += usize::from(is_refused(world, &self.token()).await);
    }

    /// A run to its end, after which programs find the primary.
    async fn complete(&mut self, world: &World) {
        self.run(world).await;
        self.request(world).await;
        let slot = world.auth_text(&self.token(), "GET").await;
        assert_eq!(slot, Ok(Slot::Primary), "what is activated is published");
    }

    /// Twelve hours of a request each.
    async fn work(&mut self, world: &World) {
        for _ in 0..12 {
            self.request(world).await;
            world.pass(HOUR);
        }
    }
}

async fn is_refused(world: &World, token: &str) -> bool {
    match world.auth_text(token, "GET").await {
        Ok(_) => false,
        Err(DenialKind::InvalidToken) => true,
        Err(other) => panic!("{other:?}"),
    }
}

/// The files of the job, each step of which can be the last or has just been.
struct Slow(TokenFile);

impl Slow {
    async fn step<T>(&self, step: impl Future<Output = T>) -> T {
        tokio::task::yield_now().await;
        let done = step.await;
        tokio::task::yield_now().await;
        done
    }
}

impl SecretStore for Slow {
    async fn stage(&self, id: TokenId, token: &Token) -> Result<(), Error> {
        self.step(self.0.stage(id, token)).await
    }

    async fn staged(&self) -> Result<Vec<TokenId>, Error> {
        self.step(self.0.staged()).await
    }

    async fn publish(&self, id: TokenId) -> Result<(), Error> {
        self.step(self.0.publish(id)).await
    }

    async fn discard(&self, id: TokenId) -> Result<(), Error> {
        self.step(self.0.discard(id)).await
    }
}

/// Polls the run that often at most; its outcome if it was at its end by then.
async fn polled<F: Future>(run: &mut Pin<Box<F>>, mut polls: usize) -> Option<F::Output> {
    let polled = poll_fn(|context| {
        if polls == 0 {
            return Poll::Ready(None);
        }
        polls -= 1;
        run.as_mut().poll(context).map(Some)
    });
    polled.await
}

async fn under(world: World, policy: Policy) -> World {
    let world = world.again(TokenScheme::default(), |builder| builder.policy(policy)).await;
    world.grant(alice(), &["GET"]).await;
    world
}

async fn confirmed(world: &World) -> usize {
    world.history().await.iter().filter(|name| **name == "primary_confirmed").count()
}

async fn a_token_is_rotated_day_by_day_and_no_request_is_refused(world: World) {
    let world = under(world, Policy::default()).await;
    let mut robot = Robot::new();
    for _ in 0..RUNS {
        robot.run(&world).await;
        robot.work(&world).await;
    }
    assert_eq!(robot.refused, 0);
    // A day after the program has left the former token, each time.
    assert_eq!(confirmed(&world).await, 8);
}

async fn a_rotation_goes_on_when_tokens_have_a_lifetime(world: World) {
    let policy = Policy::default().token_lifetime(2 * DAY).unwrap();
    let world = under(world, policy.backup_lifetime(DAY).unwrap()).await;
    let mut robot = Robot::new();
    for _ in 0..RUNS {
        robot.run(&world).await;
        robot.work(&world).await;
    }
    assert_eq!(robot.refused, 0);
    assert!(confirmed(&world).await >= 7);
    assert!(world.history().await.contains(&"token_expired"));
}

/// What runs too seldom for its tokens gets on all the same.
async fn a_rotation_goes_on_although_every_token_has_expired(world: World) {
    let world = under(world, Policy::default().token_lifetime(5 * HOUR).unwrap()).await;
    let mut robot = Robot::new();
    for run in 0..RUNS {
        robot.run(&world).await;
        assert_eq!(world.auth_text(&robot.token(), "GET").await, Ok(Slot::Primary), "run {run}");
        robot.work(&world).await;
    }
    assert!(robot.refused > 0);
    assert_eq!(confirmed(&world).await, RUNS);
}

async fn a_program_that_keeps_the_former_token_holds_the_rotation_up_until_it_expires(
    world: World,
) {
    let world = under(world, Policy::default().token_lifetime(3 * DAY).unwrap()).await;
    let mut robot = Robot::new();
    let (mut forgotten, mut refused) = (String::new(), 0);
    let mut rotated = Vec::new();
    for run in 0..RUNS {
        let before = confirmed(&world).await;
        robot.run(&world).await;
        if confirmed(&world).await > before {
            rotated.push(run);
        }
        if run == 0 {
            forgotten = robot.token();
        }
        for _ in 0..12 {
            robot.request(&world).await;
            refused += usize::from(is_refused(&world, &forgotten).await);
            world.pass(HOUR);
        }
    }
    assert_eq!(robot.refused, 0);
    assert_eq!(refused, 12 * (RUNS - 6), "three days after it was made");
    assert_eq!(rotated[..3], [0, 1, 6], "not while the first was in use, and then again");
}

/// A program may read the token just before a run, and need it the next day.
async fn a_token_that_was_read_is_accepted_for_a_day_however_often_the_job_runs(world: World) {
    let world = under(world, Policy::default()).await;
    let robot = Robot::new();
    robot.run(&world).await;
    for day in 0..7 {
        let read = robot.token();
        for _ in 0..23 {
            robot.run(&world).await;
            world.pass(HOUR);
        }
        assert!(!is_refused(&world, &read).await, "read on day {day}");
        world.pass(HOUR);
    }
    assert!(confirmed(&world).await > 3, "the rotation goes on");
}

async fn a_program_starts_wherever_a_run_breaks_off(world: World) {
    let world = under(world, Policy::default()).await;
    let mut robot = Robot::new();
    robot.run(&world).await;
    let (mut steps, mut ended) = (0, false);
    while !ended {
        for _ in 0..3 {
            robot.work(&world).await;
        }
        // The next run breaks off at the same step.
        for _ in 0..2 {
            ended = polled(&mut Box::pin(robot.run(&world)), steps).await.is_some();
            world.manager.idle().await;
            robot.request(&world).await;
            assert_eq!(robot.refused, 0, "a program that started after step {steps}");
        }
        robot.complete(&world).await;
        steps += 1;
    }
    assert_eq!(robot.refused, 0);
    assert!(confirmed(&world).await > steps, "each run is completed by the next");
    assert!(steps > 12, "{steps} steps are fewer than the job has");
}

/// The first run waits after so many steps, and the second after so many others,
/// until the first is at its end; whether that was so before it waited.
async fn two_runs(robot: &Robot, world: &World, steps: usize, further: usize) -> bool {
    let mut first = Box::pin(robot.try_run(world));
    let mut second = Box::pin(robot.try_run(world));
    if polled(&mut first, steps).await.is_some() {
        return true;
    }
    let second_ended = polled(&mut second, further).await.is_some();
    // One of the two may find that the other was faster.
    drop(first.await);
    assert!(!is_refused(world, &robot.token()).await, "{steps}, {further}");
    if !second_ended {
        drop(second.await);
    }
    assert!(!is_refused(world, &robot.token()).await, "{steps}, {further}");
    false
}

/// Whatever one does while the other waits, also in the middle of its way.
#[tokio::test]
async fn two_runs_at_once_shut_no_program_out() {
    let world = under(World::in_memory().await, Policy::default()).await;
    let mut robot = Robot::new();
    robot.run(&world).await;
    let (mut steps, mut ended) = (0, false);
    while !ended {
        for further in 0..=steps {
            for _ in 0..3 {
                robot.work(&world).await;
            }
            ended = two_runs(&robot, &world, steps, further).await;
            robot.complete(&world).await;
        }
        steps += 1;
    }
    assert_eq!(robot.refused, 0);
    assert!(steps > 12, "{steps} steps are fewer than the job has");
}

#[tokio::test]
async fn tokens_of_two_robots_are_kept_aside_in_files_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let files = ["token.alice", "token.bob", "token"].map(|name| directory.path().join(name));
    let id = TokenId::from_u64(7);
    for file in &files {
        let token = Token::parse(file.to_str().unwrap()).unwrap();
        TokenFile::new(file).stage(id, &token).await.unwrap();
    }
    for file in &files {
        assert_eq!(TokenFile::new(file).staged().await.unwrap(), [id]);
        TokenFile::new(file).publish(id).await.unwrap();
        assert_eq!(std::fs::read_to_string(file).unwrap(), file.to_str().unwrap());
        assert_eq!(TokenFile::new(file).staged().await.unwrap(), []);
    }
}

/// The guide takes the job from the file that is tested here.
#[test]
fn the_guide_shows_the_job_that_is_tested() {
    let guide = include_str!("../../../src/guide.rs");
    let page = guide.split("\n    rotation,\n").nth(1).unwrap().split("\n);").next().unwrap();
    assert!(page.contains("include_str!(\"../examples/rotate/nightly.rs\")"), "{page}");
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn the_example_rotates_in_a_database_and_a_file() {
    use std::sync::Arc;

    use tower_api_token::store::{AccountStore, SqliteStore};
    use tower_api_token::test_util::ManualClock;

    let directory = tempfile::tempdir().unwrap();
    let (database, file) = (directory.path().join("tokens.db"), directory.path().join("token"));
    let store = Arc::new(SqliteStore::open(&database).unwrap());
    store.migrate().await.unwrap();
    let clock = Arc::new(ManualClock::new(crate::manager::world::START));
    let world = World::on(Arc::clone(&store) as Arc<dyn AccountStore>, clock).await;
    world.grant(alice(), &["GET"]).await;
    let example = build::example("rotate");
    let run = || {
        let mut command = std::process::Command::new(&example);
        let ran = command
            .args([database.as_os_str(), "alice".as_ref(), file.as_os_str()])
            .output()
            .unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        std::fs::read_to_string(&file).unwrap()
    };
    let first = run();
    assert_eq!(world.auth_text(&first, "GET").await, Ok(Slot::Primary));
    let second = run();
    assert_eq!(world.auth_text(&first, "GET").await, Ok(Slot::Backup));
    assert_eq!(world.auth_text(&second, "GET").await, Ok(Slot::Primary));
    // The first is so new that nobody can tell yet whether something uses it.
    assert_eq!(run(), second);
    assert_eq!(world.auth_text(&first, "GET").await, Ok(Slot::Backup));
}
