//! The manager, what it answers, and what it tells users.

use tower_api_token::ConfigError;
use tower_api_token::Tokens;
use tower_api_token::ValueError;
use tower_api_token::account::{Revision, Slot};
use tower_api_token::audit::Event;
use tower_api_token::manage::{
    Confirmation, Guard, ImportItem, ImportedToken, ManageError, TokenManager,
};
use tower_api_token::notify::{
    DirectoryNotifier, LinkBase, Mailbox, Notifier, NotifyError, SmtpError, SmtpNotifier,
    SmtpServer,
};
use tower_api_token::sealing::{SealerError, SealingKey};
use tower_api_token::store::PageSize;
use tower_api_token::user::Actor;

use super::List;
use crate::life::Life;
use crate::needles::sha256;

pub(super) async fn show(life: &Life, list: &mut List) {
    manager(life, list).await;
    answers(life, list);
    messages(life, list).await;
}

async fn manager(life: &Life, list: &mut List) {
    let builder = TokenManager::builder(life.store.clone());
    let view = life.manager.view(&life.alice).await.unwrap();
    let accounts = life.manager.list(None, PageSize::clamped(10)).await.unwrap();
    list.add("TokenManager", &life.manager);
    list.add("TokenManagerBuilder", &builder.usage(life.usage.clone()));
    let both = Tokens::builder(life.store.clone());
    list.add("TokensBuilder", &both);
    let built = both.confirmation(Confirmation::ByCaller).build().await;
    list.add("Tokens", &built.expect("tokens"));
    list.add("ManageError", &ManageError::Config(ConfigError::NoNotifier));
    list.add("ManageError", &ManageError::RepeatedToken);
    list.add("Problem", &tower_api_token::manage::Problem::from(ManageError::RepeatedToken));
    list.add("Confirmation", &Confirmation::ByCaller);
    list.add("Guard", &Guard::EvenIfInUse);
    list.add("TokenView", &view.primary);
    list.add("PendingView", &view.pending);
    list.add("AccountView", &view);
    list.add("HeldToken", &life.manager.held_token(life.live.expose_secret()).await);
    list.add("LeakResponse", &tower_api_token::manage::LeakResponse::default());
    list.add("AccountSummary", &accounts.items);
    list.add("AccountFilter", &tower_api_token::manage::AccountFilter::default());
    list.add("Page", &accounts);
    let (user, alice) = (Actor::User, &life.alice);
    let key: [u8; 32] = std::array::from_fn(|place| place as u8);
    let key = SealingKey::new(1, &key).unwrap();
    list.add("ManageError", &life.manager.reveal(&user, alice, life.generated.id).await);
    list.add("SealerError", &SealerError::OtherKey { id: key.id().to_string() });
    list.add("ConfigError", &SealingKey::new(1, b"short").err());
    list.add("SealingKey", &key);
    list.add("TokenManager", &life.manager.at_revision(Revision::ABSENT));
}

fn answers(life: &Life, list: &mut List) {
    list.add("IssuedToken", &life.issued);
    list.add("GeneratedPrimary", &life.generated);
    list.add("Delivery", &life.resent);
    list.add("Delivery", &tower_api_token::manage::Delivery::ToCaller(life.code.clone()));
    let sha256 = ImportedToken::Sha256(sha256(life.issued.token.expose_secret()));
    let token = ImportedToken::Token(life.issued.token.clone());
    list.add("ImportItem", &ImportItem::new(life.alice.clone(), Slot::Primary, sha256.clone()));
    list.add("ImportedToken", &[token, sha256]);
    list.add("ValueError", &ValueError::TokenWeak);
}

async fn messages(life: &Life, list: &mut List) {
    let directory = tempfile::tempdir().expect("a directory");
    let event = Event::BackupDeleted { id: life.issued.id };
    list.add("Ended", &event.ended());
    list.add("ConfirmationMessage", &life.message);
    list.add("NotifyError", &NotifyError::new("the mail server is gone"));
    let base = LinkBase::new("https://example.com/verify").unwrap();
    list.add("ConfirmationLink", &base.link(&life.code));
    list.add("LinkBase", &base);
    list.add("ConfigError", &ConfigError::LinkQuery);
    mail(life, base, list).await;
    list.add("DirectoryNotifier", &DirectoryNotifier::new(directory.path()));
    list.add("UsageRecorder", &life.usage);
}

async fn mail(life: &Life, base: LinkBase, list: &mut List) {
    let password = life.live.expose_secret();
    // Nobody listens there.
    let server = SmtpServer::loopback(1).credentials("api", password);
    let directory = |user| async move { Ok(Some(Mailbox::new(&format!("{user}@b.example"))?)) };
    let sender = Mailbox::new("api@b.example").unwrap();
    let notifier = SmtpNotifier::new(server.clone(), directory, sender.clone(), base);
    let error = notifier.confirmation(&life.message).await.expect_err("nobody listens");
    let cause = std::error::Error::source(&error).expect("a cause");
    let cause = cause.downcast_ref::<SmtpError>().expect("the notifier's own error");
    list.add("SmtpErrorKind", &cause.kind());
    list.add("SmtpError", cause);
    list.add("SmtpNotifier", &notifier);
    list.add("SmtpServer", &server);
    list.add("ConfigError", &SmtpServer::tls(password).err());
    list.add("Mailbox", &sender);
    list.add("ValueError", &Mailbox::new(password).err());
}
