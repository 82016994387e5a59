//! Tokens that are kept sealed, and shown again.

use std::sync::Arc;

use tower_api_token::account::{Account, Slot, TokenRecord};
use tower_api_token::audit::Event;
use tower_api_token::manage::{Guard, ImportItem, ImportedToken, ManageError, TokenManagerBuilder};
use tower_api_token::rotation::RotationError;
use tower_api_token::sealing::{SealerError, SealingKey};
use tower_api_token::store::{AccountStore, Replacement, StoreErrorKind};
use tower_api_token::token::{Pepper, SealedToken, Token, TokenId, TokenScheme};
use tower_api_token::user::{Actor, UserId};

use crate::manager::store::{Call, Fault};
use crate::manager::world::{World, alice, bob, is_waiting, root, until_met};

on_every_store!(
    every_token_that_is_held_can_be_shown,
    an_imported_token_can_be_shown_and_a_digest_cannot,
    both_slots_of_a_batch_can_be_shown,
    each_reveal_is_in_the_history_with_its_actor,
    nothing_is_shown_that_the_history_cannot_keep,
    what_has_ended_is_shown_no_more,
    a_user_without_access_is_shown_nothing,
    without_a_key_nothing_is_kept,
    another_key_shows_nothing_of_the_former,
    bytes_of_another_place_are_never_shown,
    a_text_that_is_not_the_token_is_never_shown,
    a_token_under_the_former_pepper_is_shown,
    a_token_sealed_in_a_lost_race_opens,
    nothing_of_a_sealed_token_is_printed,
);

fn key(id: u32) -> SealingKey {
    let bytes: [u8; 32] = std::array::from_fn(|place| place as u8 ^ id as u8);
    SealingKey::new(id, &bytes).unwrap()
}

fn sealing(id: u32) -> impl FnOnce(TokenManagerBuilder) -> TokenManagerBuilder {
    move |builder| builder.sealer(key(id))
}

/// The same store, with a manager that has that key.
async fn with_key(world: World, id: u32) -> World {
    world.again(TokenScheme::default().accept_foreign_tokens(true), sealing(id)).await
}

async fn reveal(world: &World, user: &UserId, id: TokenId) -> Result<Token, ManageError> {
    world.manager.reveal(&Actor::User, user, id).await
}

async fn shows(world: &World, id: TokenId, token: &Token) {
    let shown = reveal(world, alice(), id).await.unwrap();
    assert_eq!(shown.expose_secret(), token.expose_secret());
}

/// What the view says of the primary, the backup and the pending token.
async fn revealable(world: &World) -> [Option<bool>; 3] {
    let view = world.manager.view(alice()).await.unwrap();
    let slot = |token: Option<tower_api_token::manage::TokenView>| token.map(|it| it.revealable);
    [slot(view.primary), slot(view.backup), view.pending.map(|pending| pending.revealable)]
}

async fn every_token_that_is_held_can_be_shown(world: World) {
    let world = with_key(world, 1).await;
    let (primary, backup) = world.dual().await;
    let pending =
        world.manager.generate_primary_replacing(&Actor::User, alice(), backup.id).await.unwrap();
    assert_eq!(revealable(&world).await, [Some(true); 3]);
    // Twice, since a reveal takes nothing away.
    for _ in 0..2 {
        shows(&world, primary.id, &primary.token).await;
        shows(&world, backup.id, &backup.token).await;
        shows(&world, pending.id, &pending.token).await;
    }
    // And it has changed nothing for anybody.
    assert_eq!(world.auth(&primary.token, "GET").await, Ok(Slot::Primary));
    assert_eq!(world.auth(&backup.token, "GET").await, Ok(Slot::Backup));
    assert!(world.auth(&pending.token, "GET").await.is_err());
    world.confirm(&world.post.last_code()).await;
    shows(&world, pending.id, &pending.token).await;
    assert_eq!(world.auth(&pending.token, "GET").await, Ok(Slot::Primary));
}

