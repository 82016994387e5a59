//! Calls that end half-way: their client hangs up, or their process dies.

use std::future::poll_fn;
use std::sync::atomic::Ordering;
use std::task::Poll;

use tower_api_token::account::Slot;
use tower_api_token::denial::DenialKind;
use tower_api_token::manage::Guard;
use tower_api_token::rotation::RotationError;
use tower_api_token::user::Actor;

use crate::manager::world::{World, alice};

on_every_store!(
    rotation_021_a_pending_token_without_a_mail_is_harmless,
    rotation_026_a_dropped_confirm_happens_once_or_not_at_all,
    any_dropped_change_happens_once_or_not_at_all,
);

/// Polls `future` so often, whenever it asks to be, then drops it. Whether it
/// came to its end.
async fn polled(future: impl Future, times: usize) -> bool {
    let mut future = Box::pin(future);
    let mut left = times;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if left == 0 => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn rotation_021_a_pending_token_without_a_mail_is_harmless(world: World) {
    let old = world.active().await;
    world.post.hangs.store(true, Ordering::SeqCst);
    let manager = world.manager.clone();
    let generating =
        tokio::spawn(async move { manager.generate_primary(&Actor::User, alice()).await });
    while world.account().await.pending().is_none() {
        tokio::task::yield_now().await;
    }
    generating.abort();
    assert!(generating.await.unwrap_err().is_cancelled());
    world.post.hangs.store(false, Ordering::SeqCst);
    assert_eq!(world.post.count(), 0);
    assert_eq!(world.auth(&old.token, "GET").await, Ok(Slot::Primary));
    let (new, code) = world.generate().await;
    world.confirm(&code).await;
    assert_eq!(world.auth(&new.token, "GET").await, Ok(Slot::Primary));
}

async fn rotation_026_a_dropped_confirm_happens_once_or_not_at_all(world: World) {
    let (mut untouched, mut done, mut ended) = (0, 0, 0);
    for round in 0..world.rounds(500) {
        let (old, new, code) = world.fresh_pending().await;
        let confirm = world.manager.confirm(&Actor::User, alice(), &code);
        ended += usize::from(polled(confirm, round % 12).await);
        world.settle().await;
        let account = world.account().await;
        assert!(world.auth(&old.token, "GET").await.is_ok(), "the old token always works");
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
        for polls in 0..16 {
            let (primary, backup) = world.fresh_dual().await;
            let before = world.account().await;
            let (user, guard) = (alice(), Guard::EvenIfInUse);
            let manager = &world.manager;
            let ended = match kind {
                0 => polled(manager.delete_backup(&Actor::User, user, backup, guard), polls).await,
                1 => polled(manager.roll_back(&Actor::User, user, primary, guard), polls).await,
                2 => polled(manager.revoke_all(&Actor::User, user), polls).await,
                3 => polled(manager.revoke_access(&Actor::User, user), polls).await,
                _ => {
                    let generate = manager.generate_primary_replacing(&Actor::User, user, backup);
                    polled(generate, polls).await
                }
            };
            world.settle().await;
            let after = world.account().await;
            let steps = after.revision().as_u64() - before.revision().as_u64();
            let entries = world.history().await.len() as u64;
            assert_eq!(entries, after.revision().as_u64(), "one entry for each revision");
            assert!(steps == u64::from(*after != *before) && steps <= 1);
            assert!(steps == 1 || !ended, "what was acknowledged is there");
        }
    }
}
