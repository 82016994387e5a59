//! A user who rotates a token again and again by the procedure, and a client
//! that uses it all the time, while the store breaks and comes back. What is
//! violated is named by the invariants of `tests/adversarial`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::Request;
use tokio::sync::{Mutex, watch};
use tokio::task::{JoinHandle, block_in_place};
use tower_api_token::TokenManager;
use tower_api_token::account::{Account, Revision, Slot};
use tower_api_token::authenticate::Authenticator;
use tower_api_token::denial::DenialKind;
use tower_api_token::manage::{Confirmation, Delivery, Guard, ManageError};
use tower_api_token::method::MethodSet;
use tower_api_token::store::{AccountStore, PageSize, TokenStore};
use tower_api_token::token::{ConfirmationCode, Token, TokenId};
use tower_api_token::user::{Actor, UserId};

const PATIENCE: Duration = Duration::from_secs(120);

/// What became of the client's requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests {
    pub(crate) served: usize,
    /// Answered 503: allowed while the store is down.
    pub(crate) unavailable: usize,
    /// What must not happen.
    pub(crate) violations: Vec<String>,
}

/// The tokens that the client has been shown.
#[derive(Default)]
struct Tokens {
    in_use: String,
    /// Not known to work yet.
    newest: Option<String>,
    /// Generated, and nobody has tried to confirm it.
    pending: Option<String>,
    /// Deleted, and when the deletion was acknowledged.
    gone: Option<(String, Instant)>,
}

pub(crate) struct Client {
    authenticator: Authenticator,
    /// For how long a node may go by what was.
    bound: Duration,
    tokens: Mutex<Tokens>,
    served: AtomicUsize,
    stopped: AtomicBool,
}

