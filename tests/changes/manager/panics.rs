//! A host's code that panics while it is told of a change.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tower_api_token::account::Slot;
use tower_api_token::audit::{AuditEntry, EventSink};
use tower_api_token::manage::{Delivery, ImportItem, ImportedToken, TokenManager};
use tower_api_token::method::MethodSet;
use tower_api_token::notify::{ConfirmationMessage, Notifier, NotifyError};
use tower_api_token::token::TokenScheme;
use tower_api_token::user::Actor;

use crate::manager::world::{World, alice, bob, root};

/// Counts its calls, and panics at each.
#[derive(Clone, Default)]
struct Panicking(Arc<AtomicUsize>);

impl Panicking {
    fn called(&self) -> ! {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic!("the host is not well");
    }
}

impl EventSink for Panicking {
    fn record(&self, _: &AuditEntry) {
        self.called();
    }

    fn account_erased(&self, _: &tower_api_token::audit::AccountErased) {
        self.called();
    }
}

#[async_trait]
impl Notifier for Panicking {
    async fn confirmation(&self, _: &ConfirmationMessage) -> Result<(), NotifyError> {
        tokio::task::yield_now().await;
        self.called();
    }

    async fn notice(&self, _: &AuditEntry) -> Result<(), NotifyError> {
        self.called();
    }
}

on_every_store!(
    a_sink_that_panics_holds_up_no_notice,
    a_notifier_that_panics_fails_to_send,
    a_panic_for_one_user_of_a_batch_holds_up_no_other,
);

async fn a_sink_that_panics_holds_up_no_notice(world: World) {
    let sink = Panicking::default();
    let events = sink.clone();
    let world = world.again(TokenScheme::default(), |builder| builder.events(events)).await;
    world.active().await;
    world.generate().await;
    world.manager.revoke_all(root(), alice()).await.unwrap();
    assert_eq!(world.post.notices.lock().unwrap().len(), 1);
    world.manager.erase(root(), alice()).await.unwrap();
    assert_eq!(sink.0.load(Ordering::SeqCst), 5);
}

async fn a_notifier_that_panics_fails_to_send(world: World) {
    let notifier = Panicking::default();
    let panics = notifier.clone();
    let manager = TokenManager::builder(Arc::clone(&world.store)).notifier(panics);
    let manager = manager.build().await.unwrap();
    world.active().await;
    let generated = manager.generate_primary(&Actor::User, alice()).await.unwrap();
    assert!(matches!(generated.delivery, Delivery::NotSent(_)), "{:?}", generated.delivery);
    manager.revoke_all(root(), alice()).await.unwrap();
    assert_eq!(notifier.0.load(Ordering::SeqCst), 2);
}

async fn a_panic_for_one_user_of_a_batch_holds_up_no_other(world: World) {
    let sink = Panicking::default();
    let events = sink.clone();
    let scheme = TokenScheme::default().accept_foreign_tokens(true);
    let world = world.again(scheme, |builder| builder.events(events)).await;
    let items = [alice(), bob()].map(|user| {
        let token = ImportedToken::Sha256([user.as_str().len() as u8; 32]);
        let mut item = ImportItem::new(user.clone(), Slot::Primary, token);
        item.methods = Some(MethodSet::new(["GET"]).unwrap());
        item
    });
    for imported in world.manager.import_many(root(), &items).await.unwrap() {
        imported.unwrap();
    }
    assert_eq!(sink.0.load(Ordering::SeqCst), 4, "each is granted methods and a token");
}
