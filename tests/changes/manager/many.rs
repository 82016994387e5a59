//! Imports by the thousand.

use tower_api_token::account::Slot;
use tower_api_token::audit::AuditEntry;
use tower_api_token::manage::{ImportItem, ImportedToken, ManageError};
use tower_api_token::method::MethodSet;
use tower_api_token::rotation::RotationError;
use tower_api_token::store::{AccountStore, PageSize, StoreErrorKind};
use tower_api_token::token::Token;
use tower_api_token::user::{Actor, UserId};

use crate::manager::store::{Call, Fault};
use crate::manager::world::{World, alice, bob, root, until_met};

on_every_store!(
    a_thousand_rows_are_one_transaction,
    the_same_rows_again_change_nothing,
    a_refused_row_leaves_the_others_alone,
    both_slots_of_a_user_in_one_batch,
    a_row_that_stands_twice_is_there_already,
    a_row_without_methods_grants_none,
    a_row_that_lost_a_race_is_tried_alone,
    a_row_that_lost_a_race_and_is_refused_changes_nothing,
    an_outage_imports_nothing,
    a_lost_answer_is_made_good_by_the_next_run,
    a_rehearsal_writes_nothing,
);

fn get() -> MethodSet {
    MethodSet::new(["GET"]).unwrap()
}

fn user(number: u16) -> UserId {
    UserId::new(format!("user-{number:04}")).unwrap()
}

fn sha(number: u16) -> ImportedToken {
    let mut sha256 = [0; 32];
    sha256[..2].copy_from_slice(&number.to_be_bytes());
    ImportedToken::Sha256(sha256)
}

fn row(user: &UserId, slot: Slot, token: ImportedToken) -> ImportItem {
    let mut item = ImportItem::new(user.clone(), slot, token);
    item.methods = Some(get());
    item
}

fn rows(numbers: std::ops::Range<u16>) -> Vec<ImportItem> {
    numbers.map(|number| row(&user(number), Slot::Primary, sha(number))).collect()
}

async fn import(world: &World, items: &[ImportItem]) -> Vec<Option<RotationError>> {
    why(world.manager.import_many(root(), items).await.unwrap())
}

/// `None` for a row that was imported.
fn why(answers: Vec<Result<AuditEntry, ManageError>>) -> Vec<Option<RotationError>> {
    answers.into_iter().map(|answer| answer.err().map(|error| error.refusal().unwrap())).collect()
}

async fn a_thousand_rows_are_one_transaction(world: World) {
    let world = world.accepting_foreign().await;
    let answers = import(&world, &rows(0..1_000)).await;
    assert!(answers.iter().all(Option::is_none) && answers.len() == 1_000);
    assert_eq!(world.store.take_calls(Call::ReplaceMany), 1, "no grant without its token");
    assert_eq!(world.log.entries().len(), 2_000);
    let page = world.manager.list(None, PageSize::MAX).await.unwrap();
    assert_eq!(page.items.len(), 1_000);
    assert!(page.items.iter().all(|account| account.primary.is_some()
        && account.methods == get()
        && account.revision.as_u64() == 2));
}

async fn the_same_rows_again_change_nothing(world: World) {
    let world = world.accepting_foreign().await;
    import(&world, &rows(0..50)).await;
    let told = world.log.entries().len();
    world.store.take_calls(Call::ReplaceMany);
    let answers = import(&world, &rows(0..50)).await;
    assert_eq!(answers, [Some(RotationError::AlreadyDone); 50]);
    assert_eq!(world.store.take_calls(Call::ReplaceMany), 0);
    assert_eq!(world.log.entries().len(), told);
    // Stopped half-way and started anew.
    let answers = import(&world, &rows(0..100)).await;
    assert_eq!(answers[..50], [Some(RotationError::AlreadyDone); 50]);
    assert_eq!(answers[50..], [None; 50]);
}

