//! Delivery of the audit log: to receivers that fail, hang and stay away, by nodes that
//! come and go.

#[cfg(feature = "sqlite")]
mod unreadable;
#[cfg(feature = "webhook")]
mod webhooks;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tower_api_token::audit::AuditEntry;
use tower_api_token::audit::Event;
use tower_api_token::delivery::{DeliveryError, Receiver};
use tower_api_token::manage::{Confirmation, TokenManager};
use tower_api_token::method::MethodSet;
use tower_api_token::notify::{ConfirmationMessage, Notifier, NotifyError};
use tower_api_token::store::{AccountStore, AuditItem, AuditPosition, MemoryStore};
use tower_api_token::user::{Actor, UserId};
use tower_api_token::{ConfigError, Tokens, TokensBuilder};

const LEASE: Duration = Duration::from_millis(600);
const POLL: Duration = Duration::from_millis(20);

/// What came, in order: whose, and at which revision. Erasures have no user.
type Came = Vec<(String, u64)>;

/// A receiver that does with each attempt what it is told.
struct Scripted<F> {
    came: Mutex<Came>,
    attempts: Mutex<BTreeMap<AuditPosition, u32>>,
    outcome: F,
}

impl<F> Scripted<F> {
    fn new(outcome: F) -> Arc<Self> {
        Arc::new(Self { came: Mutex::default(), attempts: Mutex::default(), outcome })
    }

    fn came(&self) -> Came {
        self.came.lock().unwrap().clone()
    }
}

#[async_trait]
impl<F> Receiver for Scripted<F>
where
    F: Fn(u32, &str) -> Result<(), DeliveryError> + Send + Sync + 'static,
{
    async fn receive(&self, at: AuditPosition, item: &AuditItem) -> Result<(), DeliveryError> {
        let attempt = {
            let mut attempts = self.attempts.lock().unwrap();
            let attempt = attempts.entry(at).or_insert(0);
            *attempt += 1;
            *attempt
        };
        let (user, revision) = match item {
            AuditItem::Entry(entry) => (entry.user.to_string(), entry.revision.as_u64()),
            _ => (String::new(), 0),
        };
        (self.outcome)(attempt, &user)?;
        self.came.lock().unwrap().push((user, revision));
        Ok(())
    }
}

fn builder(store: &Arc<MemoryStore>) -> TokensBuilder {
    let builder = Tokens::builder(Arc::clone(store)).confirmation(Confirmation::ByCaller);
    builder.delivery_times(LEASE, POLL)
}

async fn started(store: &Arc<MemoryStore>, receiver: impl Receiver) -> Tokens {
    let tokens = builder(store).deliver_to("test", receiver).build().await.unwrap();
    tokens.start();
    // Its cursor is at the end of the log from now on.
    let log = store.audit_log().unwrap();
    while log.audit_cursors().await.unwrap().is_empty() {
        tokio::time::sleep(POLL).await;
    }
    tokens
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// Changes `name`'s methods so often, each time to others.
async fn change(manager: &TokenManager, name: &str, times: usize) {
    let root = Actor::administrator("root").unwrap();
    for time in 0..times {
        let method = if time % 2 == 0 { "GET" } else { "PUT" };
        let methods = MethodSet::new([method]).unwrap();
        manager.grant(&root, &user(name), methods).await.unwrap();
    }
}

async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let waits = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waits).await.expect(what);
}

