//! One clock decides: the store's.

use std::time::{Duration, SystemTime};

use tower_api_token::account::Slot;
use tower_api_token::denial::DenialKind;
use tower_api_token::rotation::RotationError;
use tower_api_token::time::Timestamp;
use tower_api_token::user::Actor;

use crate::manager::world::{World, alice};

on_every_store!(
    rotation_013_a_code_is_valid_to_its_last_second,
    rotation_014_a_code_is_dead_at_its_end,
    rotation_015_a_slow_node_does_not_extend_a_link,
    rotation_016_a_fast_node_does_not_kill_a_link,
    a_resent_code_lives_anew_but_its_token_does_not,
);

const CODE_LIFETIME: Duration = Duration::from_secs(600);
const DAY: Duration = Duration::from_secs(86_400);

async fn rotation_013_a_code_is_valid_to_its_last_second(world: World) {
    world.active().await;
    let (new, code) = world.generate().await;
    world.pass(CODE_LIFETIME - Duration::from_secs(1));
    world.confirm(&code).await;
    assert_eq!(world.auth(&new.token, "GET").await, Ok(Slot::Primary));
}

async fn rotation_014_a_code_is_dead_at_its_end(world: World) {
    let old = world.active().await;
    let (new, code) = world.generate().await;
    world.pass(CODE_LIFETIME);
    assert_eq!(confirm(&world, &code).await, Some(RotationError::ExpiredCode));
    assert_eq!(world.auth(&new.token, "GET").await, Err(DenialKind::InvalidToken));
    assert_eq!(world.auth(&old.token, "GET").await, Ok(Slot::Primary));
}

/// The system's clock, which a manager could read, is a day behind the store's.
async fn rotation_015_a_slow_node_does_not_extend_a_link(world: World) {
    world.clock.set(Timestamp::from(SystemTime::now()) + DAY);
    world.active().await;
    let (_, code) = world.generate().await;
    world.pass(CODE_LIFETIME);
    assert_eq!(confirm(&world, &code).await, Some(RotationError::ExpiredCode));
}

/// The system's clock, which a manager could read, is far ahead of the store's.
async fn rotation_016_a_fast_node_does_not_kill_a_link(world: World) {
    world.clock.set(Timestamp::from(SystemTime::now() - DAY));
    world.active().await;
    let (_, code) = world.generate().await;
    world.pass(CODE_LIFETIME - Duration::from_secs(1));
    assert_eq!(confirm(&world, &code).await, None);
}

async fn a_resent_code_lives_anew_but_its_token_does_not(world: World) {
    world.active().await;
    let (new, _) = world.generate().await;
    world.pass(DAY - CODE_LIFETIME / 2);
    let resend = world.manager.resend_confirmation(&Actor::User, alice(), new.id);
    let (resent, _) = resend.await.unwrap();
    assert_eq!(resent.expires_at, new.expires_at);
    assert_eq!(resent.code_expires_at, resent.expires_at, "no code outlives its token");
    world.pass(CODE_LIFETIME / 2);
    let code = world.post.last_code();
    assert_eq!(confirm(&world, &code).await, Some(RotationError::ExpiredCode));
    let resent = world.manager.resend_confirmation(&Actor::User, alice(), new.id).await;
    assert_eq!(resent.unwrap_err().refusal(), Some(RotationError::ExpiredCode));
}

async fn confirm(
    world: &World,
    code: &tower_api_token::token::ConfirmationCode,
) -> Option<RotationError> {
    let confirmed = world.manager.confirm(&Actor::User, alice(), code).await;
    confirmed.err().map(|error| error.refusal().unwrap())
}
