//! One store, one manager, one node that authenticates, and what they said.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use async_trait::async_trait;
use tower_api_token::account::{Account, Slot};
use tower_api_token::audit::{AccountErased, AuditEntry, Event, EventSink};
use tower_api_token::authenticate::Authenticator;
use tower_api_token::denial::DenialKind;
use tower_api_token::manage::{GeneratedPrimary, IssuedToken, TokenManager, TokenManagerBuilder};
use tower_api_token::method::MethodSet;
use tower_api_token::notify::{ConfirmationMessage, Notifier, NotifyError};
use tower_api_token::store::{AccountStore, MemoryStore, PageSize};
use tower_api_token::test_util::ManualClock;
use tower_api_token::time::Timestamp;
use tower_api_token::token::{ConfirmationCode, Token, TokenId, TokenScheme};
use tower_api_token::usage::UsageRecorder;
use tower_api_token::user::{Actor, UserId};

use crate::manager::store::Faulty;

/// Makes a test of each named function, for every store.
macro_rules! on_every_store {
    ($($case:ident),+ $(,)?) => {
        mod on_memory {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let world = crate::manager::world::World::in_memory().await;
                    crate::manager::world::in_time(super::$case(world)).await;
                }
            )+
        }

        #[cfg(feature = "sqlite")]
        mod on_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let world = crate::manager::world::World::in_sqlite().await;
                    crate::manager::world::in_time(super::$case(world)).await;
                }
            )+
        }
    };
}

pub(crate) const START: Timestamp = Timestamp::from_unix_millis(1_767_225_600_000);

pub(crate) struct World {
    pub(crate) store: Arc<Faulty>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) scheme: TokenScheme,
    pub(crate) manager: TokenManager,
    pub(crate) post: Arc<Post>,
    pub(crate) log: Arc<Log>,
    pub(crate) usage: UsageRecorder,
    /// Where the store's files are, until the last.
    directory: Option<tempfile::TempDir>,
}

impl World {
    pub(crate) async fn in_memory() -> Self {
        let clock = Arc::new(ManualClock::new(START));
        Self::on(Arc::new(MemoryStore::with_clock(Arc::clone(&clock))), clock).await
    }

    #[cfg(feature = "sqlite")]
    pub(crate) async fn in_sqlite() -> Self {
        use tower_api_token::store::{SqliteOptions, SqliteStore};
        let clock = Arc::new(ManualClock::new(START));
        let directory = tempfile::tempdir().unwrap();
        let options = SqliteOptions::new().clock(Arc::clone(&clock));
        let store: SqliteStore = options.open(directory.path().join("tokens.db")).unwrap();
        store.migrate().await.unwrap();
        Self { directory: Some(directory), ..Self::on(Arc::new(store), clock).await }
    }

    /// Around a store that reads that clock.
    pub(crate) async fn on(store: Arc<dyn AccountStore>, clock: Arc<ManualClock>) -> Self {
        Self::with(store, clock, TokenScheme::default(), |builder| builder).await
    }

    pub(crate) async fn with(
        store: Arc<dyn AccountStore>,
        clock: Arc<ManualClock>,
        scheme: TokenScheme,
        configure: impl FnOnce(TokenManagerBuilder) -> TokenManagerBuilder,
    ) -> Self {
        let store = Arc::new(Faulty::new(store));
        let (post, log) = (Arc::new(Post::default()), Arc::new(Log::default()));
        let usage = UsageRecorder::with(Arc::clone(&store), Arc::clone(&clock), ());
        let builder = TokenManager::builder(Arc::clone(&store))
            .scheme(scheme.clone())
            .notifier(Postman(Arc::clone(&post)))
            .events(Recorder(Arc::clone(&log)))
            .usage(usage.clone());
        let manager = configure(builder).build().await.unwrap();
        Self { store, clock, scheme, manager, post, log, usage, directory: None }
    }

    /// The same store behind a manager of another configuration.
    pub(crate) async fn again(
        self,
        scheme: TokenScheme,
        configure: impl FnOnce(TokenManagerBuilder) -> TokenManagerBuilder,
    ) -> Self {
        let Self { store, clock, directory, .. } = self;
        Self { directory, ..Self::with(store, clock, scheme, configure).await }
    }

    /// The same, where tokens of other systems are accepted, as the import of a
    /// digest needs it.
    pub(crate) async fn accepting_foreign(self) -> Self {
        self.again(TokenScheme::default().accept_foreign_tokens(true), |builder| builder).await
    }

    /// Grants GET and POST to alice and issues her first token.
    pub(crate) async fn active(&self) -> IssuedToken {
        self.grant(alice(), &["GET", "POST"]).await;
        self.manager.issue(&Actor::User, alice()).await.unwrap()
    }

    /// Alice with a primary and, returned second, a backup.
    pub(crate) async fn dual(&self) -> (GeneratedPrimary, IssuedToken) {
        let backup = self.active().await;
        let (primary, code) = self.generate().await;
        self.confirm(&code).await;
        (primary, backup)
    }

    /// Alice with new tokens, whatever she had: primary and backup.
    pub(crate) async fn fresh_dual(&self) -> (TokenId, TokenId) {
        let (old, new, code) = self.fresh_pending().await;
        self.confirm(&code).await;
        (new.id, old.id)
    }

    /// Alice with a new primary and a pending token, whatever she had.
    pub(crate) async fn fresh_pending(&self) -> (IssuedToken, GeneratedPrimary, ConfirmationCode) {
        // So long that the tokens of former rounds are forgotten, else the
        // account would grow and grow.
        self.pass(Duration::from_secs(91 * 86_400));
        // She may have nothing to revoke.
        let _ = self.manager.revoke_access(root(), alice()).await;
        let old = self.active().await;
        let (new, code) = self.generate().await;
        (old, new, code)
    }