/// That each user's entries came in order, as first seen.
fn assert_in_order(came: &Came) {
    let mut last = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (user, revision) in came.iter().filter(|entry| seen.insert((*entry).clone())) {
        let before = last.insert(user.clone(), *revision).unwrap_or_default();
        assert!(before < *revision, "{user}: {revision} after {before}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_entry_comes_in_the_order_of_its_user_although_each_fails_first() {
    let store = Arc::new(MemoryStore::new());
    let receiver = Scripted::new(|attempt, _: &str| match attempt {
        1 => Err(DeliveryError::later("not yet")),
        _ => Ok(()),
    });
    let tokens = started(&store, Arc::clone(&receiver)).await;
    for name in ["alice", "bob", "carol"] {
        change(&tokens.manager(), name, 3).await;
    }
    eventually("all nine", || receiver.came().len() == 9).await;
    assert_in_order(&receiver.came());
    tokens.close().await.unwrap();
    let attempts = receiver.attempts.lock().unwrap();
    assert!(attempts.values().all(|attempts| *attempts == 2), "one repetition for one failure");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_is_never_taken_holds_up_its_user_alone() {
    let store = Arc::new(MemoryStore::new());
    let receiver = Scripted::new(|_, user: &str| match user {
        "alice" => Err(DeliveryError::later("her mailbox is full")),
        _ => Ok(()),
    });
    let tokens = started(&store, Arc::clone(&receiver)).await;
    change(&tokens.manager(), "alice", 3).await;
    // More than may be kept as done one by one.
    for number in 0..400 {
        change(&tokens.manager(), &format!("user {number}"), 2).await;
    }
    eventually("everybody else's", || receiver.came().len() == 800).await;
    tokens.close().await.unwrap();
    // What was done behind her entries is known to whoever goes on.
    let next = Scripted::new(|_, _: &str| Ok(()));
    let tokens = started(&store, Arc::clone(&next)).await;
    eventually("hers", || next.came().len() == 3).await;
    tokio::time::sleep(POLL * 10).await;
    tokens.close().await.unwrap();
    assert_eq!(next.came(), (1..=3).map(|at| ("alice".to_owned(), at)).collect::<Came>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_will_never_be_taken_is_left_out() {
    let store = Arc::new(MemoryStore::new());
    let receiver = Scripted::new(|_, user: &str| match user {
        "alice" => Err(DeliveryError::never("she has no address")),
        _ => Ok(()),
    });
    let tokens = started(&store, Arc::clone(&receiver)).await;
    change(&tokens.manager(), "alice", 2).await;
    change(&tokens.manager(), "bob", 2).await;
    eventually("bob's", || receiver.came().len() == 2).await;
    tokens.close().await.unwrap();
    let log = store.audit_log().unwrap();
    let cursor = log.audit_cursors().await.unwrap().remove(0);
    assert_eq!(cursor.position, log.audit_end().await.unwrap(), "nothing is left to deliver");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_delivers_and_another_goes_on_when_it_stops() {
    let store = Arc::new(MemoryStore::new());
    let receivers = [(); 2].map(|()| Scripted::new(|_, _: &str| Ok(())));
    let first = started(&store, Arc::clone(&receivers[0])).await;
    let second = started(&store, Arc::clone(&receivers[1])).await;
    change(&second.manager(), "alice", 4).await;
    eventually("by the first", || receivers[0].came().len() == 4).await;
    first.close().await.unwrap();
    change(&second.manager(), "bob", 4).await;
    eventually("by the second", || receivers[1].came().len() == 4).await;
    second.close().await.unwrap();
    assert_eq!(receivers[0].came().len(), 4, "nothing came twice");
}

/// Takes each entry a while after it has come.
struct Slow(Arc<Mutex<Vec<AuditPosition>>>);

#[async_trait]
impl Receiver for Slow {
    async fn receive(&self, at: AuditPosition, _: &AuditItem) -> Result<(), DeliveryError> {
        self.0.lock().unwrap().push(at);
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_at_an_orderly_stop_does_not_come_twice() {
    let store = Arc::new(MemoryStore::new());
    let came = Arc::new(Mutex::new(Vec::new()));
    let first = started(&store, Slow(Arc::clone(&came))).await;
    for name in ["alice", "bob", "carol"] {
        change(&first.manager(), name, 1).await;
    }
    eventually("the first", || !came.lock().unwrap().is_empty()).await;
    first.close().await.unwrap();
    let second = started(&store, Slow(Arc::clone(&came))).await;
    change(&second.manager(), "dora", 1).await;
    eventually("all four", || came.lock().unwrap().len() >= 4).await;
    second.close().await.unwrap();
    let came = came.lock().unwrap();
    assert_eq!(came.iter().collect::<BTreeSet<_>>().len(), came.len(), "{came:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_while_nobody_delivers_comes_later() {
    let store = Arc::new(MemoryStore::new());
    let receiver = Scripted::new(|_, _: &str| Ok(()));
    let tokens = started(&store, Arc::clone(&receiver)).await;
    tokens.close().await.unwrap();
    change(&tokens.manager(), "alice", 5).await;
    let root = Actor::administrator("root").unwrap();
    tokens.manager().grant(&root, &user("bob"), MethodSet::new(["GET"]).unwrap()).await.unwrap();
    tokens.manager().erase(&root, &user("bob")).await.unwrap();
    assert_eq!(receiver.came().len(), 0);
    tokens.start();
    eventually("all of alice, and the erasure", || receiver.came().len() == 6).await;
    assert!(receiver.came().contains(&(String::new(), 0)), "it names nobody");
    tokens.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_panics_is_tried_again() {
    let store = Arc::new(MemoryStore::new());
    let receiver = Scripted::new(|attempt, _: &str| {
        assert!(attempt > 1, "the first attempt panics");
        Ok(())
    });
    let tokens = started(&store, Arc::clone(&receiver)).await;
    change(&tokens.manager(), "alice", 1).await;
    eventually("the second time", || receiver.came().len() == 1).await;
    tokens.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_erased_is_named_to_nobody_again() {
    let store = Arc::new(MemoryStore::new());
    let receiver = Scripted::new(|_, user: &str| match user {
        "alice" => Err(DeliveryError::later("not now")),
        _ => Ok(()),
    });
    let tokens = started(&store, Arc::clone(&receiver)).await;
    change(&tokens.manager(), "alice", 1).await;
    let attempts = || receiver.attempts.lock().unwrap().values().sum::<u32>();
    eventually("a first attempt", || attempts() == 1).await;
    let root = Actor::administrator("root").unwrap();
    tokens.manager().erase(&root, &user("alice")).await.unwrap();
    eventually("her erasure", || receiver.came() == [(String::new(), 0)]).await;
    let before = attempts();
    // The next attempt is due a second after the first, or two after the second.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    tokens.close().await.unwrap();
    assert_eq!(attempts(), before, "none of hers once she was erased");
    let log = store.audit_log().unwrap();
    let cursor = log.audit_cursors().await.unwrap().remove(0);
    assert_eq!(cursor.position, log.audit_end().await.unwrap(), "nothing is left to deliver");
}

/// Panics when it is asked whether it wants something.
struct Moody(Arc<Mutex<u32>>);

#[async_trait]
impl Receiver for Moody {
    fn wants(&self, _: &AuditItem) -> bool {
        panic!("of a moment")
    }

    async fn receive(&self, _: AuditPosition, _: &AuditItem) -> Result<(), DeliveryError> {
        *self.0.lock().unwrap() += 1;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_panics_at_the_question_gets_the_entry() {
    let store = Arc::new(MemoryStore::new());
    let came = Arc::new(Mutex::new(0));
    let tokens = started(&store, Moody(Arc::clone(&came))).await;
    change(&tokens.manager(), "alice", 3).await;
    eventually("all three", || *came.lock().unwrap() == 3).await;
    tokens.close().await.unwrap();
}

/// Counts the notices of each event.
#[derive(Default)]
struct Mailbox(Mutex<Vec<&'static str>>);

struct ByMail(Arc<Mailbox>);

#[async_trait]
impl Notifier for ByMail {
    async fn confirmation(&self, _: &ConfirmationMessage) -> Result<(), NotifyError> {
        Ok(())
    }

    async fn notice(&self, entry: &AuditEntry) -> Result<(), NotifyError> {
        self.0.0.lock().unwrap().push(entry.event.name());
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notices_are_delivered_once_and_also_those_of_a_node_that_does_not_deliver() {
    let store = Arc::new(MemoryStore::new());
    let mailbox = Arc::new(Mailbox::default());
    let tokens = builder(&store).notifier(ByMail(Arc::clone(&mailbox))).build().await.unwrap();
    tokens.start();
    eventually("a cursor", || {
        let cursors =
            futures_util::FutureExt::now_or_never(store.audit_log().unwrap().audit_cursors());
        cursors.is_some_and(|cursors| !cursors.unwrap().is_empty())
    })
    .await;
    // The node learns of it a moment later, and gives notices itself until then.
    tokio::time::sleep(POLL).await;
    let root = Actor::administrator("root").unwrap();
    let elsewhere = builder(&store).notifier(ByMail(Arc::clone(&mailbox))).build().await.unwrap();
    for manager in [tokens.manager(), elsewhere.manager()] {
        change(&manager, "alice", 2).await;
        manager.issue(&root, &user("alice")).await.unwrap();
        manager.revoke_all(&root, &user("alice")).await.unwrap();
    }
    let expected = ["token_issued", "all_revoked", "token_issued", "all_revoked"];
    eventually("each notice", || mailbox.0.lock().unwrap().len() >= expected.len()).await;
    tokio::time::sleep(POLL * 10).await;
    tokens.close().await.unwrap();
    assert_eq!(*mailbox.0.lock().unwrap(), expected);
    assert!(!expected.contains(&Event::AccessRevoked.name()));
}

/// On one thread nothing has been delivered, and there is no cursor yet.
#[tokio::test]
async fn a_change_right_after_the_start_is_told() {
    let (store, mailbox) = (Arc::new(MemoryStore::new()), Arc::new(Mailbox::default()));
    let tokens = builder(&store).notifier(ByMail(Arc::clone(&mailbox))).build().await.unwrap();
    tokens.start();
    let root = Actor::administrator("root").unwrap();
    change(&tokens.manager(), "alice", 1).await;
    tokens.manager().issue(&root, &user("alice")).await.unwrap();
    tokens.manager().revoke_access(&root, &user("alice")).await.unwrap();
    let told = |name| mailbox.0.lock().unwrap().contains(&name);
    eventually("both", || told("token_issued") && told("access_revoked")).await;
    tokens.close().await.unwrap();
}

#[tokio::test]
async fn each_receiver_has_a_name_of_its_own() {
    let store = Arc::new(MemoryStore::new());
    let receiver = || Scripted::new(|_, _: &str| Ok(()));
    for names in [["a", "a"], ["notices", "b"], ["", "b"], [&"a".repeat(256), "b"]] {
        let builder = names
            .into_iter()
            .fold(builder(&store), |builder, name| builder.deliver_to(name, receiver()));
        let error = builder.build().await.unwrap_err();
        let is_refused = matches!(
            error,
            tower_api_token::manage::ManageError::Config(ConfigError::ReceiverName)
        );
        assert!(is_refused, "{names:?}: {error}");
    }
}