async fn an_imported_token_can_be_shown_and_a_digest_cannot(world: World) {
    let world = with_key(world, 1).await;
    world.grant(alice(), &["GET"]).await;
    let foreign = Token::parse("3f2b8c1e-9d7a-4650-b1c2-d3e4f5a69788").unwrap();
    let plain = ImportedToken::Token(foreign.clone());
    world.manager.import(root(), alice(), Slot::Primary, &plain, None).await.unwrap();
    let digest = ImportedToken::Sha256([7; 32]);
    world.manager.import(root(), alice(), Slot::Backup, &digest, None).await.unwrap();
    assert_eq!(revealable(&world).await, [Some(true), Some(false), None]);
    let view = world.manager.view(alice()).await.unwrap();
    shows(&world, view.primary.unwrap().id, &foreign).await;
    let (before, backup) = (world.history().await, view.backup.unwrap().id);
    let error = reveal(&world, alice(), backup).await.unwrap_err();
    assert!(matches!(error, ManageError::NotSealed), "{error}");
    assert_eq!(world.history().await, before, "nothing was shown, and nothing says so");
    // By the thousand, behind a grant of the same batch.
    let many = Token::parse("64bdb043bbd343669434220bd83869dd").unwrap();
    let mut item =
        ImportItem::new(bob().clone(), Slot::Primary, ImportedToken::Token(many.clone()));
    item.methods = Some(tower_api_token::method::MethodSet::new(["GET"]).unwrap());
    world.manager.import_many(root(), &[item]).await.unwrap().pop().unwrap().unwrap();
    let id = world.manager.view(bob()).await.unwrap().primary.unwrap().id;
    assert_eq!(
        reveal(&world, bob(), id).await.unwrap().expose_secret(),
        many.expose_secret(),
        "in a batch"
    );
}

/// The second token of a batch is sealed under the id that it will have.
async fn both_slots_of_a_batch_can_be_shown(world: World) {
    let world = with_key(world, 1).await;
    let texts = ["3f2b8c1e-9d7a-4650-b1c2-d3e4f5a69788", "64bdb043bbd343669434220bd83869dd"];
    let item = |slot, text: &str| {
        let token = ImportedToken::Token(Token::parse(text).unwrap());
        let mut item = ImportItem::new(alice().clone(), slot, token);
        item.methods = Some(tower_api_token::method::MethodSet::new(["GET"]).unwrap());
        item
    };
    let items = [item(Slot::Primary, texts[0]), item(Slot::Backup, texts[1])];
    for answer in world.manager.import_many(root(), &items).await.unwrap() {
        answer.unwrap();
    }
    let view = world.manager.view(alice()).await.unwrap();
    let ids = [view.primary.unwrap().id, view.backup.unwrap().id];
    for (id, text) in ids.into_iter().zip(texts) {
        shows(&world, id, &Token::parse(text).unwrap()).await;
    }
}

async fn each_reveal_is_in_the_history_with_its_actor(world: World) {
    let world = with_key(world, 1).await;
    let issued = world.active().await;
    let before = world.account().await.revision();
    for actor in [&Actor::User, root()] {
        world.manager.reveal(actor, alice(), issued.id).await.unwrap();
        let told = world.log.entries().pop().unwrap();
        assert_eq!(told.event, Event::TokenRevealed { id: issued.id });
        assert_eq!((&told.actor, &told.user), (actor, alice()));
        let size = tower_api_token::store::PageSize::clamped(1);
        let history = world.manager.history(alice(), None, size).await.unwrap();
        assert_eq!(history.items, [told]);
    }
    assert_eq!(world.account().await.revision().as_u64(), before.as_u64() + 2);
    // Who has the user's session needs nothing else to see a token that works.
    let notices = world.post.notices.lock().unwrap();
    let told: Vec<_> = notices.iter().map(|notice| (&notice.event, &notice.actor)).collect();
    let revealed = Event::TokenRevealed { id: issued.id };
    assert_eq!(told, [(&revealed, &Actor::User), (&revealed, root())]);
}

async fn nothing_is_shown_that_the_history_cannot_keep(world: World) {
    let world = with_key(world, 1).await;
    let issued = world.active().await;
    let (before, told) = (world.account().await, world.log.entries().len());
    for call in [Call::Load, Call::Replace] {
        for kind in [StoreErrorKind::Unavailable, StoreErrorKind::Corrupt] {
            world.store.plan(call, Fault::Error(kind));
            let error = reveal(&world, alice(), issued.id).await.unwrap_err();
            let ManageError::Store(error) = error else { panic!("{error}") };
            assert_eq!(error.kind(), kind);
            assert_eq!(world.store.unmet(), 0);
        }
    }
    // Written, but nobody can tell: not shown either.
    world.store.plan(Call::Replace, Fault::Error(StoreErrorKind::Unavailable));
    world.store.plan(Call::History, Fault::Error(StoreErrorKind::Unavailable));
    assert!(reveal(&world, alice(), issued.id).await.is_err());
    world.store.plan(Call::Replace, Fault::Hang);
    let mut hanging = Box::pin(reveal(&world, alice(), issued.id));
    until_met(&world, &mut hanging).await;
    assert!(is_waiting(&mut hanging));
    drop(hanging);
    assert_eq!(world.account().await, before);
    assert_eq!(world.log.entries().len(), told);
    // The answer is lost, but the history has it.
    world.store.plan(Call::Replace, Fault::LostAnswer);
    shows(&world, issued.id, &issued.token).await;
    assert_eq!(world.history().await.last(), Some(&"token_revealed"));
}

