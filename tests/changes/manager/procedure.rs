//! The procedure step by step, and the steps in a wrong order.

use std::time::Duration;

use tower_api_token::account::Slot;
use tower_api_token::denial::DenialKind;
use tower_api_token::manage::Guard;
use tower_api_token::method::MethodSet;
use tower_api_token::rotation::RotationError;
use tower_api_token::token::ConfirmationCode;
use tower_api_token::user::Actor;

use crate::manager::world::{World, alice, bob, root};

const GONE: Result<Slot, DenialKind> = Err(DenialKind::InvalidToken);

on_every_store!(
    rotation_001_the_documented_procedure,
    rotation_005_an_older_link_is_dead,
    rotation_007_no_rotation_ends_a_backup_unasked,
    rotation_007_the_named_backup_is_replaced,
    rotation_010_roll_back_needs_the_backup_only,
    rotation_011_a_lost_answer_costs_nothing,
    rotation_018_a_link_is_bound_to_its_user,
    rotation_019_guesses_do_no_harm,
    rotation_020_secrets_have_one_purpose,
    rotation_031_an_old_mailbox_cannot_confirm,
    rotation_032_grants_belong_to_the_user,
    rotation_034_mail_is_not_sent_again_at_once,
    rotation_036_an_old_token_is_like_any_other,
);

async fn rotation_001_the_documented_procedure(world: World) {
    let old = world.active().await;
    let (new, code) = world.generate().await;
    assert_eq!(world.auth(&new.token, "GET").await, GONE);
    assert_eq!(world.auth(&old.token, "GET").await, Ok(Slot::Primary));
    world.confirm(&code).await;
    assert_eq!(world.auth(&new.token, "GET").await, Ok(Slot::Primary));
    assert_eq!(world.auth(&old.token, "GET").await, Ok(Slot::Backup));
    let delete = |guard| world.manager.delete_backup(&Actor::User, alice(), old.id, guard);
    let refused = delete(Guard::UnlessInUse).await.unwrap_err().refusal();
    assert!(matches!(refused, Some(RotationError::InUse { last_used_at: Some(_), .. })));
    delete(Guard::EvenIfInUse).await.unwrap();
    assert_eq!(world.auth(&old.token, "GET").await, GONE);
    assert_eq!(world.auth(&new.token, "GET").await, Ok(Slot::Primary));
}

async fn rotation_005_an_older_link_is_dead(world: World) {
    world.active().await;
    let (first, first_code) = world.generate().await;
    let (second, second_code) = world.generate().await;
    let refused = world.manager.confirm(&Actor::User, alice(), &first_code).await;
    assert_eq!(refused.unwrap_err().refusal(), Some(RotationError::UnknownCode));
    assert_eq!(world.auth(&first.token, "GET").await, GONE);
    world.confirm(&second_code).await;
    assert_eq!(world.auth(&second.token, "GET").await, Ok(Slot::Primary));
}

async fn rotation_007_no_rotation_ends_a_backup_unasked(world: World) {
    let (primary, backup) = world.dual().await;
    let refused = world.manager.generate_primary(&Actor::User, alice()).await.unwrap_err();
    assert_eq!(refused.refusal(), Some(RotationError::BackupExists { id: backup.id }));
    let wrong = world.manager.generate_primary_replacing(&Actor::User, alice(), primary.id);
    assert_eq!(wrong.await.unwrap_err().refusal(), Some(RotationError::Stale));
    assert!(world.account().await.pending().is_none());
}

async fn rotation_007_the_named_backup_is_replaced(world: World) {
    let (primary, backup) = world.dual().await;
    let third =
        world.manager.generate_primary_replacing(&Actor::User, alice(), backup.id).await.unwrap();
    assert_eq!(world.auth(&backup.token, "GET").await, Ok(Slot::Backup));
    world.confirm(&world.post.last_code()).await;
    assert_eq!(world.auth(&third.token, "GET").await, Ok(Slot::Primary));
    assert_eq!(world.auth(&primary.token, "GET").await, Ok(Slot::Backup));
    assert_eq!(world.auth(&backup.token, "GET").await, GONE);
}

async fn rotation_010_roll_back_needs_the_backup_only(world: World) {
    let (new, old) = world.dual().await;
    let roll_back = world.manager.roll_back(&Actor::User, alice(), new.id, Guard::EvenIfInUse);
    roll_back.await.unwrap();
    assert_eq!(world.auth(&old.token, "GET").await, Ok(Slot::Primary));
    assert_eq!(world.auth(&new.token, "GET").await, GONE);
}

