//! A sealer of the host's own, as a key management service is one: it takes its
//! time, and it fails.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tower_api_token::account::Slot;
use tower_api_token::manage::{ImportItem, ImportedToken, ManageError};
use tower_api_token::rotation::RotationError;
use tower_api_token::sealing::{Sealer, SealerError};
use tower_api_token::token::{SealedToken, Token, TokenId, TokenScheme};
use tower_api_token::user::{Actor, UserId};

use crate::manager::world::{World, alice, root};

on_every_store!(
    a_service_seals_and_opens,
    without_the_service_no_token_is_made_or_shown,
    what_is_too_long_for_a_record_is_refused,
    another_key_of_the_service_is_named,
);

/// How the service is just now.
#[derive(Clone, Debug, Default)]
enum State {
    #[default]
    Up,
    Down,
    Verbose,
    OtherKey,
}

/// Keeps the texts itself and answers with their number and place.
#[derive(Clone, Default)]
struct Service(Arc<Mutex<(State, Vec<String>)>>);

impl Service {
    fn is(&self, state: State) {
        self.0.lock().unwrap().0 = state;
    }

    async fn state(&self) -> State {
        tokio::task::yield_now().await;
        self.0.lock().unwrap().0.clone()
    }
}

#[async_trait]
impl Sealer for Service {
    async fn seal(
        &self,
        token: &Token,
        user: &UserId,
        id: TokenId,
    ) -> Result<SealedToken, SealerError> {
        let state = self.state().await;
        let texts = &mut self.0.lock().unwrap().1;
        texts.push(token.expose_secret().to_owned());
        let sealed = format!("{} {user} {id}", texts.len() - 1);
        match state {
            State::Down => Err(SealerError::unavailable("the service does not answer")),
            State::Verbose => Ok(SealedToken::from_bytes(vec![0; SealedToken::MAX_LENGTH + 1])),
            _ => Ok(SealedToken::from_bytes(sealed.into_bytes())),
        }
    }

    async fn open(
        &self,
        sealed: &SealedToken,
        user: &UserId,
        id: TokenId,
    ) -> Result<Token, SealerError> {
        match self.state().await {
            State::Down => return Err(SealerError::unavailable("the service does not answer")),
            State::OtherKey => return Err(SealerError::OtherKey { id: "alias/former".to_owned() }),
            _ => {}
        }
        let sealed = std::str::from_utf8(sealed.as_bytes()).unwrap();
        let number = sealed.strip_suffix(&format!(" {user} {id}"));
        let number: usize = number.ok_or(SealerError::Unreadable)?.parse().unwrap();
        Ok(Token::parse(&*self.0.lock().unwrap().1[number]).unwrap())
    }

    fn can_open(&self, _: &SealedToken) -> bool {
        true
    }
}

async fn with_service(world: World) -> (World, Service) {
    let service = Service::default();
    let sealer = service.clone();
    let scheme = TokenScheme::default().accept_foreign_tokens(true);
    (world.again(scheme, |builder| builder.sealer(sealer)).await, service)
}

async fn shown(world: &World, id: TokenId) -> Result<String, ManageError> {
    let token = world.manager.reveal(&Actor::User, alice(), id).await?;
    Ok(token.expose_secret().to_owned())
}

async fn a_service_seals_and_opens(world: World) {
    let (world, _) = with_service(world).await;
    let (primary, backup) = world.dual().await;
    for (id, token) in [(primary.id, &primary.token), (backup.id, &backup.token)] {
        assert_eq!(shown(&world, id).await.unwrap(), token.expose_secret());
    }
    let view = world.manager.view(alice()).await.unwrap();
    assert!(view.primary.unwrap().revealable && view.backup.unwrap().revealable);
}

async fn without_the_service_no_token_is_made_or_shown(world: World) {
    let (world, service) = with_service(world).await;
    let issued = world.active().await;
    service.is(State::Down);
    let (account, told) = (world.account().await, world.log.entries().len());
    let generated = world.manager.generate_primary(&Actor::User, alice()).await;
    let mut errors = vec![generated.unwrap_err()];
    let text = Token::parse("3f2b8c1e-9d7a-4650-b1c2-d3e4f5a69788").unwrap();
    let (slot, imported) = (Slot::Backup, ImportedToken::Token(text));
    let import = world.manager.import(root(), alice(), slot, &imported, None).await;
    errors.push(import.unwrap_err());
    let item = ImportItem::new(alice().clone(), slot, imported);
    let mut many = world.manager.import_many(root(), &[item]).await.unwrap();
    errors.push(many.pop().unwrap().unwrap_err());
    errors.push(shown(&world, issued.id).await.unwrap_err());
    for error in errors {
        assert!(matches!(error, ManageError::Sealer(SealerError::Unavailable(_))), "{error}");
    }
    assert_eq!(world.account().await, account);
    assert_eq!(world.log.entries().len(), told);
    // What needs no sealer goes on.
    assert_eq!(world.auth(&issued.token, "GET").await, Ok(Slot::Primary));
    world.manager.revoke_all(root(), alice()).await.unwrap();
}

async fn what_is_too_long_for_a_record_is_refused(world: World) {
    let (world, service) = with_service(world).await;
    world.grant(alice(), &["GET"]).await;
    service.is(State::Verbose);
    let error = world.manager.issue(&Actor::User, alice()).await.unwrap_err();
    assert!(matches!(error, ManageError::Sealer(SealerError::TooLong)), "{error}");
    assert!(world.account().await.primary().is_none());
}

async fn another_key_of_the_service_is_named(world: World) {
    let (world, service) = with_service(world).await;
    let issued = world.active().await;
    service.is(State::OtherKey);
    let error = shown(&world, issued.id).await.unwrap_err();
    assert!(
        matches!(&error, ManageError::Sealer(SealerError::OtherKey { id }) if id == "alias/former"),
        "{error}"
    );
    // Whether it may be shown is the rules' decision.
    world.manager.revoke_access(root(), alice()).await.unwrap();
    let error = shown(&world, issued.id).await.unwrap_err();
    assert_eq!(error.refusal(), Some(RotationError::NoAccess));
}
