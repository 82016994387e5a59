//! A token's life from its first grant to its end, with everything that is said
//! on the way.

use std::sync::{Arc, Mutex};

use tower_api_token::account::{Account, Slot};
use tower_api_token::audit::{AuditEntry, EventSink};
use tower_api_token::manage::{
    Confirmation, Delivery, GeneratedPrimary, Guard, ImportedToken, IssuedToken, ManageError,
    PendingView, TokenManager,
};
use tower_api_token::method::MethodSet;
use tower_api_token::notify::{ConfirmationMessage, NotifyError};
use tower_api_token::store::{AccountStore, MemoryStore, PageSize};
use tower_api_token::test_util::ManualClock;
use tower_api_token::token::{ConfirmationCode, Token, TokenScheme};
use tower_api_token::usage::UsageRecorder;
use tower_api_token::user::{Actor, UserId};

use crate::generated;
use crate::needles::Needles;

/// Everything that one life left behind.
pub(crate) struct Life {
    pub(crate) needles: Needles,
    pub(crate) said: Vec<String>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) manager: TokenManager,
    pub(crate) usage: UsageRecorder,
    pub(crate) alice: UserId,
    /// As it stands: primary, backup, pending and retired tokens.
    pub(crate) account: Arc<Account>,
    /// The primary.
    pub(crate) live: Token,
    pub(crate) issued: IssuedToken,
    pub(crate) generated: GeneratedPrimary,
    pub(crate) resent: (PendingView, Delivery),
    pub(crate) message: ConfirmationMessage,
    pub(crate) code: ConfirmationCode,
    pub(crate) entries: Vec<AuditEntry>,
}

/// What the manager sends to users and tells hosts.
#[derive(Clone, Default)]
struct Heard {
    messages: Arc<Mutex<Vec<ConfirmationMessage>>>,
    entries: Arc<Mutex<Vec<AuditEntry>>>,
}

impl EventSink for Heard {
    fn record(&self, entry: &AuditEntry) {
        self.entries.lock().expect("no panic").push(entry.clone());
    }
}

impl Life {
    pub(crate) async fn live() -> Self {
        let clock = Arc::new(ManualClock::default());
        let store = Arc::new(MemoryStore::with_clock(Arc::clone(&clock)));
        let heard = Heard::default();
        let events = heard.clone();
        let usage = UsageRecorder::with(Arc::clone(&store), Arc::clone(&clock), events.clone());
        let manager = manager(&store, &usage, events, &heard).await;
        let (root, alice) = (Actor::administrator("root").unwrap(), UserId::new("alice").unwrap());
        let mut needles = Needles::default();
        let mut said = refused(&manager, &alice).await;

        manager.grant(&root, &alice, MethodSet::new(["GET"]).unwrap()).await.unwrap();
        let issued = manager.issue(&Actor::User, &alice).await.unwrap();
        needles.token(issued.token.expose_secret());
        let mut live = issued.token.clone();
        // Twice a whole rotation, so that there is a backup and one retired.
        for replaced in [None, Some(issued.id)] {
            let by_caller = manager.with_confirmation(Confirmation::ByCaller);
            let generated = match replaced {
                Some(id) => by_caller.generate_primary_replacing(&Actor::User, &alice, id).await,
                None => by_caller.generate_primary(&Actor::User, &alice).await,
            };
            let generated = generated.unwrap();
            needles.token(generated.token.expose_secret());
            let Delivery::ToCaller(code) = &generated.delivery else { panic!("no code") };
            needles.token(code.expose_secret());
            manager.confirm(&Actor::User, &alice, code).await.unwrap();
            let again = manager.confirm(&Actor::User, &alice, code).await;
            said.push(format!("{again:?} {generated:?}"));
            live = generated.token;
        }
        let backup = manager.view(&alice).await.unwrap().backup.expect("a backup").id;
        let generated =
            manager.generate_primary_replacing(&Actor::User, &alice, backup).await.unwrap();
        needles.token(generated.token.expose_secret());
        clock.advance(std::time::Duration::from_secs(61));
        let resent = manager.resend_confirmation(&Actor::User, &alice, generated.id).await.unwrap();
        for message in heard.messages.lock().unwrap().iter() {
            needles.token(message.code.expose_secret());
            needles.digest(message.code.digest(&alice).as_bytes());
            said.push(format!("{message:?} {message:#?}"));
        }
        let message = heard.messages.lock().unwrap().last().cloned().expect("a message");
        said.extend(refused(&manager, &alice).await);
        said.push(format!("{:#?}", manager.view(&alice).await.unwrap()));
        let history = manager.history(&alice, None, PageSize::clamped(100)).await.unwrap();
        said.push(format!("{history:#?}"));

        let account = store.load(&alice).await.unwrap().account.expect("an account");
        let (code, entries) = (message.code.clone(), heard.entries.lock().unwrap().clone());
        said.extend(entries.iter().map(|entry| format!("{entry:?} {:#?}", entry.event)));
        account.digests().for_each(|stored| needles.digest(stored.digest.as_bytes()));
        let confirmed = account.confirmed().expect("a confirmation").code;
        needles.digest(confirmed.as_bytes());
        Self {
            needles,
            said,
            store,
            manager,
            usage,
            alice,
            account,
            live,
            issued,
            generated,
            resent,
            message,
            code,
            entries,
        }
    }
}

async fn manager(
    store: &Arc<MemoryStore>,
    usage: &UsageRecorder,
    events: Heard,
    heard: &Heard,
) -> TokenManager {
    let messages = Arc::clone(&heard.messages);
    let notifier = move |message: ConfirmationMessage| {
        messages.lock().expect("no panic").push(message);
        // What could not be sent must not come back in an error either.
        async { Err(NotifyError::new("the mail server is gone")) }
    };
    let builder = TokenManager::builder(Arc::clone(store)).scheme(TokenScheme::default());
    builder.usage(usage.clone()).events(events).notifier(notifier).build().await.unwrap()
}

/// Everything that the manager can refuse, as `Debug` and `Display` say it.
async fn refused(manager: &TokenManager, alice: &UserId) -> Vec<String> {
    let user = &Actor::User;
    let weak = ImportedToken::Token(Token::parse("hunter2").unwrap());
    let foreign = ImportedToken::Token(Token::parse(generated::token("acme")).unwrap());
    let unknown = ConfirmationCode::parse(&format!("tac_{}", "0".repeat(32))).unwrap();
    let id = tower_api_token::token::TokenId::from_u64(77);
    let mut said = Vec::new();
    let mut say = |error: Option<ManageError>| {
        let error = error.expect("a refusal");
        said.push(format!("{error:?} {error} {:?}", std::error::Error::source(&error)));
    };
    say(manager.import(user, alice, Slot::Primary, &weak, None).await.err());
    say(manager.import(user, alice, Slot::Backup, &foreign, None).await.err());
    say(manager.confirm(user, alice, &unknown).await.err());
    say(manager.cancel_pending(user, alice, id).await.err());
    say(manager.delete_backup(user, alice, id, Guard::EvenIfInUse).await.err());
    say(manager.roll_back(user, alice, id, Guard::EvenIfInUse).await.err());
    said
}