async fn a_refused_row_leaves_the_others_alone(world: World) {
    let world = world.accepting_foreign().await;
    world.active().await;
    let weak = ImportedToken::Token(Token::parse("hunter2").unwrap());
    let items = [
        row(&user(1), Slot::Primary, sha(1)),
        row(&user(2), Slot::Primary, weak),
        row(alice(), Slot::Primary, sha(3)),
        row(&user(4), Slot::Primary, sha(1)),
        row(&user(5), Slot::Backup, sha(5)),
        row(&user(6), Slot::Primary, sha(6)),
    ];
    let mut answers = world.manager.import_many(root(), &items).await.unwrap();
    let weak = answers.remove(1).unwrap_err();
    assert!(matches!(weak, ManageError::Import(_)), "{weak}");
    let expected = [
        None,
        Some(RotationError::SlotTaken { slot: Slot::Primary }),
        Some(RotationError::DigestInUse),
        Some(RotationError::NoLivePrimary),
        None,
    ];
    assert_eq!(why(answers), expected);
    // The methods of a refused row are not granted.
    assert_eq!(world.account().await.methods().to_string(), "GET, POST");
    for refused in [user(2), user(4), user(5)] {
        assert!(world.store.load(&refused).await.unwrap().account.is_none());
    }
}

async fn both_slots_of_a_user_in_one_batch(world: World) {
    let world = world.accepting_foreign().await;
    let items = [row(bob(), Slot::Primary, sha(1)), row(bob(), Slot::Backup, sha(2))];
    assert_eq!(import(&world, &items).await, [None, None]);
    assert_eq!(world.store.take_calls(Call::ReplaceMany), 1);
    let account = world.store.load(bob()).await.unwrap().account.unwrap();
    assert!(account.primary().is_some() && account.backup().is_some());
    assert_eq!(account.revision().as_u64(), 3);
    let history = world.store.history(bob(), None, PageSize::MAX).await.unwrap().items;
    let names: Vec<_> = history.iter().rev().map(|entry| entry.event.name()).collect();
    assert_eq!(names, ["access_granted", "token_imported", "token_imported"]);
    let told: Vec<_> = world.log.entries().iter().map(|entry| entry.revision.as_u64()).collect();
    assert_eq!(told, [1, 2, 3]);
}

async fn a_row_that_stands_twice_is_there_already(world: World) {
    let world = world.accepting_foreign().await;
    let own = row(alice(), Slot::Primary, sha(1));
    let as_backup = row(alice(), Slot::Backup, sha(1));
    let of_another = row(bob(), Slot::Primary, sha(1));
    let rows = [own.clone(), own, as_backup, of_another];
    let (twice, taken) = (Some(RotationError::AlreadyDone), Some(RotationError::DigestInUse));
    assert_eq!(import(&world, &rows).await, [None, twice, taken, taken]);
    // As in a second run.
    assert_eq!(import(&world, &rows).await, [twice, twice, taken, taken]);
}

async fn a_row_without_methods_grants_none(world: World) {
    let world = world.accepting_foreign().await;
    world.grant(alice(), &["PUT"]).await;
    let items = [
        ImportItem::new(alice().clone(), Slot::Primary, sha(1)),
        ImportItem::new(bob().clone(), Slot::Primary, sha(2)),
    ];
    assert_eq!(import(&world, &items).await, [None, Some(RotationError::NoAccess)]);
    assert_eq!(world.account().await.methods().to_string(), "PUT");
    // Nor does a row take access away.
    let mut item = ImportItem::new(alice().clone(), Slot::Backup, sha(3));
    item.methods = Some(MethodSet::empty());
    assert_eq!(import(&world, &[item]).await, [Some(RotationError::NoAccess)]);
    assert!(world.account().await.primary().is_some());
}

/// Between the planning and the writing, one account changes and another takes
/// a token.
async fn a_row_that_lost_a_race_is_tried_alone(world: World) {
    let world = world.accepting_foreign().await;
    world.grant(bob(), &["PUT"]).await;
    let items = [
        row(alice(), Slot::Primary, sha(1)),
        row(alice(), Slot::Backup, sha(2)),
        row(&user(3), Slot::Primary, sha(3)),
        row(&user(4), Slot::Primary, sha(4)),
    ];
    world.store.plan(Call::ReplaceMany, Fault::Held(None));
    let mut importing = Box::pin(import(&world, &items));
    until_met(&world, &mut importing).await;
    world.grant(alice(), &["PUT"]).await;
    world.manager.import(root(), bob(), Slot::Primary, &sha(3), None).await.unwrap();
    world.store.let_go();
    assert_eq!(importing.await, [None, None, Some(RotationError::DigestInUse), None]);
    let account = world.account().await;
    assert!(account.primary().is_some() && account.backup().is_some());
    assert_eq!(account.methods(), &get());
    let names = world.history().await;
    assert_eq!(
        names,
        ["access_granted", "access_granted", "token_imported", "token_imported"],
        "each once"
    );
    assert_eq!(world.log.entries().iter().filter(|entry| entry.user == *alice()).count(), 4);
}

