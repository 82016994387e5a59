//! With as many uses as there may be.

use std::sync::atomic::{AtomicBool, AtomicUsize};

use async_trait::async_trait;

use super::*;
use crate::account::{Account, LastUse, Revision};
use crate::audit::AuditEntry;
use crate::manage::{Confirmation, Delivery, Guard, TokenManager};
use crate::method::MethodSet;
use crate::rotation::RotationError;
use crate::store::{
    LastUses, Loaded, MemoryStore, Page, PageSize, Replacement, StoreErrorKind, TokenStore,
};
use crate::test_util::ManualClock;
use crate::token::TokenDigest;
use crate::user::UserId;

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// Notes uses of that many tokens of bob's.
fn note_many(usage: &UsageRecorder, count: usize) {
    let bob = user("bob");
    (0..count as u64).for_each(|id| usage.note(&bob, TokenId::from_u64(id), None, false));
}

/// Keeps no use, and how many uses had been noted when it was asked to; or, where
/// it takes them, how many at a time.
#[derive(Default)]
struct Refusing {
    noted: Arc<AtomicUsize>,
    noted_then: Arc<AtomicUsize>,
    taken: Option<Arc<Mutex<Vec<usize>>>>,
}

fn broken() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "being broken")
}

#[async_trait]
impl TokenStore for Refusing {
    async fn find(&self, _: &TokenDigest) -> Result<Option<Arc<Account>>, StoreError> {
        Err(broken())
    }
}

#[async_trait]
impl AccountStore for Refusing {
    async fn load(&self, _: &UserId) -> Result<Loaded, StoreError> {
        Err(broken())
    }

    async fn replace(&self, _: Replacement) -> Result<(), StoreError> {
        Err(broken())
    }

    async fn list(
        &self,
        _: Option<&UserId>,
        _: PageSize,
    ) -> Result<Page<Arc<Account>>, StoreError> {
        Err(broken())
    }

    async fn history(
        &self,
        _: &UserId,
        _: Option<Revision>,
        _: PageSize,
    ) -> Result<Page<AuditEntry, Revision>, StoreError> {
        Err(broken())
    }

    fn last_uses(&self) -> Option<&dyn LastUses> {
        Some(self)
    }
}

#[async_trait]
impl LastUses for Refusing {
    async fn record_usage(&self, batch: &[(UserId, LastUse)]) -> Result<(), StoreError> {
        if let Some(taken) = &self.taken {
            taken.lock().unwrap().push(batch.len());
            return Ok(());
        }
        self.noted_then.store(self.noted.load(Ordering::SeqCst), Ordering::SeqCst);
        Err(broken())
    }

    async fn usage(&self, _: &UserId) -> Result<Vec<LastUse>, StoreError> {
        Err(broken())
    }
}

/// While the batch is made, which takes long, another thread notes uses.
#[tokio::test]
async fn a_first_use_does_not_wait_for_the_batch_of_a_flush() {
    let (noted, noted_then) = (Arc::default(), Arc::default());
    let store = Refusing {
        noted: Arc::clone(&noted),
        noted_then: Arc::clone(&noted_then),
        ..Refusing::default()
    };
    let usage = UsageRecorder::new(store);
    note_many(&usage, CAPACITY / 2);
    let stop = Arc::new(AtomicBool::new(false));
    let noting = {
        let (usage, noted, stop) = (usage.clone(), Arc::clone(&noted), Arc::clone(&stop));
        std::thread::spawn(move || {
            let alice = user("alice");
            while !stop.load(Ordering::SeqCst) {
                let id = noted.fetch_add(1, Ordering::SeqCst) as u64 % 1_000;
                usage.note(&alice, TokenId::from_u64(id), None, false);
                // So that the flush does not wait for the lock for long.
                std::thread::sleep(std::time::Duration::from_micros(10));
            }
        })
    };
    let mut most = 0;
    for _ in 0..20 {
        let before = noted.load(Ordering::SeqCst);
        usage.flush().await.unwrap_err();
        most = most.max(noted_then.load(Ordering::SeqCst) - before);
        if most > 1_000 {
            break;
        }
    }
    stop.store(true, Ordering::SeqCst);
    noting.join().unwrap();
    assert!(most > 1_000, "at most {most} uses could be noted while a batch was made");
}

/// A token that may have been used when uses were left out counts as in use.
#[tokio::test]
async fn where_uses_were_left_out_the_guard_takes_every_token_for_used() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(1_767_225_600_000)));
    let store = Arc::new(MemoryStore::with_clock(Arc::clone(&clock)));
    let usage = UsageRecorder::with(Arc::clone(&store), Arc::clone(&clock), ());
    let manager = TokenManager::builder(store).usage(usage.clone());
    let manager = manager.confirmation(Confirmation::ByCaller).build().await.unwrap();
    let (owner, alice) = (&Actor::User, user("alice"));
    manager.grant(owner, &alice, MethodSet::new(["GET"]).unwrap()).await.unwrap();
    let old = manager.issue(owner, &alice).await.unwrap();
    let new = manager.generate_primary(owner, &alice).await.unwrap();
    let Delivery::ToCaller(code) = new.delivery else { panic!("{:?}", new.delivery) };
    manager.confirm(owner, &alice, &code).await.unwrap();

    let day = std::time::Duration::from_secs(86_401);
    clock.advance(day);
    note_many(&usage, CAPACITY);
    assert_eq!(usage.left_out(), None);
    usage.note(&alice, old.id, None, false);
    let left_out = Some(clock.now());
    assert_eq!(usage.left_out(), left_out);
    for _ in 0..2 {
        let delete = manager.delete_backup(owner, &alice, old.id, Guard::UnlessInUse);
        let in_use = RotationError::InUse { id: old.id, last_used_at: left_out };
        assert_eq!(delete.await.unwrap_err().refusal(), Some(in_use));
    }
    clock.advance(day);
    manager.delete_backup(owner, &alice, old.id, Guard::UnlessInUse).await.unwrap();
}

/// A store with a limit on its time would never take all of them at once.
#[tokio::test]
async fn many_uses_are_written_a_bounded_number_at_a_time() {
    let taken = Arc::default();
    let store = Refusing { taken: Some(Arc::clone(&taken)), ..Refusing::default() };
    let usage = UsageRecorder::new(store);
    note_many(&usage, 25_000);
    usage.flush().await.unwrap();
    assert_eq!(*taken.lock().unwrap(), [10_000, 10_000, 5_000]);
}
