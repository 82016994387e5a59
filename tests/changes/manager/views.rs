//! What may be seen.

use std::time::Duration;

use tower_api_token::account::Revision;
use tower_api_token::method::MethodSet;
use tower_api_token::rotation::{Policy, RotationError};
use tower_api_token::store::PageSize;
use tower_api_token::token::TokenScheme;
use tower_api_token::user::{Actor, UserId};

use crate::manager::world::{START, World, alice, bob, root};

on_every_store!(
    a_view_needs_access,
    a_view_shows_both_slots_and_what_waits,
    a_view_shows_the_last_use_of_each_token,
    a_list_is_complete_page_by_page,
    a_history_is_complete_page_by_page,
);

async fn a_view_needs_access(world: World) {
    let refusal = async || world.manager.view(alice()).await.unwrap_err().refusal();
    assert_eq!(refusal().await, Some(RotationError::NoAccess));
    world.active().await;
    world.manager.view(alice()).await.unwrap();
    world.manager.revoke_access(root(), alice()).await.unwrap();
    assert_eq!(refusal().await, Some(RotationError::NoAccess));
}

async fn a_view_shows_both_slots_and_what_waits(world: World) {
    let month = Duration::from_secs(30 * 86_400);
    let policy = Policy::default().backup_lifetime(month).unwrap();
    let world = world.again(TokenScheme::default(), |b| b.policy(policy)).await;
    let (new, old) = world.dual().await;
    world.pass(Duration::from_secs(1));
    let waiting =
        world.manager.generate_primary_replacing(&Actor::User, alice(), old.id).await.unwrap();
    let view = world.manager.view(alice()).await.unwrap();
    assert_eq!((&view.user, view.methods.to_string().as_str()), (alice(), "GET, POST"));
    let (primary, backup, pending) =
        (view.primary.unwrap(), view.backup.unwrap(), view.pending.unwrap());
    assert_eq!((primary.id, primary.expires_at), (new.id, None));
    assert_eq!((backup.id, backup.expires_at), (old.id, Some(START + month)));
    for (hint, token) in
        [(&primary.hint, &new.token), (&backup.hint, &old.token), (&pending.hint, &waiting.token)]
    {
        let text = token.expose_secret();
        assert_eq!(hint.as_str(), format!("tat_...{}", &text[text.len() - 4..]));
    }
    assert_eq!((pending.id, pending.replacing_backup), (waiting.id, Some(old.id)));
    assert_eq!(pending.expires_at, waiting.expires_at);
    assert_eq!(pending.code_expires_at, waiting.code_expires_at);
    assert_eq!((pending.made_at, view.now), (START + Duration::from_secs(1), view.now));
    assert_eq!(view.revision, world.account().await.revision());
}

async fn a_view_shows_the_last_use_of_each_token(world: World) {
    let (new, old) = world.dual().await;
    world.pass(Duration::from_secs(5));
    world.auth(&old.token, "GET").await.unwrap();
    world.usage.flush().await.unwrap();
    let view = world.manager.view(alice()).await.unwrap();
    assert_eq!(view.primary.unwrap().last_used_at, None);
    assert_eq!(view.backup.unwrap().last_used_at, Some(START + Duration::from_secs(5)));
    // It belongs to the token, not to the slot.
    let guard = tower_api_token::manage::Guard::EvenIfInUse;
    world.manager.roll_back(&Actor::User, alice(), new.id, guard).await.unwrap();
    let primary = world.manager.view(alice()).await.unwrap().primary.unwrap();
    assert_eq!(primary.last_used_at, Some(START + Duration::from_secs(5)));
}

async fn a_list_is_complete_page_by_page(world: World) {
    let mut users: Vec<_> =
        (0..25).map(|number| UserId::new(format!("user-{number}")).unwrap()).collect();
    users.push(bob().clone());
    for user in &users {
        world.grant(user, &["GET"]).await;
    }
    world.manager.revoke_access(root(), bob()).await.unwrap();
    users.sort();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = world.manager.list(after.as_ref(), PageSize::clamped(10)).await.unwrap();
        assert!(page.items.len() <= 10);
        seen.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert!(seen.iter().map(|account| &account.user).eq(&users));
    let bobs = seen.iter().find(|account| account.user == *bob()).unwrap();
    assert!(bobs.methods.is_empty(), "those without access are listed too");
}

async fn a_history_is_complete_page_by_page(world: World) {
    for number in 0..25 {
        let methods = MethodSet::new([format!("M{number}")]).unwrap();
        world.manager.grant(root(), alice(), methods).await.unwrap();
    }
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let size = PageSize::clamped(10);
        let page = world.manager.history(alice(), before, size).await.unwrap();
        seen.extend(page.items);
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    let revisions = seen.iter().map(|entry| entry.revision);
    assert!(revisions.eq((1..=25).rev().map(Revision::from_u64)));
    let emitted: Vec<_> = world.log.entries().into_iter().rev().collect();
    assert_eq!(seen, emitted);
}
