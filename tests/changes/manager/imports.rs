//! Tokens that another system made.

use tower_api_token::ValueError;
use tower_api_token::account::Slot;
use tower_api_token::audit::Event;
use tower_api_token::denial::DenialKind;
use tower_api_token::manage::{Guard, ImportItem, ImportedToken, ManageError};
use tower_api_token::rotation::RotationError;
use tower_api_token::time::Timestamp;
use tower_api_token::token::{Token, TokenPrefix, TokenScheme};
use tower_api_token::user::{Actor, UserId};

use crate::manager::world::{START, World, alice, bob, root};

on_every_store!(
    an_imported_token_goes_on_working,
    an_imported_digest_goes_on_working,
    the_same_import_again_is_already_done,
    a_slot_must_be_empty_and_a_backup_have_a_primary,
    a_known_token_is_refused_wherever_it_is_known,
    a_token_that_could_not_pass_is_refused,
    a_digest_is_refused_where_its_token_might_not_pass,
    a_weak_token_is_refused,
    a_token_of_a_former_prefix_is_no_foreign_one,
);

const UUID: &str = "3f2b8c1e-9d7a-4650-b1c2-d3e4f5a69788";

/// What another system that keeps SHA-256 digests has stored.
fn sha256(text: &str) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(text).into()
}

async fn accepting(world: World) -> World {
    let world = world.accepting_foreign().await;
    world.grant(alice(), &["GET"]).await;
    world
}

fn token(text: &str) -> ImportedToken {
    ImportedToken::Token(Token::parse(text).unwrap())
}

async fn import(
    world: &World,
    user: &UserId,
    slot: Slot,
    token: &ImportedToken,
) -> Result<Event, ManageError> {
    world.manager.import(root(), user, slot, token, None).await.map(|entry| entry.event)
}

async fn refused(world: &World, user: &UserId, slot: Slot, token: &ImportedToken) -> RotationError {
    import(world, user, slot, token).await.unwrap_err().refusal().unwrap()
}

async fn an_imported_token_goes_on_working(world: World) {
    let world = accepting(world).await;
    let long_ago = Timestamp::from_unix_millis(1_000);
    let manager = &world.manager;
    let entry =
        manager.import(root(), alice(), Slot::Primary, &token(UUID), Some(long_ago)).await.unwrap();
    let Event::TokenImported { id, slot: Slot::Primary } = entry.event else { panic!() };
    assert_eq!(world.auth_text(UUID, "GET").await, Ok(Slot::Primary));
    let view = manager.view(alice()).await.unwrap().primary.unwrap();
    assert_eq!((view.id, view.hint.as_str()), (id, "...9788"));
    assert_eq!((view.made_at, view.active_since), (long_ago, START));
    // It rotates like any other.
    let (_, code) = world.generate().await;
    world.confirm(&code).await;
    assert_eq!(world.auth_text(UUID, "GET").await, Ok(Slot::Backup));
}

async fn an_imported_digest_goes_on_working(world: World) {
    let world = accepting(world).await;
    import(&world, alice(), Slot::Primary, &ImportedToken::Sha256(sha256(UUID))).await.unwrap();
    assert_eq!(world.auth_text(UUID, "GET").await, Ok(Slot::Primary));
    let view = world.manager.view(alice()).await.unwrap().primary.unwrap();
    assert_eq!(view.hint.as_str(), "");
}

async fn the_same_import_again_is_already_done(world: World) {
    let world = accepting(world).await;
    import(&world, alice(), Slot::Primary, &token(UUID)).await.unwrap();
    for same in [token(UUID), ImportedToken::Sha256(sha256(UUID))] {
        assert_eq!(
            refused(&world, alice(), Slot::Primary, &same).await,
            RotationError::AlreadyDone
        );
    }
    assert_eq!(
        refused(&world, alice(), Slot::Backup, &token(UUID)).await,
        RotationError::DigestInUse
    );
}

async fn a_slot_must_be_empty_and_a_backup_have_a_primary(world: World) {
    let world = accepting(world).await;
    let tokens = [[1; 32], [2; 32], [3; 32]].map(ImportedToken::Sha256);
    assert_eq!(
        refused(&world, alice(), Slot::Backup, &tokens[0]).await,
        RotationError::NoLivePrimary
    );
    import(&world, alice(), Slot::Primary, &tokens[0]).await.unwrap();
    import(&world, alice(), Slot::Backup, &tokens[1]).await.unwrap();
    for slot in [Slot::Primary, Slot::Backup] {
        let refused = refused(&world, alice(), slot, &tokens[2]).await;
        assert_eq!(refused, RotationError::SlotTaken { slot });
    }
    assert_eq!(refused(&world, bob(), Slot::Primary, &tokens[2]).await, RotationError::NoAccess);
}

