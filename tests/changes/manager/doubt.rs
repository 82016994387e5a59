//! Changes whose outcome the store could not tell, and how long they are looked
//! for. The runtime's clock jumps wherever everybody waits.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tower_api_token::account::Slot;
use tower_api_token::audit::Event;
use tower_api_token::manage::{Confirmation, ImportItem, ImportedToken, TokenManager};
use tower_api_token::method::MethodSet;
use tower_api_token::store::{StoreErrorKind, WithTimeout};
use tower_api_token::user::{Actor, UserId};

use crate::manager::store::{Call, Fault};
use crate::manager::world::{World, alice, bob, root};

fn get() -> MethodSet {
    MethodSet::new(["GET"]).unwrap()
}

const UNAVAILABLE: Fault = Fault::Error(StoreErrorKind::Unavailable);

#[tokio::test(start_paused = true)]
async fn a_change_in_a_store_that_stays_unreadable_is_given_up() {
    let world = World::in_memory().await;
    world.active().await;
    world.store.plan(Call::Replace, Fault::LostAnswer);
    (0..10_000).for_each(|_| world.store.plan(Call::History, UNAVAILABLE));
    let began = Instant::now();
    world.manager.revoke_all(root(), alice()).await.unwrap_err();
    world.manager.idle().await;
    let took = began.elapsed().as_secs();
    assert!((590..660).contains(&took), "{took} s");
    assert_eq!(world.log.count(|event| matches!(event, Event::AllRevoked)), 0);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_cannot_be_read_holds_up_no_other_of_its_batch() {
    let world = World::in_memory().await.accepting_foreign().await;
    let item = |user: &UserId, number| {
        let token = ImportedToken::Sha256([number; 32]);
        let mut item = ImportItem::new(user.clone(), Slot::Primary, token);
        item.methods = Some(get());
        item
    };
    world.store.plan(Call::ReplaceMany, Fault::LostAnswer);
    world.store.plan(Call::History, Fault::Error(StoreErrorKind::Corrupt));
    world.manager.import_many(root(), &[item(alice(), 1), item(bob(), 2)]).await.unwrap_err();
    world.manager.idle().await;
    let told: Vec<_> = world.log.entries().into_iter().map(|entry| entry.user).collect();
    assert_eq!(told.first(), Some(bob()), "{told:?}");
    assert_eq!(told.last(), Some(alice()), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_never_begun_is_not_looked_for() {
    let world = World::in_memory().await;
    let store = Arc::new(WithTimeout::new(Arc::clone(&world.store)));
    let manager = async || {
        let builder = TokenManager::builder(Arc::clone(&store));
        builder.confirmation(Confirmation::ByCaller).build().await.unwrap()
    };
    let busy = manager().await;
    (0..256).for_each(|_| world.store.plan(Call::Replace, Fault::Hang));
    let writes = (0..256).map(|number| {
        let user = UserId::new(format!("user-{number}")).unwrap();
        let busy = busy.clone();
        async move { busy.grant(root(), &user, get()).await.unwrap_err() }
    });
    futures_util::future::join_all(writes).await;

    let late = manager().await;
    let error = late.grant(root(), alice(), get()).await.unwrap_err();
    let mut cause: &dyn Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    assert_eq!(cause.to_string(), "too many writes are under way, and it was not begun");
    let began = Instant::now();
    late.idle().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_code_that_is_dead_by_now_is_sent_to_nobody() {
    let world = World::in_memory().await;
    world.active().await;
    let manager = &world.manager;
    let in_doubt = async || {
        world.store.plan(Call::Replace, Fault::LostAnswer);
        world.store.plan(Call::History, UNAVAILABLE);
        manager.generate_primary(&Actor::User, alice()).await.unwrap_err();
    };
    in_doubt().await;
    let (new, _) = world.generate().await;
    manager.idle().await;
    let sent = || world.post.messages.lock().unwrap().last().map(|sent| sent.token);
    assert_eq!((world.post.count(), sent()), (1, Some(new.id)), "another is pending");

    in_doubt().await;
    world.pass(Duration::from_secs(600));
    manager.idle().await;
    assert_eq!(world.post.count(), 1, "it has expired");

    in_doubt().await;
    manager.idle().await;
    assert_eq!(world.post.count(), 2, "this one is alive");
    world.confirm(&world.post.last_code()).await;
}
