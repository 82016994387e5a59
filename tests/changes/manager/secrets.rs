//! Nothing secret is shown: not by `Debug`, not by an error, not in a log.

use std::fmt::{Debug, Write as _};
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use tower_api_token::account::Slot;
use tower_api_token::manage::{
    Confirmation, Delivery, Guard, ImportItem, ImportedToken, TokenManager,
};
use tower_api_token::store::PageSize;
use tower_api_token::token::{Token, TokenScheme};
use tower_api_token::user::Actor;

use crate::manager::world::{World, alice, bob, root};

/// What was printed, and what must not be in it.
#[derive(Default)]
struct Watch {
    printed: String,
    secrets: Vec<String>,
}

impl Watch {
    fn see(&mut self, value: &impl Debug) {
        writeln!(self.printed, "{value:?}\n{value:#?}").unwrap();
    }

    fn see_error(&mut self, error: &(impl std::error::Error + 'static)) {
        self.see(&error);
        let mut error: Option<&dyn std::error::Error> = Some(error);
        while let Some(cause) = error {
            writeln!(self.printed, "{cause}").unwrap();
            error = cause.source();
        }
    }

    /// A text secret: as it is, its first 8 characters behind the prefix, its
    /// base64, and its digest.
    fn keep(&mut self, secret: &str) {
        use base64::Engine;
        use sha2::Digest;
        let behind = secret.split_once('_').map_or(secret, |(_, behind)| behind);
        let base64 = base64::engine::general_purpose::STANDARD_NO_PAD.encode(secret);
        self.secrets.extend([behind[..8].to_owned(), base64]);
        self.keep_bytes(&sha2::Sha256::digest(secret));
    }

    fn keep_bytes(&mut self, bytes: &[u8]) {
        use base64::Engine;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let list = format!("{bytes:?}");
        let base64 = base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes);
        self.secrets.extend([hex, list.trim_matches(['[', ']']).to_owned(), base64]);
    }

    fn check(&self) {
        let printed = self.printed.to_lowercase();
        for secret in &self.secrets {
            assert!(!printed.contains(&secret.to_lowercase()), "a secret was shown: {secret}");
        }
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_is_shown_in_a_whole_life() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // For every thread: with one subscriber of one thread only, a call site that
    // another thread meets first is off for good.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let mut watch = Watch::default();
    let world = World::in_memory().await;
    live(&world, &mut watch).await;
    world.manager.erase(root(), alice()).await.unwrap();
    let logged = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for event in ["token_issued", "confirmation_not_sent", "notice not sent", "all_revoked"] {
        assert!(logged.contains(event), "{event} is logged");
    }
    let erased: Vec<_> = logged.lines().filter(|line| line.contains("account_erased")).collect();
    assert!(!erased.is_empty(), "it is logged");
    for line in erased {
        assert!(!line.contains("alice"), "the erased user is named: {line}");
    }
    watch.printed.push_str(&logged);
    watch.check();
}

async fn live(world: &World, watch: &mut Watch) {
    let manager = &world.manager;
    watch.see(manager);
    watch.see(&TokenManager::builder(Arc::clone(&world.store)));
    let issued = world.active().await;
    watch.keep(issued.token.expose_secret());
    watch.see(&issued);

    let (generated, code) = world.generate().await;
    watch.keep(generated.token.expose_secret());
    watch.keep(code.expose_secret());
    watch.keep_bytes(code.digest(alice()).as_bytes());
    watch.see(&generated);
    watch.see(&*world.post.messages.lock().unwrap());
    watch.see(&manager.view(alice()).await.unwrap());
    watch.see(&manager.confirm(&Actor::User, alice(), &code).await.unwrap());
    watch.see_error(&manager.confirm(&Actor::User, alice(), &code).await.unwrap_err());

    world.post.fails.store(true, Ordering::SeqCst);
    let unsent =
        manager.generate_primary_replacing(&Actor::User, alice(), issued.id).await.unwrap();
    watch.keep(unsent.token.expose_secret());
    watch.see(&unsent);
    let Delivery::NotSent(error) = &unsent.delivery else { panic!("{unsent:?}") };
    watch.see_error(error);
    world.pass(std::time::Duration::from_secs(60));
    let by_caller = manager.with_confirmation(Confirmation::ByCaller);
    watch.see(&by_caller);
    let resent = by_caller.resend_confirmation(&Actor::User, alice(), unsent.id).await.unwrap();
    let Delivery::ToCaller(code) = &resent.1 else { panic!("{resent:?}") };
    watch.keep(code.expose_secret());
    watch.see(&resent);

    let guard = Guard::EvenIfInUse;
    watch.see(&manager.delete_backup(&Actor::User, alice(), issued.id, guard).await.unwrap());
    watch.see(&manager.revoke_all(&Actor::User, alice()).await.unwrap());
    import(world, watch).await;
    watch.see(&manager.list(None, PageSize::default()).await.unwrap());
    watch.see(&manager.history(alice(), None, PageSize::default()).await.unwrap());
    watch.see(&*world.post.notices.lock().unwrap());
    watch.see(&world.log.entries());
    watch.see(&world.account().await);
}

async fn import(world: &World, watch: &mut Watch) {
    let foreign = "3f2b8c1e-9d7a-4650-b1c2-d3e4f5a69788";
    watch.keep(foreign);
    let token = ImportedToken::Token(Token::parse(foreign).unwrap());
    watch.see(&token);
    let manager = &world.manager;
    let error = manager.import(root(), alice(), Slot::Primary, &token, None).await.unwrap_err();
    watch.see_error(&error);
    let sha256 = [0xab; 32];
    watch.keep_bytes(&sha256);
    let token = ImportedToken::Sha256(sha256);
    watch.see(&token);
    let error = manager.import(root(), alice(), Slot::Primary, &token, None).await.unwrap_err();
    watch.see_error(&error);
    let manager = TokenManager::builder(Arc::clone(&world.store))
        .scheme(TokenScheme::default().accept_foreign_tokens(true))
        .confirmation(Confirmation::ByCaller);
    let manager = manager.build().await.unwrap();
    manager.import(root(), alice(), Slot::Primary, &token, None).await.unwrap();
    world.grant(bob(), &["GET"]).await;
    let item = ImportItem::new(bob().clone(), Slot::Primary, token);
    watch.see(&item);
    let mut answers = manager.import_many(root(), &[item]).await.unwrap();
    watch.see_error(&answers.remove(0).unwrap_err());
}
