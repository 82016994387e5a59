//! A token in use does not end unasked.

use std::time::Duration;

use tower_api_token::account::Slot;
use tower_api_token::manage::{Guard, ManageError};
use tower_api_token::rotation::RotationError;
use tower_api_token::store::StoreErrorKind;
use tower_api_token::token::TokenId;
use tower_api_token::user::Actor;

use crate::manager::store::{Call, Fault};
use crate::manager::world::{START, World, alice};

on_every_store!(
    a_use_that_is_not_flushed_counts,
    a_use_counts_for_a_day,
    a_young_token_counts_as_in_use,
    roll_back_looks_at_the_primary,
    a_store_that_cannot_tell_is_no_permission,
    the_caller_may_insist_without_any_look_up,
);

const DAY: Duration = Duration::from_secs(86_400);

async fn delete(world: &World, id: TokenId) -> Result<(), ManageError> {
    world.manager.delete_backup(&Actor::User, alice(), id, Guard::UnlessInUse).await.map(drop)
}

async fn a_use_that_is_not_flushed_counts(world: World) {
    let (_, old) = world.dual().await;
    world.pass(DAY);
    assert_eq!(world.auth(&old.token, "GET").await, Ok(Slot::Backup));
    assert!(world.store.take_calls(Call::RecordUsage) == 0);
    let last_used_at = Some(START + DAY);
    let refused = delete(&world, old.id).await.unwrap_err().refusal();
    assert_eq!(refused, Some(RotationError::InUse { id: old.id, last_used_at }));
}

async fn a_use_counts_for_a_day(world: World) {
    let (_, old) = world.dual().await;
    assert_eq!(world.auth(&old.token, "GET").await, Ok(Slot::Backup));
    world.pass(DAY - Duration::from_millis(1));
    assert!(delete(&world, old.id).await.is_err());
    world.pass(Duration::from_millis(1));
    delete(&world, old.id).await.unwrap();
}

async fn a_young_token_counts_as_in_use(world: World) {
    let (_, old) = world.dual().await;
    let refused = delete(&world, old.id).await.unwrap_err().refusal();
    assert_eq!(refused, Some(RotationError::InUse { id: old.id, last_used_at: None }));
    // Twice the interval in which every node writes its last uses.
    world.pass(Duration::from_secs(20));
    delete(&world, old.id).await.unwrap();
}

async fn roll_back_looks_at_the_primary(world: World) {
    let (new, old) = world.dual().await;
    world.pass(DAY);
    assert!(world.auth(&old.token, "GET").await.is_ok());
    let roll_back = || world.manager.roll_back(&Actor::User, alice(), new.id, Guard::UnlessInUse);
    assert!(world.auth(&new.token, "GET").await.is_ok());
    let refused = roll_back().await.unwrap_err().refusal();
    assert!(matches!(refused, Some(RotationError::InUse { id, .. }) if id == new.id));
    world.pass(DAY);
    assert!(world.auth(&old.token, "GET").await.is_ok());
    roll_back().await.unwrap();
}

async fn a_store_that_cannot_tell_is_no_permission(world: World) {
    let (_, old) = world.dual().await;
    assert!(world.auth(&old.token, "GET").await.is_ok());
    world.pass(DAY * 2);
    for call in [Call::RecordUsage, Call::Usage] {
        world.store.plan(call, Fault::Error(StoreErrorKind::Unavailable));
        let before = world.account().await;
        let error = delete(&world, old.id).await.unwrap_err();
        assert!(
            matches!(&error, ManageError::Store(e) if e.kind() == StoreErrorKind::Unavailable),
            "{call:?}: {error}"
        );
        assert_eq!(world.store.unmet(), 0);
        assert_eq!(world.account().await, before);
    }
    delete(&world, old.id).await.unwrap();
}

async fn the_caller_may_insist_without_any_look_up(world: World) {
    let (new, old) = world.dual().await;
    assert!(world.auth(&old.token, "GET").await.is_ok());
    world.store.take_calls(Call::Usage);
    for call in [Call::Usage, Call::RecordUsage] {
        world.store.plan(call, Fault::Error(StoreErrorKind::Unavailable));
    }
    let guard = Guard::EvenIfInUse;
    world.manager.roll_back(&Actor::User, alice(), new.id, guard).await.unwrap();
    let (_, code) = world.generate().await;
    world.confirm(&code).await;
    world.manager.delete_backup(&Actor::User, alice(), old.id, guard).await.unwrap();
    assert_eq!(world.store.take_calls(Call::Usage), 0);
}