impl Client {
    fn new(store: impl TokenStore, bound: Duration, token: &Token) -> Self {
        let in_use = token.expose_secret().to_owned();
        let tokens = Mutex::new(Tokens { in_use, ..Tokens::default() });
        let authenticator = Authenticator::new(store);
        let (served, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { authenticator, bound, tokens, served, stopped }
    }

    async fn attempt(&self, token: &str) -> Result<Slot, DenialKind> {
        let request = Request::get("/").header("authorization", format!("Bearer {token}"));
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        let decision = self.authenticator.authenticate(&mut head).await;
        let identity = decision.map_err(|denial| denial.kind())?;
        Ok(identity.expect("a token was sent").slot())
    }

    /// Makes requests until it is stopped.
    async fn run(self: Arc<Self>) -> Requests {
        let mut requests = Requests::default();
        while !self.stopped.load(Ordering::Relaxed) {
            // Held over the requests: the owner deletes a backup only after the
            // client has stopped using it.
            let tokens = self.tokens.lock().await;
            match self.attempt(&tokens.in_use).await {
                Ok(_) => requests.served = self.served.fetch_add(1, Ordering::Relaxed) + 1,
                Err(DenialKind::StoreUnavailable) => requests.unavailable += 1,
                Err(refused) => requests.violations.push(format!("I1: {refused:?}")),
            }
            let gone = tokens.gone.as_ref();
            let gone = gone.filter(|(_, since)| since.elapsed() > self.bound).map(|(gone, _)| gone);
            for (token, broken) in [(tokens.pending.as_ref(), "I5"), (gone, "I8")] {
                let Some(token) = token else { continue };
                match self.attempt(token).await {
                    Err(DenialKind::StoreUnavailable | DenialKind::InvalidToken) => {}
                    other => requests.violations.push(format!("{broken}: {other:?}")),
                }
            }
            drop(tokens);
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        requests
    }

    /// Must come to use the primary. That its former token is called so does
    /// not count: a node may go by what was.
    async fn switch(&self) {
        let end = Instant::now() + PATIENCE;
        loop {
            let mut tokens = self.tokens.lock().await;
            if let Some(newest) = tokens.newest.clone()
                && self.attempt(&newest).await.is_ok()
            {
                tokens.in_use = newest;
                tokens.newest = None;
            }
            let slot = self.attempt(&tokens.in_use).await;
            if tokens.newest.is_none() && slot == Ok(Slot::Primary) {
                return;
            }
            drop(tokens);
            assert!(Instant::now() < end, "the client's token is not the primary: {slot:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// How far the owner has come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    /// Operations that were begun.
    pub(crate) begun: usize,
    /// Operations that were acknowledged.
    pub(crate) done: usize,
    /// Operations whose outcome the store could not tell.
    pub(crate) unknown: usize,
    /// How long an acknowledged operation took, averaged.
    pub(crate) usual: Duration,
}

impl Progress {
    fn ended(&self) -> usize {
        self.done + self.unknown
    }
}

/// A user whose tokens are rotated by a task until it is told to stop.
pub(crate) struct Rotation {
    pub(crate) progress: watch::Receiver<Progress>,
    stop: Arc<AtomicBool>,
    owner: JoinHandle<()>,
    client: Arc<Client>,
    requests: JoinHandle<Requests>,
}

impl Rotation {
    /// Alice changes her tokens through one node, and her client uses them on
    /// another, which may go by what was for as long as `bound`.
    pub(crate) async fn start(
        store: Arc<dyn AccountStore>,
        other: impl TokenStore,
        bound: Duration,
    ) -> Self {
        let builder = TokenManager::builder(Arc::clone(&store));
        let manager = builder.confirmation(Confirmation::ByCaller).build().await.unwrap();
        let (actor, alice) = (Actor::User, UserId::new("alice").unwrap());
        manager.grant(&actor, &alice, MethodSet::new(["GET"]).unwrap()).await.unwrap();
        let issued = manager.issue(&actor, &alice).await.unwrap();
        let client = Arc::new(Client::new(other, bound, &issued.token));
        let requests = tokio::spawn(Arc::clone(&client).run());
        let (sender, progress) = watch::channel(Progress::default());
        let stop = Arc::new(AtomicBool::new(false));
        let owner = Owner {
            store,
            manager,
            alice,
            client: Arc::clone(&client),
            tokens: HashMap::from([(issued.id, issued.token)]),
            codes: HashMap::new(),
            progress: sender,
            began: Instant::now(),
            expected: Expected::Revision(Revision::from_u64(2)),
        };
        let owner = tokio::spawn(owner.run(Arc::clone(&stop)));
        Self { progress, stop, owner, client, requests }
    }

    /// Waits until that many more operations are acknowledged.
    pub(crate) async fn done(&mut self, more: usize) {
        let goal = self.progress.borrow().done + more;
        let reached = self.progress.wait_for(|progress| progress.done >= goal);
        tokio::time::timeout(PATIENCE, reached).await.expect("operations go on").unwrap();
    }

    /// Waits until the client has been served that many more requests.
    pub(crate) async fn served(&self, more: usize) {
        let served = || self.client.served.load(Ordering::Relaxed);
        let (goal, end) = (served() + more, Instant::now() + PATIENCE);
        while served() < goal {
            assert!(Instant::now() < end, "the client is served no more");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Calls `kill` some time into an operation (`part` of how long one usually
    /// takes), and tells whether the operation was cut off by it.
    pub(crate) async fn cut_off(&mut self, part: f64, kill: impl FnOnce()) -> bool {
        let begun = self.progress.borrow_and_update().begun;
        let next = self.progress.wait_for(|progress| progress.begun > begun);
        let Progress { begun, unknown, usual, .. } = *next.await.unwrap();
        block_in_place(|| {
            std::thread::sleep(usual.mul_f64(part));
            kill();
        });
        let ended = self.progress.wait_for(|progress| progress.ended() >= begun);
        let ended = tokio::time::timeout(PATIENCE, ended).await;
        ended.expect("the operation ends").unwrap().unknown > unknown
    }

    /// Ends both, the owner after a last look at the account.
    pub(crate) async fn stop(self) -> Requests {
        self.stop.store(true, Ordering::Relaxed);
        self.owner.await.expect("the owner found everything as it should be");
        self.client.stopped.store(true, Ordering::Relaxed);
        self.requests.await.expect("the client's requests")
    }
}

/// What the account must be like.
enum Expected {
    /// The last operation was acknowledged.
    Revision(Revision),
    /// The last operation was of that kind, and may have been made.
    Perhaps(Revision, &'static str),
}

struct Owner {
    store: Arc<dyn AccountStore>,
    manager: TokenManager,
    alice: UserId,
    client: Arc<Client>,
    tokens: HashMap<TokenId, Token>,
    codes: HashMap<TokenId, ConfirmationCode>,
    progress: watch::Sender<Progress>,
    began: Instant,
    expected: Expected,
}

impl Owner {
    async fn run(mut self, stop: Arc<AtomicBool>) {
        while !stop.load(Ordering::Relaxed) {
            let account = self.look().await;
            self.next_step(&account).await;
        }
        let account = self.look().await;
        let history = self.store.history(&self.alice, None, PageSize::MAX).await.unwrap();
        let revisions: Vec<_> = history.items.iter().map(|entry| entry.revision.as_u64()).collect();
        let all: Vec<_> = (1..=account.revision().as_u64()).rev().take(1_000).collect();
        assert_eq!(revisions, all, "the history has each change once");
    }

    /// The account as soon as the store answers, which must be what was
    /// acknowledged (I6).
    async fn look(&self) -> Arc<Account> {
        let end = Instant::now() + PATIENCE;
        let account = loop {
            match self.store.load(&self.alice).await {
                Ok(loaded) => break loaded.account.expect("her account is there"),
                Err(error) => assert!(Instant::now() < end, "the store is gone: {error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        match self.expected {
            Expected::Revision(revision) => assert_eq!(account.revision(), revision, "lost"),
            Expected::Perhaps(before, kind) if account.revision() != before => {
                assert_eq!(account.revision().as_u64(), before.as_u64() + 1, "{kind}");
                self.was_made(kind, end).await;
            }
            Expected::Perhaps(..) => {}
        }
        assert!(account.primary().is_some(), "I3");
        account
    }

    async fn was_made(&self, kind: &str, end: Instant) {
        loop {
            match self.store.history(&self.alice, None, PageSize::clamped(1)).await {
                Ok(page) => return assert_eq!(page.items[0].event.name(), kind),
                Err(error) => assert!(Instant::now() < end, "the store is gone: {error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn next_step(&mut self, account: &Account) {
        let pending = account.pending().map(|pending| pending.token.id);
        let code = pending.and_then(|id| self.codes.get(&id).cloned());
        match (account.backup().map(|backup| backup.id), code) {
            (Some(backup), _) => self.delete(account, backup).await,
            (None, Some(code)) => self.confirm(account, &code).await,
            (None, None) => self.generate(account).await,
        }
    }

    async fn generate(&mut self, account: &Account) {
        self.begin();
        let (manager, alice) = (self.manager.clone(), self.alice.clone());
        let generated = manager.generate_primary(&Actor::User, &alice).await;
        if let Ok(generated) = &generated {
            let Delivery::ToCaller(code) = &generated.delivery else {
                panic!("the code comes back")
            };
            self.codes.insert(generated.id, code.clone());
            let secret = generated.token.expose_secret().to_owned();
            self.tokens.insert(generated.id, generated.token.clone());
            let mut tokens = self.client.tokens.lock().await;
            tokens.newest = Some(secret.clone());
            tokens.pending = Some(secret);
        }
        self.end(account, generated.map(drop), "primary_generated");
    }

    async fn confirm(&mut self, account: &Account, code: &ConfirmationCode) {
        self.client.tokens.lock().await.pending = None;
        self.begin();
        let confirmed = self.manager.confirm(&Actor::User, &self.alice, code).await;
        self.end(account, confirmed.map(drop), "primary_confirmed");
    }

    async fn delete(&mut self, account: &Account, id: TokenId) {
        self.client.switch().await;
        self.begin();
        let (manager, alice) = (self.manager.clone(), self.alice.clone());
        let deleted = manager.delete_backup(&Actor::User, &alice, id, Guard::EvenIfInUse).await;
        if deleted.is_ok() {
            let gone = self.tokens.remove(&id).expect("it was shown");
            let gone = (gone.expose_secret().to_owned(), Instant::now());
            self.client.tokens.lock().await.gone = Some(gone);
        }
        self.end(account, deleted.map(drop), "backup_deleted");
    }

    fn begin(&mut self) {
        self.began = Instant::now();
        self.progress.send_modify(|progress| progress.begun += 1);
    }

    fn end(&mut self, before: &Account, answer: Result<(), ManageError>, kind: &'static str) {
        let revision = before.revision();
        match answer {
            Ok(()) => {
                self.expected = Expected::Revision(Revision::from_u64(revision.as_u64() + 1));
                let took = self.began.elapsed();
                self.progress.send_modify(|progress| {
                    progress.done += 1;
                    progress.usual = (progress.usual * 7 + took) / 8;
                });
            }
            Err(ManageError::Store(_)) => {
                self.expected = Expected::Perhaps(revision, kind);
                self.progress.send_modify(|progress| progress.unknown += 1);
            }
            Err(error) => panic!("{kind} was refused: {error:?}"),
        }
    }
}