async fn rotation_011_a_lost_answer_costs_nothing(world: World) {
    let old = world.active().await;
    drop(world.generate().await);
    assert_eq!(world.auth(&old.token, "GET").await, Ok(Slot::Primary));
    let (new, code) = world.generate().await;
    world.confirm(&code).await;
    assert_eq!(world.auth(&new.token, "GET").await, Ok(Slot::Primary));
}

async fn rotation_018_a_link_is_bound_to_its_user(world: World) {
    world.active().await;
    world.grant(bob(), &["GET"]).await;
    world.manager.issue(&Actor::User, bob()).await.unwrap();
    let (_, code) = world.generate().await;
    let before = world.account().await;
    let refused = world.manager.confirm(&Actor::User, bob(), &code).await.unwrap_err();
    assert_eq!(refused.refusal(), Some(RotationError::UnknownCode));
    assert_eq!(world.account().await, before);
    world.confirm(&code).await;
}

async fn rotation_019_guesses_do_no_harm(world: World) {
    world.active().await;
    let (_, code) = world.generate().await;
    let before = world.account().await;
    for place in 0..32 {
        let mut guess = code.expose_secret().as_bytes().to_vec();
        guess[4 + place] = if guess[4 + place] == b'x' { b'y' } else { b'x' };
        let guess = ConfirmationCode::parse(std::str::from_utf8(&guess).unwrap()).unwrap();
        let refused = world.manager.confirm(&Actor::User, alice(), &guess).await.unwrap_err();
        assert_eq!(refused.refusal(), Some(RotationError::UnknownCode), "place {place}");
    }
    assert_eq!(world.account().await, before);
    world.confirm(&code).await;
}

async fn rotation_020_secrets_have_one_purpose(world: World) {
    let old = world.active().await;
    let (new, code) = world.generate().await;
    assert_eq!(world.auth_text(code.expose_secret(), "GET").await, GONE);
    assert!(ConfirmationCode::parse(new.token.expose_secret()).is_none());
    assert!(ConfirmationCode::parse(old.token.expose_secret()).is_none());
    // Not even with the prefix of a code before the token's characters.
    let forged = format!("tac_{}", &new.token.expose_secret()[4..36]);
    let forged = ConfirmationCode::parse(&forged).unwrap();
    let refused = world.manager.confirm(&Actor::User, alice(), &forged).await.unwrap_err();
    assert_eq!(refused.refusal(), Some(RotationError::UnknownCode));
}

async fn rotation_031_an_old_mailbox_cannot_confirm(world: World) {
    world.active().await;
    let (new, code) = world.generate().await;
    // What a host does when the address of a user changes.
    let pending = world.manager.view(alice()).await.unwrap().pending.unwrap().id;
    world.manager.cancel_pending(&Actor::User, alice(), pending).await.unwrap();
    let refused = world.manager.confirm(&Actor::User, alice(), &code).await.unwrap_err();
    assert_eq!(refused.refusal(), Some(RotationError::UnknownCode));
    assert_eq!(world.auth(&new.token, "GET").await, GONE);
}

async fn rotation_032_grants_belong_to_the_user(world: World) {
    let old = world.active().await;
    let (new, code) = world.generate().await;
    let only_get = MethodSet::new(["GET"]).unwrap();
    world.manager.grant(root(), alice(), only_get).await.unwrap();
    world.confirm(&code).await;
    for token in [&new.token, &old.token] {
        assert!(world.auth(token, "GET").await.is_ok());
        // GET covers HEAD.
        assert!(world.auth(token, "HEAD").await.is_ok());
        assert_eq!(world.auth(token, "POST").await, Err(DenialKind::MethodNotGranted));
    }
}

async fn rotation_034_mail_is_not_sent_again_at_once(world: World) {
    world.active().await;
    let (new, _) = world.generate().await;
    let minute = Duration::from_secs(60);
    for _ in 0..100 {
        let resent = world.manager.resend_confirmation(&Actor::User, alice(), new.id).await;
        let refused = resent.unwrap_err().refusal();
        assert_eq!(refused, Some(RotationError::TooSoon { retry_after: minute }));
    }
    assert_eq!(world.post.count(), 1);
    world.pass(minute);
    drop(world.manager.resend_confirmation(&Actor::User, alice(), new.id).await.unwrap());
    assert_eq!(world.post.count(), 2);
}

async fn rotation_036_an_old_token_is_like_any_other(world: World) {
    let (_, old) = world.dual().await;
    let delete = world.manager.delete_backup(&Actor::User, alice(), old.id, Guard::EvenIfInUse);
    delete.await.unwrap();
    let never_issued = {
        let elsewhere = World::in_memory().await;
        elsewhere.active().await
    };
    assert_eq!(world.auth(&old.token, "GET").await, GONE);
    assert_eq!(world.auth(&never_issued.token, "GET").await, GONE);
}
