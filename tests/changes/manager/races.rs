//! Many ask at once.

use std::collections::HashSet;

use tokio::task::JoinSet;
use tower_api_token::account::{Revision, Slot};
use tower_api_token::audit::Event;
use tower_api_token::denial::DenialKind;
use tower_api_token::manage::{Guard, ManageError, TokenManager};
use tower_api_token::method::MethodSet;
use tower_api_token::rotation::RotationError;
use tower_api_token::user::Actor;

use crate::manager::world::{World, alice, root};

on_every_store!(
    rotation_003_one_of_many_confirms,
    rotation_004_the_last_of_many_generates_wins,
    rotation_008_a_backup_is_deleted_once,
    rotation_009_delete_or_roll_back,
    changes_in_lockstep_all_get_their_turn,
    one_first_token_is_issued,
    of_many_administrators_who_saw_one_revision_one_decides,
    a_decision_about_another_revision_is_stale,
);

/// Runs `count` tasks at once.
async fn at_once<T, F>(
    manager: &TokenManager,
    count: usize,
    task: impl Fn(TokenManager, usize) -> F,
) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for number in 0..count {
        tasks.spawn(task(manager.clone(), number));
    }
    tasks.join_all().await
}

async fn rotation_003_one_of_many_confirms(world: World) {
    let old = world.active().await;
    let (new, code) = world.generate().await;
    let before = world.account().await.revision();
    let answers = at_once(&world.manager, 32, |manager, _| {
        let code = code.clone();
        async move { manager.confirm(&Actor::User, alice(), &code).await }
    });
    let mut confirmed = 0;
    for answer in answers.await {
        match answer {
            Ok(_) => confirmed += 1,
            Err(error) => {
                assert_eq!(error.refusal(), Some(RotationError::AlreadyConfirmed { id: new.id }));
            }
        }
    }
    assert_eq!(confirmed, 1);
    let account = world.account().await;
    assert_eq!(account.primary().unwrap().id, new.id);
    assert_eq!(account.backup().unwrap().id, old.id);
    assert_eq!(account.revision().as_u64(), before.as_u64() + 1);
    assert_eq!(world.log.count(|event| matches!(event, Event::PrimaryConfirmed { .. })), 1);
}

async fn rotation_004_the_last_of_many_generates_wins(world: World) {
    world.active().await;
    let generated = at_once(&world.manager, 32, |manager, _| async move {
        manager.generate_primary(&Actor::User, alice()).await.unwrap()
    });
    let generated = generated.await;
    let ids: HashSet<_> = generated.iter().map(|new| new.id).collect();
    assert_eq!(ids.len(), 32);
    let messages = std::mem::take(&mut *world.post.messages.lock().unwrap());
    assert_eq!(messages.len(), 32);
    let pending = world.account().await.pending().unwrap().token.id;
    for message in messages {
        let confirmed = world.manager.confirm(&Actor::User, alice(), &message.code).await;
        if message.token == pending {
            confirmed.unwrap();
        } else {
            assert_eq!(confirmed.unwrap_err().refusal(), Some(RotationError::UnknownCode));
        }
    }
    for new in generated {
        let expected =
            if new.id == pending { Ok(Slot::Primary) } else { Err(DenialKind::InvalidToken) };
        assert_eq!(world.auth(&new.token, "GET").await, expected);
    }
}

async fn rotation_008_a_backup_is_deleted_once(world: World) {
    let (_, old) = world.dual().await;
    let answers = at_once(&world.manager, 2, |manager, _| async move {
        manager.delete_backup(&Actor::User, alice(), old.id, Guard::EvenIfInUse).await
    });
    let refused: Vec<_> =
        answers.await.into_iter().filter_map(|answer| answer.err()?.refusal()).collect();
    assert_eq!(refused, [RotationError::AlreadyDone]);
    assert_eq!(world.log.count(|event| matches!(event, Event::BackupDeleted { .. })), 1);
    assert_eq!(world.history().await.iter().filter(|name| **name == "backup_deleted").count(), 1);
}