async fn what_has_ended_is_shown_no_more(world: World) {
    let world = with_key(world, 1).await;
    let (primary, backup) = world.dual().await;
    let (manager, user) = (&world.manager, &Actor::User);
    manager.delete_backup(user, alice(), backup.id, Guard::EvenIfInUse).await.unwrap();
    let (first, _) = world.generate().await;
    let (second, _) = world.generate().await;
    manager.cancel_pending(user, alice(), second.id).await.unwrap();
    let stale = |error: ManageError| assert_eq!(error.refusal(), Some(RotationError::Stale));
    for id in [backup.id, first.id, second.id, TokenId::from_u64(77)] {
        stale(reveal(&world, alice(), id).await.unwrap_err());
    }
    // One that ends while it is asked for.
    world.store.plan(Call::Replace, Fault::Held(Some(StoreErrorKind::Conflict)));
    let mut asking = Box::pin(reveal(&world, alice(), primary.id));
    until_met(&world, &mut asking).await;
    manager.revoke_all(user, alice()).await.unwrap();
    world.store.let_go();
    stale(asking.await.unwrap_err());
    assert!(!world.history().await.contains(&"token_revealed"));
}

async fn a_user_without_access_is_shown_nothing(world: World) {
    let world = with_key(world, 1).await;
    let issued = world.active().await;
    let nobody = reveal(&world, bob(), issued.id).await.unwrap_err();
    assert_eq!(nobody.refusal(), Some(RotationError::NoAccess));
    world.manager.revoke_access(root(), alice()).await.unwrap();
    let error = reveal(&world, alice(), issued.id).await.unwrap_err();
    assert_eq!(error.refusal(), Some(RotationError::NoAccess));
    world.grant(alice(), &["GET"]).await;
    let error = reveal(&world, alice(), issued.id).await.unwrap_err();
    assert_eq!(error.refusal(), Some(RotationError::Stale));
}

async fn without_a_key_nothing_is_kept(world: World) {
    let (primary, _) = world.dual().await;
    world
        .manager
        .delete_backup(root(), alice(), TokenId::from_u64(1), Guard::EvenIfInUse)
        .await
        .unwrap();
    world.generate().await;
    let account = world.account().await;
    let tokens = account.primary().into_iter().chain(account.pending().map(|it| &it.token));
    assert!(tokens.into_iter().all(|token| token.sealed.is_none()));
    assert_eq!(revealable(&world).await, [Some(false), None, Some(false)]);
    let error = reveal(&world, alice(), primary.id).await.unwrap_err();
    assert!(matches!(error, ManageError::NoSealer), "{error}");
    // Nor does a key that comes later bring it back.
    let world = with_key(world, 1).await;
    let error = reveal(&world, alice(), primary.id).await.unwrap_err();
    assert!(matches!(error, ManageError::NotSealed), "{error}");
}

async fn another_key_shows_nothing_of_the_former(world: World) {
    let world = with_key(world, 1).await;
    let old = world.active().await;
    let world = with_key(world, 2).await;
    let (new, _) = world.generate().await;
    assert_eq!(revealable(&world).await, [Some(false), None, Some(true)]);
    let error = reveal(&world, alice(), old.id).await.unwrap_err();
    let ManageError::Sealer(SealerError::OtherKey { id }) = error else { panic!("{error}") };
    assert_eq!(id, key(1).id().to_string());
    shows(&world, new.id, &new.token).await;
    // The old token works on, and the old key opens it.
    assert_eq!(world.auth(&old.token, "GET").await, Ok(Slot::Primary));
    let world = with_key(world, 1).await;
    shows(&world, old.id, &old.token).await;
    // Another key under the same id opens nothing, and says so.
    let impostor = SealingKey::new(1, b"another key of thirty-two bytes!").unwrap();
    let world = world.again(TokenScheme::default(), |b| b.sealer(impostor)).await;
    let error = reveal(&world, alice(), old.id).await.unwrap_err();
    assert!(matches!(error, ManageError::Sealer(SealerError::Unreadable)), "{error}");
    assert_eq!(world.history().await.iter().filter(|name| **name == "token_revealed").count(), 2);
}

