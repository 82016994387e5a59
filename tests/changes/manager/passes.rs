//! A pass over what is due where something fails, where processes disagree, and what
//! is shown before it.

use std::sync::Arc;
use std::time::Duration;

use tower_api_token::account::{LastUse, Slot};
use tower_api_token::manage::{Confirmation, ImportItem, ImportedToken, ManageError, TokenManager};
use tower_api_token::method::MethodSet;
use tower_api_token::rotation::Policy;
use tower_api_token::store::{AccountStore, PageSize, StoreErrorKind};
use tower_api_token::token::{Token, TokenScheme};
use tower_api_token::user::{Actor, UserId};

use crate::manager::due::{DAY, limited, notices, pass, unused, with_policy};
use crate::manager::store::{Call, Fault};
use crate::manager::world::{START, World, alice, bob, is_waiting, root};

on_every_store!(
    an_account_that_cannot_be_read_holds_up_no_other,
    an_account_that_cannot_be_changed_holds_up_no_other,
    a_pass_writes_the_last_uses_once,
    what_another_policy_changes_is_due_as_the_host_says,
    of_two_policies_neither_goes_through_all_accounts_again_and_again,
    a_token_is_shown_as_live_that_was_used_before_it_would_end,
);

const MINUTE: Duration = Duration::from_secs(60);

/// The same for bob as for alice.
async fn bob_too(world: &World) -> Token {
    world.grant(bob(), &["GET"]).await;
    world.manager.issue(&Actor::User, bob()).await.unwrap().token
}

async fn an_account_that_cannot_be_read_holds_up_no_other(world: World) {
    world.active().await;
    bob_too(&world).await;
    let world = unused(world).await;
    world.store.damage(bob());
    world.pass(DAY * 60);
    assert_eq!(pass(&world).await, 1, "alice comes first");
    assert_eq!(notices(&world), [30]);
    world.pass(DAY * 23);
    assert_eq!(pass(&world).await, 1);
    assert_eq!(notices(&world), [30, 7]);
}

async fn an_account_that_cannot_be_changed_holds_up_no_other(world: World) {
    let world = unused(world).await;
    world.active().await;
    bob_too(&world).await;
    world.pass(DAY * 60);
    for _ in 0..64 {
        world.store.plan(Call::Replace, Fault::Error(StoreErrorKind::Conflict));
    }
    assert_eq!(pass(&world).await, 1);
    assert_eq!(world.account().await.primary().unwrap().expires_at, None, "others were faster");
    assert_eq!(pass(&world).await, 1);
    assert_eq!(notices(&world), [30, 30]);
    world.pass(DAY * 23);
    world.store.plan(Call::Replace, Fault::Error(StoreErrorKind::Refused));
    let away = world.manager.do_what_is_due().await.unwrap_err();
    assert!(matches!(away, ManageError::Store(error) if error.kind() == StoreErrorKind::Refused));
    assert_eq!(notices(&world), [30, 30], "the store as a whole refuses");
}

async fn a_pass_writes_the_last_uses_once(world: World) {
    let world = unused(world).await;
    let issued = world.active().await;
    let busy = bob_too(&world).await;
    for number in 0..10 {
        let user = UserId::new(format!("user-{number}")).unwrap();
        world.grant(&user, &["GET"]).await;
        world.manager.issue(&Actor::User, &user).await.unwrap();
    }
    world.pass(DAY * 60);
    for token in [&issued.token, &busy] {
        assert_eq!(world.auth(token, "GET").await, Ok(Slot::Primary));
    }
    world.store.take_calls(Call::RecordUsage);
    let mut pass = Box::pin(pass(&world));
    while is_waiting(&mut pass) {
        assert_eq!(world.auth(&busy, "GET").await, Ok(Slot::Primary));
    }
    assert_eq!(world.store.take_calls(Call::RecordUsage), 1);
    assert_eq!(notices(&world), [30; 10], "neither alice nor bob");
}

async fn what_another_policy_changes_is_due_as_the_host_says(world: World) {
    let world = unused(world).await;
    world.active().await;
    pass(&world).await;
    let builder = TokenManager::builder(Arc::clone(&world.store));
    let builder = builder.scheme(TokenScheme::default().accept_foreign_tokens(true));
    let other = builder.confirmation(Confirmation::ByCaller).build().await.unwrap();
    let methods = MethodSet::new(["PUT"]).unwrap();
    other.grant(root(), alice(), methods.clone()).await.unwrap();
    let token = ImportedToken::Sha256([7; 32]);
    let mut item = ImportItem::new(bob().clone(), Slot::Primary, token);
    item.methods = Some(methods);
    assert!(other.import_many(root(), &[item]).await.unwrap()[0].is_ok());
    assert_eq!(pass(&world).await, 0, "both are put off");
    world.pass(DAY * 60);
    assert_eq!(pass(&world).await, 2);
    assert_eq!(notices(&world), [30, 30]);
}

async fn of_two_policies_neither_goes_through_all_accounts_again_and_again(world: World) {
    let world = unused(world).await;
    world.active().await;
    let (one, store) = (world.manager.clone(), Arc::clone(&world.store));
    let other = limited(world, 90).await;
    assert_eq!(one.do_what_is_due().await.unwrap(), 0);
    assert_eq!(store.take_calls(Call::List), 1);
    let lists = async || {
        pass(&other).await;
        one.do_what_is_due().await.unwrap();
        store.take_calls(Call::List)
    };
    assert_eq!(lists().await, 1, "the other's");
    for _ in 1..60 {
        other.pass(MINUTE);
        assert_eq!(lists().await, 0);
    }
    other.pass(MINUTE);
    assert_eq!(lists().await, 1, "by the hour");
    let one_follows = store.due_accounts().unwrap().schedule().await.unwrap();
    other.pass(MINUTE);
    assert_eq!(lists().await, 1);
    assert_ne!(store.due_accounts().unwrap().schedule().await.unwrap(), one_follows);
}

async fn a_token_is_shown_as_live_that_was_used_before_it_would_end(world: World) {
    let world = unused(world).await;
    let issued = world.active().await;
    world.pass(DAY * 60);
    pass(&world).await;
    world.pass(DAY * 31);
    let shown = async |world: &World| {
        let view = world.manager.view(alice()).await.unwrap();
        let summary = world.manager.summary(alice()).await.unwrap().unwrap();
        let list = world.manager.list(None, PageSize::MAX).await.unwrap().items;
        assert_eq!(list, std::slice::from_ref(&summary));
        let expired: Vec<_> = view.expired.iter().map(|token| token.id).collect();
        assert_eq!((summary.expired, summary.primary), (expired, view.primary.map(|it| it.id)));
        summary.primary
    };
    assert_eq!(shown(&world).await, None, "nobody has used it");
    let used = LastUse::new(issued.id, START + DAY * 65, None);
    let uses = world.store.last_uses().unwrap();
    uses.record_usage(&[(alice().clone(), used)]).await.unwrap();
    assert_eq!(shown(&world).await, Some(issued.id));
    assert_eq!(world.manager.view(alice()).await.unwrap().expired, []);
    let world = with_policy(world, Policy::default()).await;
    assert_eq!(shown(&world).await, Some(issued.id), "it may live unused");
    assert_eq!(world.manager.view(alice()).await.unwrap().expired, []);
}