async fn a_row_that_lost_a_race_and_is_refused_changes_nothing(world: World) {
    let world = world.accepting_foreign().await;
    for (round, methods) in [&["GET", "DELETE"][..], &[]].into_iter().enumerate() {
        let user = user(round as u16);
        world.grant(&user, &["GET"]).await;
        let mut item = row(&user, Slot::Primary, sha(100 + round as u16));
        item.methods = Some(MethodSet::new(methods).unwrap());
        let items = [item];
        // Without access there is nothing to be faster than.
        if !methods.is_empty() {
            world.store.plan(Call::ReplaceMany, Fault::Held(None));
            let mut importing = Box::pin(import(&world, &items));
            until_met(&world, &mut importing).await;
            world.manager.issue(root(), &user).await.unwrap();
            world.store.let_go();
            let taken = RotationError::SlotTaken { slot: Slot::Primary };
            assert_eq!(importing.await, [Some(taken)]);
        } else {
            world.manager.issue(root(), &user).await.unwrap();
            assert!(import(&world, &items).await[0].is_some());
        }
        let account = world.store.load(&user).await.unwrap().account.unwrap();
        assert_eq!(account.methods(), &get(), "no method of a refused row is granted or taken");
        assert!(account.primary().is_some());
    }
}

async fn an_outage_imports_nothing(world: World) {
    let world = world.accepting_foreign().await;
    for call in [Call::Find, Call::Load, Call::ReplaceMany] {
        world.store.plan(call, Fault::Error(StoreErrorKind::Unavailable));
        let error = world.manager.import_many(root(), &rows(0..10)).await.unwrap_err();
        assert!(matches!(error, ManageError::Store(_)), "{call:?}: {error}");
        assert_eq!(world.store.unmet(), 0);
    }
    assert!(world.log.entries().is_empty());
    // One unreadable record stops no import.
    world.store.plan(Call::Load, Fault::Error(StoreErrorKind::Corrupt));
    let answers = world.manager.import_many(root(), &rows(0..10)).await.unwrap();
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 9);
}

async fn a_lost_answer_is_made_good_by_the_next_run(world: World) {
    let world = world.accepting_foreign().await;
    world.store.plan(Call::ReplaceMany, Fault::LostAnswer);
    let error = world.manager.import_many(root(), &rows(0..10)).await.unwrap_err();
    assert!(matches!(error, ManageError::Store(_)), "{error}");
    assert_eq!(import(&world, &rows(0..10)).await, [Some(RotationError::AlreadyDone); 10]);
    world.manager.idle().await;
    let told = if cfg!(feature = "tokio") { 20 } else { 0 };
    assert_eq!(world.log.entries().len(), told, "a grant and an import for each row");
}

async fn a_rehearsal_writes_nothing(world: World) {
    let world = world.accepting_foreign().await;
    world.active().await;
    let told = world.log.entries().len();
    let items = [
        row(&user(1), Slot::Primary, sha(1)),
        row(&user(2), Slot::Primary, sha(1)),
        row(alice(), Slot::Primary, sha(3)),
    ];
    let importer = Actor::program("importer").unwrap();
    let rehearsed = world.manager.rehearse_import(&importer, &items).await.unwrap();
    let expected = [
        None,
        Some(RotationError::DigestInUse),
        Some(RotationError::SlotTaken { slot: Slot::Primary }),
    ];
    assert_eq!(why(rehearsed), expected);
    assert!(world.store.load(&user(1)).await.unwrap().account.is_none());
    assert_eq!(world.log.entries().len(), told);
    assert_eq!(import(&world, &items).await, expected, "the same answers in earnest");
}
