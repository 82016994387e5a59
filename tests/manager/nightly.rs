//! The nightly job of `examples/rotate`, which README shows, run twice a day for a
//! week, while a program makes a request every hour.

use std::cell::RefCell;
use std::time::Duration;

use tower_api_token::denial::DenialKind;
use tower_api_token::rotation::Policy;
use tower_api_token::token::{Token, TokenScheme};

use crate::world::{World, alice};

#[cfg(feature = "sqlite")]
#[path = "../support/build.rs"]
mod build;
#[path = "../../examples/rotate/nightly.rs"]
mod job;

on_every_store!(
    a_token_is_rotated_day_by_day_and_no_request_is_refused,
    a_rotation_goes_on_when_tokens_have_a_lifetime,
    a_rotation_goes_on_although_every_token_has_expired,
    a_program_that_keeps_the_former_token_holds_the_rotation_up_until_it_expires,
    a_run_that_breaks_off_is_made_good_by_the_next,
);

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const RUNS: usize = 14;

/// What the job and its programs have.
#[derive(Default)]
struct Robot {
    /// The token that the job has put where programs find it.
    kept: RefCell<Option<Token>>,
    /// The token that the program uses.
    in_use: Option<Token>,
    refused: usize,
}

impl Robot {
    /// One run of the job. `breaks_off`: after it has put the token there.
    async fn run(&self, world: &World, breaks_off: bool) -> Result<bool, String> {
        let (manager, robot) = (&world.manager, alice());
        let told = |error: Box<dyn std::error::Error + Send + Sync>| error.to_string();
        if !job::end_former(manager, robot).await.map_err(told)? {
            return Ok(false);
        }
        let keep = async |token: &Token| {
            *self.kept.borrow_mut() = Some(token.clone());
            if breaks_off { Err("the disk is full".into()) } else { Ok(()) }
        };
        job::make_next(manager, robot, keep).await.map_err(told)?;
        Ok(true)
    }

    /// Takes up the kept token if it is accepted, else goes on with its own.
    async fn request(&mut self, world: &World) {
        let kept = self.kept.borrow().clone();
        if let Some(kept) = kept
            && world.auth(&kept, "GET").await.is_ok()
        {
            self.in_use = Some(kept);
        }
        if let Some(token) = &self.in_use {
            match world.auth(token, "GET").await {
                Ok(_) => {}
                Err(DenialKind::InvalidToken) => self.refused += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    /// Twelve hours of a request each.
    async fn work(&mut self, world: &World) {
        for _ in 0..12 {
            self.request(world).await;
            world.pass(HOUR);
        }
    }
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
    let mut robot = Robot::default();
    for _ in 0..RUNS {
        robot.run(&world, false).await.unwrap();
        robot.work(&world).await;
    }
    assert_eq!(robot.refused, 0);
    // A day after the program has left the former token, each time.
    assert_eq!(confirmed(&world).await, 8);
}

async fn a_rotation_goes_on_when_tokens_have_a_lifetime(world: World) {
    let policy = Policy::default().token_lifetime(2 * DAY).unwrap();
    let world = under(world, policy.backup_lifetime(DAY).unwrap()).await;
    let mut robot = Robot::default();
    for _ in 0..RUNS {
        robot.run(&world, false).await.unwrap();
        robot.work(&world).await;
    }
    assert_eq!(robot.refused, 0);
    assert!(confirmed(&world).await >= 7);
    assert!(world.history().await.contains(&"token_expired"));
}

/// What runs too seldom for its tokens gets on all the same.
async fn a_rotation_goes_on_although_every_token_has_expired(world: World) {
    let world = under(world, Policy::default().token_lifetime(5 * HOUR).unwrap()).await;
    let mut robot = Robot::default();
    for run in 0..RUNS {
        assert_eq!(robot.run(&world, false).await, Ok(true), "run {run}");
        let kept = robot.kept.borrow().clone().unwrap();
        assert!(world.auth(&kept, "GET").await.is_ok(), "run {run}");
        robot.work(&world).await;
    }
    assert!(robot.refused > 0);
    assert_eq!(confirmed(&world).await, RUNS);
}

async fn a_program_that_keeps_the_former_token_holds_the_rotation_up_until_it_expires(
    world: World,
) {
    let world = under(world, Policy::default().token_lifetime(3 * DAY).unwrap()).await;
    let (mut robot, mut forgotten) = (Robot::default(), Robot::default());
    let mut rotated = Vec::new();
    for run in 0..RUNS {
        if robot.run(&world, false).await.unwrap() {
            rotated.push(run);
        }
        if run == 0 {
            forgotten.in_use = robot.kept.borrow().clone();
        }
        for _ in 0..12 {
            robot.request(&world).await;
            forgotten.request(&world).await;
            world.pass(HOUR);
        }
    }
    assert_eq!(robot.refused, 0);
    assert_eq!(forgotten.refused, 12 * (RUNS - 6), "three days after it was made");
    assert_eq!(rotated[..3], [0, 1, 6], "not while the first was in use, and then again");
}

async fn a_run_that_breaks_off_is_made_good_by_the_next(world: World) {
    let world = under(world, Policy::default()).await;
    let mut robot = Robot::default();
    for run in 0..RUNS {
        let breaks_off = run % 3 == 1;
        match robot.run(&world, breaks_off).await {
            Ok(_) => {}
            Err(error) => assert_eq!((error.as_str(), breaks_off), ("the disk is full", true)),
        }
        robot.work(&world).await;
    }
    assert_eq!(robot.refused, 0);
    assert!(confirmed(&world).await >= 5);
}

/// README cannot drift from what is tested here.
#[test]
fn the_readme_shows_the_job_that_is_tested() {
    let (readme, job) =
        (include_str!("../../README.md"), include_str!("../../examples/rotate/nightly.rs"));
    assert!(readme.contains(&format!("```rust\n{job}```\n")), "README shows another job");
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn the_example_rotates_in_a_database_and_a_file() {
    use std::sync::Arc;

    use tower_api_token::account::Slot;
    use tower_api_token::store::{AccountStore, SqliteStore};
    use tower_api_token::time::ManualClock;

    let directory = tempfile::tempdir().unwrap();
    let (database, file) = (directory.path().join("tokens.db"), directory.path().join("token"));
    let store = Arc::new(SqliteStore::open(&database).unwrap());
    store.migrate().await.unwrap();
    let clock = Arc::new(ManualClock::new(crate::world::START));
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
