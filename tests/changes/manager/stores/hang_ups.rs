//! Callers that hang up half-way, and answers that come too late: whatever the
//! history has, the sink and the user have heard of, once.
//!
//! Each test makes a thousand changes of every kind, for a user each, and drops
//! their futures in one of the places where futures are dropped.

mod kinds;
mod places;
mod restless;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::StreamExt;
use tower_api_token::audit::{AuditEntry, Event};
use tower_api_token::manage::{Confirmation, TokenManager};
use tower_api_token::rotation::Policy;
use tower_api_token::sealing::SealingKey;
use tower_api_token::store::{AccountStore, PageSize};
use tower_api_token::token::TokenScheme;
use tower_api_token::user::UserId;

use self::kinds::{Kind, Prepared};
use self::places::Place;
use crate::manager::stores;
use crate::manager::world::{Log, Post, Postman, Recorder, in_time};

/// How many changes each test makes.
const CHANGES: u64 = 1_000;

/// How many of them are under way at once.
const AT_ONCE: usize = 16;

/// Makes a test of every place for each kind of store.
macro_rules! in_every_place {
    ($($store:ident: $opened:expr;)+) => {
        $(
            mod $store {
                use super::*;

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn what_follows_a_change_outlives_the_future_of_the_manager() {
                    in_time(all_are_told(Place::Manager, $opened.await)).await;
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn what_follows_a_change_outlives_the_handler_of_the_portal() {
                    in_time(all_are_told(Place::Portal, $opened.await)).await;
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn what_follows_a_change_outlives_a_timeout_layer_in_front() {
                    in_time(all_are_told(Place::TimeoutLayer, $opened.await)).await;
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn a_change_that_commits_after_its_timeout_is_told_of() {
                    in_time(all_are_told(Place::WithTimeout, $opened.await)).await;
                }
            }
        )+
    };
}

in_every_place! {
    on_memory: stores::memory();
    on_sqlite: stores::sqlite();
    on_postgres: stores::postgres();
    on_redis: stores::redis();
}

/// One manager that prepares and tells nobody, and one whose callers hang up.
struct World {
    place: Place,
    store: Arc<dyn AccountStore>,
    quiet: TokenManager,
    manager: TokenManager,
    post: Arc<Post>,
    log: Arc<Log>,
}

impl World {
    async fn new(place: Place, store: Arc<dyn AccountStore>) -> Self {
        let (post, log) = (Arc::new(Post::default()), Arc::new(Log::default()));
        let key = || SealingKey::new(1, b"a key of exactly thirty-two byte").unwrap();
        let policy = Policy::default().resend_interval(std::time::Duration::ZERO).unwrap();
        let foreign = || TokenScheme::default().accept_foreign_tokens(true);
        let quiet = TokenManager::builder(Arc::clone(&store))
            .scheme(foreign())
            .policy(policy.clone())
            .confirmation(Confirmation::ByCaller)
            .sealer(key());
        let manager = TokenManager::builder(place.around(&store))
            .scheme(foreign())
            .policy(policy)
            .notifier(Postman(Arc::clone(&post)))
            .events(Recorder(Arc::clone(&log)))
            .sealer(key());
        let (quiet, manager) = (quiet.build().await.unwrap(), manager.build().await.unwrap());
        Self { place, store, quiet, manager, post, log }
    }

    /// One change, perhaps of a caller who hangs up; whether the caller was there
    /// to its end.
    async fn change(&self, number: u64) -> (Prepared, bool) {
        let kinds = self.place.kinds();
        let kind = kinds[number as usize % kinds.len()];
        let user = UserId::new(format!("user-{number}")).unwrap();
        let prepared = Prepared::new(kind, user, &self.quiet).await;
        let ended = self.place.make(&self.manager, &prepared, number).await;
        (prepared, ended)
    }

    /// What has come into the history of the user after the preparations.
    async fn history(&self, prepared: &Prepared) -> Vec<AuditEntry> {
        let page = self.store.history(&prepared.user, None, PageSize::MAX).await.unwrap();
        let new = page.items.into_iter().rev();
        new.filter(|entry| entry.revision > prepared.revision).collect()
    }

    /// Whether the account is gone.
    async fn is_erased(&self, prepared: &Prepared) -> bool {
        let loaded = self.store.load(&prepared.user).await.unwrap();
        prepared.kind == Kind::Erase && loaded.account.is_none()
    }

    /// The events that users are told of when nobody hangs up.
    async fn notable(&self) -> HashSet<&'static str> {
        for (number, kind) in Kind::ALL.into_iter().enumerate() {
            let user = UserId::new(format!("calm-{number}")).unwrap();
            let prepared = Prepared::new(kind, user, &self.quiet).await;
            prepared.make(self.manager.clone()).await;
        }
        self.manager.idle().await;
        let notices = self.post.notices.lock().unwrap();
        notices.iter().map(|notice| notice.event.name()).collect()
    }
}

async fn all_are_told(place: Place, (store, _kept): stores::Opened) {
    let notable = World::new(Place::Manager, Arc::clone(&store)).await.notable().await;
    assert!(notable.contains("backup_deleted") && notable.contains("all_revoked"));
    let world = World::new(place, store).await;
    let changes = futures_util::stream::iter(0..CHANGES).map(|number| world.change(number));
    let users: Vec<_> = changes.buffer_unordered(AT_ONCE).collect().await;
    world.manager.idle().await;

    let told = by_user(world.log.entries().into_iter().map(|entry| (entry.user.clone(), entry)));
    let notices = world.post.notices.lock().unwrap().clone();
    let notices = by_user(notices.into_iter().map(|notice| (notice.user, notice.event)));
    let messages = world.post.messages.lock().unwrap().clone();
    let messages = by_user(messages.into_iter().map(|message| (message.user, message.token)));
    let (mut made, mut unwitnessed, mut erased) = (0, 0, 0);
    for (prepared, ended) in &users {
        erased += usize::from(world.is_erased(prepared).await);
        let history = world.history(prepared).await;
        made += usize::from(!history.is_empty());
        unwitnessed += usize::from(!history.is_empty() && !ended);
        let (user, kind) = (&prepared.user, prepared.kind);
        let mut told = told.get(user).cloned().unwrap_or_default();
        if kind == Kind::ImportMany {
            // Of two rows that are tried alone, one in doubt is told of after the other.
            told.sort_by_key(|entry| entry.revision);
        }
        assert_eq!(told, history, "{kind:?}: the sink");
        let events = history.into_iter().map(|entry| entry.event);
        let (codes, events): (Vec<_>, Vec<_>) = events.partition(brings_a_code);
        let codes: Vec<_> = codes.iter().filter_map(Event::token).collect();
        assert_eq!(messages.get(user).cloned().unwrap_or_default(), codes, "{kind:?}: the code");
        let events: Vec<_> =
            events.into_iter().filter(|event| notable.contains(event.name())).collect();
        assert_eq!(notices.get(user).cloned().unwrap_or_default(), events, "{kind:?}: the notice");
    }
    assert_eq!(world.log.erased().len(), erased, "the sink hears of each erased account");
    assert!(
        erased > 0 && made > 100 && unwitnessed > 0,
        "{made} made, {unwitnessed} of them for nobody"
    );
}

const fn brings_a_code(event: &Event) -> bool {
    matches!(event, Event::PrimaryGenerated { .. } | Event::ConfirmationResent { .. })
}

fn by_user<T>(all: impl Iterator<Item = (UserId, T)>) -> HashMap<UserId, Vec<T>> {
    let mut by_user: HashMap<_, Vec<_>> = HashMap::new();
    for (user, one) in all {
        by_user.entry(user).or_default().push(one);
    }
    by_user
}