/// Writes to the store what no manager would: that sealed text for alice's
/// primary.
async fn plant(world: &World, sealed: SealedToken) {
    let account: Arc<Account> = world.account().await;
    let mut primary: TokenRecord = account.primary().unwrap().clone();
    primary.sealed = Some(sealed);
    let revision = tower_api_token::account::Revision::from_u64(account.revision().as_u64() + 1);
    let planted = Account::builder(alice().clone())
        .revision(revision)
        .methods(account.methods().clone())
        .primary(primary)
        .next_token(account.next_token())
        .build()
        .unwrap();
    let mut entry = world.log.entries().pop().unwrap();
    entry.revision = revision;
    let replacement = Replacement::new(planted, Some(account.revision()), entry);
    world.store.replace(replacement).await.unwrap();
}

async fn bytes_of_another_place_are_never_shown(world: World) {
    let world = with_key(world, 1).await;
    let mine = world.active().await;
    world.grant(bob(), &["GET"]).await;
    world.manager.issue(&Actor::User, bob()).await.unwrap();
    // Bob's token has the same id as alice's.
    let theirs = world.store.load(bob()).await.unwrap().account.unwrap();
    let own = world.account().await.primary().unwrap().sealed.clone().unwrap();
    assert_eq!(theirs.primary().unwrap().id, mine.id);
    let mut cut = own.as_bytes().to_vec();
    cut.pop();
    for sealed in [
        theirs.primary().unwrap().sealed.clone().unwrap(),
        SealedToken::from_bytes(cut),
        SealedToken::from_bytes([]),
        SealedToken::from_bytes(mine.token.expose_secret().as_bytes()),
    ] {
        plant(&world, sealed).await;
        let error = reveal(&world, alice(), mine.id).await.unwrap_err();
        assert!(matches!(error, ManageError::Sealer(SealerError::Unreadable)), "{error}");
    }
    plant(&world, own).await;
    shows(&world, mine.id, &mine.token).await;
}

/// Sealed with the right key, for the right place: of another store, in which
/// the same user's token has the same id.
async fn a_text_that_is_not_the_token_is_never_shown(world: World) {
    let world = with_key(world, 1).await;
    let mine = world.active().await;
    let other = with_key(World::in_memory().await, 1).await;
    let theirs = other.active().await;
    assert_eq!(mine.id, theirs.id);
    plant(&world, other.account().await.primary().unwrap().sealed.clone().unwrap()).await;
    let error = reveal(&world, alice(), mine.id).await.unwrap_err();
    assert!(matches!(error, ManageError::Sealer(SealerError::Unreadable)), "{error}");
}

async fn a_token_under_the_former_pepper_is_shown(world: World) {
    let pepper = |version| Pepper::new(version, &[version as u8; 32]).unwrap();
    let first = TokenScheme::default().pepper(pepper(1)).unwrap();
    let world = world.again(first.clone(), sealing(1)).await;
    let issued = world.active().await;
    let second = TokenScheme::default().pepper(pepper(2)).unwrap();
    let world = world.again(second.former_pepper(pepper(1)).unwrap(), sealing(1)).await;
    shows(&world, issued.id, &issued.token).await;
    let (new, code) = world.generate().await;
    world.confirm(&code).await;
    shows(&world, new.id, &new.token).await;
}

/// The id that a token gets is known only when its change is written: another
/// may have taken the one that was next.
async fn a_token_sealed_in_a_lost_race_opens(world: World) {
    let world = with_key(world, 1).await;
    world.active().await;
    world.store.plan(Call::Replace, Fault::Held(None));
    let mut generating =
        Box::pin(world.manager.generate_primary(&Actor::User, alice()).into_future());
    until_met(&world, &mut generating).await;
    let (winner, _) = world.generate().await;
    world.store.let_go();
    let late = generating.await.unwrap();
    assert!(late.id > winner.id);
    shows(&world, late.id, &late.token).await;
}

async fn nothing_of_a_sealed_token_is_printed(world: World) {
    let world = with_key(world, 1).await;
    let issued = world.active().await;
    let account = world.account().await;
    let sealed = account.primary().unwrap().sealed.clone().unwrap();
    let shown = reveal(&world, alice(), issued.id).await.unwrap();
    let printed = format!("{account:?} {sealed:?} {shown:?} {:?} {:?}", key(1), world.manager);
    let list = format!("{:?}", &sealed.as_bytes()[30..40]);
    assert!(!printed.contains(list.trim_matches(['[', ']'])), "{printed}");
    assert!(!printed.contains(&issued.token.expose_secret()[4..12]), "{printed}");
    assert!(printed.contains("SealedToken(..)") && printed.contains("Token(..)"));
}