async fn rotation_009_delete_or_roll_back(world: World) {
    let mut ends = HashSet::new();
    for first in [0, 1].repeat(25) {
        let (new, old) = world.fresh_dual().await;
        let answers = at_once(&world.manager, 2, |manager, number| async move {
            let (user, guard) = (alice(), Guard::EvenIfInUse);
            if number == first {
                manager.delete_backup(&Actor::User, user, old, guard).await
            } else {
                manager.roll_back(&Actor::User, user, new, guard).await
            }
        });
        let done = answers.await.into_iter().filter(Result::is_ok).count();
        assert_eq!(done, 1, "one of the two wins");
        let account = world.account().await;
        let primary = account.primary().expect("a token is left").id;
        assert!(account.backup().is_none() && [new, old].contains(&primary));
        ends.insert(primary == new);
    }
    assert_eq!(ends.len(), 2, "both outcomes were seen");
}

/// All load, then all write: of those who read the same revision one wins.
async fn changes_in_lockstep_all_get_their_turn(world: World) {
    world.active().await;
    let grants = (0..60).map(|number| {
        let manager = world.manager.clone();
        async move {
            let methods = MethodSet::new(["GET".to_owned(), format!("M{number}")]).unwrap();
            manager.grant(root(), alice(), methods).await
        }
    });
    let granted = futures_util::future::join_all(grants).await;
    assert!(granted.iter().all(Result::is_ok));
    let revisions: HashSet<_> = granted.into_iter().map(|entry| entry.unwrap().revision).collect();
    assert_eq!(revisions.len(), 60);
}

async fn one_first_token_is_issued(world: World) {
    world.grant(alice(), &["GET"]).await;
    let issued = at_once(&world.manager, 8, |manager, _| async move {
        manager.issue(&Actor::User, alice()).await
    });
    let mut tokens = 0;
    for issued in issued.await {
        match issued {
            Ok(issued) => {
                tokens += 1;
                assert_eq!(world.auth(&issued.token, "GET").await, Ok(Slot::Primary));
            }
            Err(ManageError::Refused(refused)) => {
                assert_eq!(refused, RotationError::PrimaryExists);
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(tokens, 1);
}

async fn of_many_administrators_who_saw_one_revision_one_decides(world: World) {
    world.active().await;
    let shown = world.account().await.revision();
    let answers = at_once(&world.manager, 16, |manager, number| async move {
        let methods = MethodSet::new([format!("M{number}")]).unwrap();
        manager.at_revision(shown).grant(root(), alice(), methods).await
    });
    let mut granted = Vec::new();
    for answer in answers.await {
        match answer {
            Ok(entry) => granted.push(entry),
            Err(error) => assert_eq!(error.refusal(), Some(RotationError::Stale)),
        }
    }
    let [entry] = &granted[..] else { panic!("{granted:?}") };
    let Event::AccessGranted { methods, .. } = &entry.event else { panic!("{entry:?}") };
    let account = world.account().await;
    assert_eq!((account.methods(), account.revision()), (methods, entry.revision));
    assert_eq!(account.revision().as_u64(), shown.as_u64() + 1);
}

async fn a_decision_about_another_revision_is_stale(world: World) {
    let stale = Some(RotationError::Stale);
    let (manager, absent) = (&world.manager, Revision::ABSENT);
    let methods = |name: &str| MethodSet::new([name]).unwrap();
    let grant =
        async |shown, name| manager.at_revision(shown).grant(root(), alice(), methods(name)).await;
    let first = Revision::from_u64(1);
    assert_eq!(grant(first, "GET").await.unwrap_err().refusal(), stale, "there is no account");
    grant(absent, "GET").await.unwrap();
    assert_eq!(grant(absent, "PUT").await.unwrap_err().refusal(), stale, "there is one now");
    manager.issue(&Actor::User, alice()).await.unwrap();
    let before = world.account().await;
    let late = manager.at_revision(first);
    assert_eq!(late.revoke_all(root(), alice()).await.unwrap_err().refusal(), stale);
    assert_eq!(late.revoke_access(root(), alice()).await.unwrap_err().refusal(), stale);
    let generate = late.generate_primary(&Actor::User, alice());
    assert_eq!(generate.await.unwrap_err().refusal(), stale);
    assert_eq!(world.account().await, before);
    let at_it = manager.at_revision(before.revision());
    at_it.generate_primary(&Actor::User, alice()).await.unwrap();
    let now = world.account().await.revision();
    manager.at_revision(now).revoke_all(root(), alice()).await.unwrap();
    let now = world.account().await.revision();
    manager.at_revision(now).revoke_access(root(), alice()).await.unwrap();
}
