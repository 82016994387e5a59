//! Calls that end half-way: their client hangs up, or their process dies.

use std::sync::atomic::Ordering;

use tower_api_token::account::Slot;
use tower_api_token::denial::DenialKind;
use tower_api_token::identity::Actor;
use tower_api_token::manage::Guard;
use tower_api_token::rotation::RotationError;

use crate::world::{World, alice, is_waiting};

on_every_store!(
    rotation_021_a_pending_token_without_a_mail_is_harmless,
    rotation_026_a_dropped_confirm_happens_once_or_not_at_all,
    any_dropped_change_happens_once_or_not_at_all,
);

/// Polls `future` so often, then drops it. Whether it came to its end.
fn poll(future: impl Future, times: usize) -> bool {
    let mut future = Box::pin(future);
    (0..times).any(|_| !is_waiting(&mut future))
}

async fn rotation_021_a_pending_token_without_a_mail_is_harmless(world: World) {
    let old = world.active().await;
    world.post.hangs.store(true, Ordering::SeqCst);
    let ended =
        poll(async { world.manager.generate_primary(&Actor::User, alice()).await.unwrap() }, 100);
    assert!(!ended && world.account().await.pending().is_some());
    world.post.hangs.store(false, Ordering::SeqCst);
    assert_eq!(world.auth(&old.token, "GET").await, Ok(Slot::Primary));
    let (new, code) = world.generate().await;
    world.confirm(&code).await;
    assert_eq!(world.auth(&new.token, "GET").await, Ok(Slot::Primary));
}

async fn rotation_026_a_dropped_confirm_happens_once_or_not_at_all(world: World) {
    let (mut untouched, mut done, mut ended) = (0, 0, 0);
    for round in 0..500 {
        let (old, new, code) = world.fresh_pending().await;
        let confirm = world.manager.confirm(&Actor::User, alice(), &code);
        ended += usize::from(poll(confirm, round % 12));
        let account = world.account().await;
        assert_eq!(world.auth(&old.token, "GET").await.is_ok(), true, "the old token always works");
        if account.pending().is_some() {
            untouched += 1;
            assert_eq!(account.primary().unwrap().id, old.id);
            assert_eq!(world.auth(&new.token, "GET").await, Err(DenialKind::InvalidToken));
            world.confirm(&code).await;
        } else {
            done += 1;
            let again = world.manager.confirm(&Actor::User, alice(), &code).await.unwrap_err();
            assert_eq!(again.refusal(), Some(RotationError::AlreadyConfirmed { id: new.id }));
        }
        let account = world.account().await;
        assert_eq!(account.primary().unwrap().id, new.id);
        assert_eq!(account.backup().unwrap().id, old.id);
    }
    assert!(untouched > 0 && done > ended && ended > 0, "{untouched} {done} {ended}");
}

async fn any_dropped_change_happens_once_or_not_at_all(world: World) {
    for kind in 0..5 {
        for polls in 0..20 {
            let (primary, backup) = world.fresh_dual().await;
            let before = world.account().await;
            let (user, guard) = (alice(), Guard::EvenIfInUse);
            let manager = &world.manager;
            let ended = match kind {
                0 => poll(manager.delete_backup(&Actor::User, user, backup, guard), polls),
                1 => poll(manager.roll_back(&Actor::User, user, primary, guard), polls),
                2 => poll(manager.revoke_all(&Actor::User, user), polls),
                3 => poll(manager.revoke_access(&Actor::User, user), polls),
                _ => {
                    let generate = manager.generate_primary(&Actor::User, user);
                    poll(generate.replacing_backup(backup).into_future(), polls)
                }
            };
            let after = world.account().await;
            let steps = after.revision().as_u64() - before.revision().as_u64();
            let entries = world.history().await.len() as u64;
            assert_eq!(entries, after.revision().as_u64(), "one entry for each revision");
            assert!(steps == u64::from(*after != *before) && steps <= 1);
            assert!(steps == 1 || !ended, "what was acknowledged is there");
        }
    }
}
