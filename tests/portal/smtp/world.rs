//! A manager that sends mail.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tower_api_token::manage::{Delivery, TokenManager};
use tower_api_token::method::MethodSet;
use tower_api_token::notify::{
    LinkBase, MailDirectory, Mailbox, NotifyError, SmtpError, SmtpNotifier, SmtpServer,
};
use tower_api_token::rotation::Policy;
use tower_api_token::store::MemoryStore;
use tower_api_token::test_util::ManualClock;
use tower_api_token::time::Timestamp;
use tower_api_token::token::ConfirmationCode;
use tower_api_token::user::{Actor, UserId};

use crate::smtp::server::{Mail, MailServer};

pub(crate) const BASE: &str = "https://tokens.example.com/profile/verify";

/// 2026-01-02T03:04:05.678Z.
pub(crate) const START: Timestamp = Timestamp::from_unix_millis(1_767_323_045_678);

pub(crate) struct World {
    pub(crate) manager: TokenManager,
    pub(crate) clock: Arc<ManualClock>,
}

impl World {
    pub(crate) async fn new(notifier: SmtpNotifier) -> Self {
        Self::under(Policy::default(), notifier).await
    }

    /// With tokens that live as the policy says.
    pub(crate) async fn under(policy: Policy, notifier: SmtpNotifier) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let store = MemoryStore::with_clock(Arc::clone(&clock));
        let builder = TokenManager::builder(store).policy(policy).notifier(notifier);
        let manager = builder.build().await.unwrap();
        let world = Self { manager, clock };
        world.grant(&alice()).await;
        world
    }

    /// With mail through that server, in good health or not.
    pub(crate) async fn through(server: &MailServer) -> Self {
        Self::new(notifier(SmtpServer::loopback(server.port()))).await
    }

    pub(crate) async fn grant(&self, user: &UserId) {
        let methods = MethodSet::new(["GET"]).unwrap();
        self.manager.grant(&root(), user, methods).await.unwrap();
    }

    /// The failure to send alice's confirmation.
    pub(crate) async fn failure(&self) -> NotifyError {
        let generated = self.manager.generate_primary(&Actor::User, &alice()).await.unwrap();
        failure(generated.delivery)
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }
}

/// The failure to send a code.
pub(crate) fn failure(delivery: Delivery) -> NotifyError {
    match delivery {
        Delivery::NotSent(error) => error,
        delivery => panic!("it was sent: {delivery:?}"),
    }
}

/// Why a message was not sent.
pub(crate) fn cause(error: &NotifyError) -> &SmtpError {
    error.source().expect("a cause").downcast_ref().expect("an SmtpError")
}

pub(crate) fn notifier(server: SmtpServer) -> SmtpNotifier {
    notifier_to(server, |user: UserId| async move {
        Ok(Some(Mailbox::new(&format!("{user}@users.example"))?))
    })
}

pub(crate) fn notifier_to(server: SmtpServer, directory: impl MailDirectory) -> SmtpNotifier {
    let sender = Mailbox::new("api@acme.example").unwrap().name("Acme API").unwrap();
    SmtpNotifier::new(server, directory, sender, LinkBase::new(BASE).unwrap()).service_name("Acme")
}

pub(crate) fn alice() -> UserId {
    UserId::new("alice").unwrap()
}

pub(crate) fn root() -> Actor {
    Actor::administrator("root").unwrap()
}

/// The code in the link of a message, which is in both parts, and once in the
/// plain one.
pub(crate) fn code(mail: &Mail) -> ConfirmationCode {
    let links: Vec<_> =
        mail.text().split_whitespace().filter(|word| word.contains("://")).collect();
    let [link] = links[..] else { panic!("not one link: {links:?}") };
    let in_html = mail.html().replace("\r\n", "\n");
    assert!(in_html.contains(&format!("<a href=\"{link}\"\n>{link}</a>")), "{in_html}");
    let code = link.strip_prefix(BASE).and_then(|rest| rest.strip_prefix("?code="));
    ConfirmationCode::parse(code.expect(link)).expect("a code")
}