    pub(crate) async fn grant(&self, user: &UserId, methods: &[&str]) {
        let methods = MethodSet::new(methods).unwrap();
        self.manager.grant(root(), user, methods).await.unwrap();
    }

    /// Generates for alice and opens her mail.
    pub(crate) async fn generate(&self) -> (GeneratedPrimary, ConfirmationCode) {
        let generated = self.manager.generate_primary(&Actor::User, alice()).await.unwrap();
        (generated, self.post.last_code())
    }

    pub(crate) async fn confirm(&self, code: &ConfirmationCode) -> AuditEntry {
        self.manager.confirm(&Actor::User, alice(), code).await.unwrap()
    }

    /// The slot by which a request with this token passes.
    pub(crate) async fn auth(&self, token: &Token, method: &str) -> Result<Slot, DenialKind> {
        self.auth_text(token.expose_secret(), method).await
    }

    pub(crate) async fn auth_text(&self, text: &str, method: &str) -> Result<Slot, DenialKind> {
        let node = Authenticator::new(Arc::clone(&self.store))
            .scheme(self.scheme.clone())
            .usage(self.usage.clone())
            .clock(Arc::clone(&self.clock));
        let request = http::Request::builder().method(method);
        let request = request.header("authorization", format!("Bearer {text}")).body(()).unwrap();
        match node.authenticate(&mut request.into_parts().0).await {
            Ok(identity) => Ok(identity.unwrap().slot()),
            Err(denial) => Err(denial.kind()),
        }
    }

    pub(crate) async fn account(&self) -> Arc<Account> {
        self.store.load(alice()).await.unwrap().account.unwrap()
    }

    /// How many rounds of something to do: fewer where each change is written to
    /// a disk.
    pub(crate) fn rounds(&self, count: usize) -> usize {
        if self.directory.is_some() { count / 10 } else { count }
    }

    /// Waits until the store has done what dropped calls asked it for: it makes
    /// one change after the other.
    pub(crate) async fn settle(&self) {
        self.manager.idle().await;
        if self.manager.revoke_access(root(), bob()).await.is_err() {
            self.grant(bob(), &["GET"]).await;
        }
    }

    /// The names of alice's changes, the earliest first.
    pub(crate) async fn history(&self) -> Vec<&'static str> {
        let page = self.store.history(alice(), None, PageSize::MAX).await.unwrap();
        page.items.iter().rev().map(|entry| entry.event.name()).collect()
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }
}

pub(crate) fn alice() -> &'static UserId {
    static ALICE: LazyLock<UserId> = LazyLock::new(|| UserId::new("alice").unwrap());
    &ALICE
}

pub(crate) fn bob() -> &'static UserId {
    static BOB: LazyLock<UserId> = LazyLock::new(|| UserId::new("bob").unwrap());
    &BOB
}

pub(crate) fn root() -> &'static Actor {
    static ROOT: LazyLock<Actor> = LazyLock::new(|| Actor::administrator("root").unwrap());
    &ROOT
}

/// No test waits longer for what never comes.
pub(crate) async fn in_time(test: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(300), test).await.expect("in time");
}

/// Polls until a call of the store has met every planned fault.
pub(crate) async fn until_met<F: Future + ?Sized>(world: &World, future: &mut Pin<Box<F>>) {
    while world.store.unmet() > 0 {
        assert!(is_waiting(future));
        tokio::task::yield_now().await;
    }
}

/// Polls once; whether that was not the end.
pub(crate) fn is_waiting<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> bool {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

/// What was sent.
#[derive(Default)]
pub(crate) struct Post {
    pub(crate) messages: Mutex<Vec<ConfirmationMessage>>,
    pub(crate) notices: Mutex<Vec<AuditEntry>>,
    pub(crate) fails: AtomicBool,
    pub(crate) hangs: AtomicBool,
}

impl Post {
    pub(crate) fn last_code(&self) -> ConfirmationCode {
        self.messages.lock().unwrap().last().unwrap().code.clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.messages.lock().unwrap().len()
    }

    async fn take(&self) -> Result<(), NotifyError> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.fails.load(Ordering::SeqCst) {
            return Err(NotifyError::new("no postman today"));
        }
        Ok(())
    }
}

pub(crate) struct Postman(pub(crate) Arc<Post>);

#[async_trait]
impl Notifier for Postman {
    async fn confirmation(&self, message: &ConfirmationMessage) -> Result<(), NotifyError> {
        self.0.take().await?;
        self.0.messages.lock().unwrap().push(message.clone());
        Ok(())
    }

    async fn notice(&self, entry: &AuditEntry) -> Result<(), NotifyError> {
        self.0.take().await?;
        self.0.notices.lock().unwrap().push(entry.clone());
        Ok(())
    }
}

/// What was emitted.
#[derive(Default)]
pub(crate) struct Log(Mutex<Vec<AuditEntry>>, Mutex<Vec<AccountErased>>);

impl Log {
    pub(crate) fn entries(&self) -> Vec<AuditEntry> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn erased(&self) -> Vec<AccountErased> {
        self.1.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.0.lock().unwrap().iter().filter(|entry| is(&entry.event)).count()
    }
}

pub(crate) struct Recorder(pub(crate) Arc<Log>);

impl EventSink for Recorder {
    fn record(&self, entry: &AuditEntry) {
        self.0.0.lock().unwrap().push(entry.clone());
    }

    fn account_erased(&self, erased: &AccountErased) {
        self.0.1.lock().unwrap().push(erased.clone());
    }
}