async fn a_known_token_is_refused_wherever_it_is_known(world: World) {
    let world = accepting(world).await;
    world.grant(bob(), &["GET"]).await;
    let first = world.manager.issue(&Actor::User, alice()).await.unwrap();
    let (second, code) = world.generate().await;
    let known = |token: &Token| ImportedToken::Token(token.clone());
    for token in [&first.token, &second.token] {
        let refused = refused(&world, bob(), Slot::Primary, &known(token)).await;
        assert_eq!(refused, RotationError::DigestInUse, "live or pending");
    }
    world.confirm(&code).await;
    let manager = &world.manager;
    manager.delete_backup(root(), alice(), first.id, Guard::EvenIfInUse).await.unwrap();
    for user in [alice(), bob()] {
        let slot = if user == alice() { Slot::Backup } else { Slot::Primary };
        let refused = refused(&world, user, slot, &known(&first.token)).await;
        assert_eq!(refused, RotationError::DigestInUse, "retired");
    }
    assert_eq!(world.auth(&first.token, "GET").await, Err(DenialKind::InvalidToken));
}

async fn a_token_that_could_not_pass_is_refused(world: World) {
    world.grant(alice(), &["GET"]).await;
    let error = import(&world, alice(), Slot::Primary, &token(UUID)).await.unwrap_err();
    assert!(matches!(error, ManageError::Import(ValueError::TokenForeign)), "{error}");
    let world = world.again(TokenScheme::default().accept_foreign_tokens(true), |b| b).await;
    let issued = world.manager.issue(&Actor::User, alice()).await.unwrap();
    let mut text = issued.token.expose_secret().to_owned();
    let wrong = if text.ends_with('0') { "1" } else { "0" };
    text.replace_range(text.len() - 1.., wrong);
    let error = import(&world, alice(), Slot::Backup, &token(&text)).await.unwrap_err();
    assert!(matches!(error, ManageError::Import(ValueError::TokenDamaged)), "{error}");
}

/// The form of the token behind it cannot be known.
async fn a_digest_is_refused_where_its_token_might_not_pass(world: World) {
    world.grant(alice(), &["GET"]).await;
    let digest = ImportedToken::Sha256(sha256(UUID));
    let error = import(&world, alice(), Slot::Primary, &digest).await.unwrap_err();
    assert!(matches!(error, ManageError::Import(ValueError::TokenFormUnknown)), "{error}");
    assert!(error.to_string().contains("accept_foreign_tokens(true)"), "{error}");
    let items = [ImportItem::new(alice().clone(), Slot::Primary, digest.clone())];
    let manager = &world.manager;
    for answers in [
        manager.rehearse_import(root(), &items).await.unwrap(),
        manager.import_many(root(), &items).await.unwrap(),
    ] {
        let [Err(ManageError::Import(why))] = &answers[..] else { panic!("{answers:?}") };
        assert_eq!(*why, ValueError::TokenFormUnknown);
    }
    assert!(world.account().await.primary().is_none());
    let world = world.accepting_foreign().await;
    import(&world, alice(), Slot::Primary, &digest).await.unwrap();
    assert_eq!(world.auth_text(UUID, "GET").await, Ok(Slot::Primary));
}

async fn a_weak_token_is_refused(world: World) {
    let world = accepting(world).await;
    for weak in ["hunter2", "12345678912345678912", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        let error = import(&world, alice(), Slot::Primary, &token(weak)).await.unwrap_err();
        assert!(matches!(error, ManageError::Import(ValueError::TokenWeak)), "{weak}: {error}");
    }
}

async fn a_token_of_a_former_prefix_is_no_foreign_one(world: World) {
    let elsewhere = World::in_memory().await;
    let old = elsewhere.active().await;
    let scheme = TokenScheme::new(TokenPrefix::new("acme").unwrap());
    let world = world.again(scheme.clone(), |b| b).await;
    world.grant(alice(), &["GET"]).await;
    let old = ImportedToken::Token(old.token);
    let error = import(&world, alice(), Slot::Primary, &old).await.unwrap_err();
    assert!(matches!(error, ManageError::Import(ValueError::TokenForeign)), "{error}");
    let world = world.again(scheme.former_prefix(TokenPrefix::standard()), |b| b).await;
    import(&world, alice(), Slot::Primary, &old).await.unwrap();
    let view = world.manager.view(alice()).await.unwrap().primary.unwrap();
    assert!(view.hint.as_str().starts_with("tat_..."));
}
