//! Requests beside changes, and changes beside changes.

use std::sync::Arc;

use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::thread;

use crate::account::Slot;
use crate::memory::explored::{Explored, Flaw, Written};
use crate::model::Act;
use crate::schedules::explore;
use crate::user::UserId;

/// How many schedules with each number of preemptions. The broken twins fall
/// within the first forty.
const SCHEDULES: usize = 1_000;

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// Alice with token 1, as the only user.
fn alice_with_a_token(flaw: Flaw) -> (Explored, UserId) {
    let (store, alice) = (Explored::new(flaw), user("alice"));
    for act in [Act::Grant(&["GET"]), Act::Issue { digest: 1 }] {
        store.act(&alice, &act).expect("a first token");
    }
    (store, alice)
}

/// A rotation by the procedure beside two clients: one uses the old token until
/// it is deleted, one the new token once it is confirmed.
fn a_rotation_beside_its_clients(flaw: Flaw) {
    let (store, alice) = alice_with_a_token(flaw);
    let [confirmed, deleting] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let old = {
        let (store, deleting) = (store.clone(), Arc::clone(&deleting));
        thread::spawn(move || {
            for _ in 0..3 {
                let accepted = store.accepts(1);
                assert!(accepted || deleting.load(Ordering::SeqCst), "a live token was refused");
            }
        })
    };
    let new = {
        let (store, confirmed) = (store.clone(), Arc::clone(&confirmed));
        thread::spawn(move || {
            for _ in 0..3 {
                let live = confirmed.load(Ordering::SeqCst);
                assert!(store.accepts(2) || !live, "a live token was refused");
            }
        })
    };
    store.act(&alice, &Act::Generate { digest: 2, code: 1, replacing: None }).unwrap();
    assert!(!store.accepts(2), "a pending token was accepted");
    store.act(&alice, &Act::Confirm { code: 1 }).unwrap();
    confirmed.store(true, Ordering::SeqCst);
    deleting.store(true, Ordering::SeqCst);
    store.act(&alice, &Act::Delete { id: 1, even_if_in_use: true }).unwrap();
    assert!(!store.accepts(1), "a deleted token was accepted");
    old.join().unwrap();
    new.join().unwrap();
}

#[test]
fn store_034_a_token_that_stays_live_is_found_in_every_instant() {
    explore(SCHEDULES, || a_rotation_beside_its_clients(Flaw::None));
}

#[test]
#[should_panic(expected = "a live token was refused")]
fn a_twin_that_takes_away_first_is_caught() {
    explore(SCHEDULES, || a_rotation_beside_its_clients(Flaw::TakesAwayFirst));
}

/// A rotation that is taken back beside a client that has kept the old token: it
/// was the primary, is the backup, and is the primary again.
fn a_roll_back_beside_the_client_of_the_backup(flaw: Flaw) {
    let (store, alice) = alice_with_a_token(flaw);
    let client = {
        let store = store.clone();
        thread::spawn(move || {
            for _ in 0..3 {
                assert!(store.accepts(1), "a live token was refused");
            }
        })
    };
    store.act(&alice, &Act::Generate { digest: 2, code: 1, replacing: None }).unwrap();
    store.act(&alice, &Act::Confirm { code: 1 }).unwrap();
    store.act(&alice, &Act::RollBack { id: 2, even_if_in_use: true }).unwrap();
    client.join().unwrap();
}

#[test]
fn store_034_a_backup_that_becomes_the_primary_is_found_in_every_instant() {
    explore(SCHEDULES, || a_roll_back_beside_the_client_of_the_backup(Flaw::None));
}

#[test]
#[should_panic(expected = "a live token was refused")]
fn a_twin_that_takes_away_first_is_caught_by_a_roll_back() {
    explore(SCHEDULES, || a_roll_back_beside_the_client_of_the_backup(Flaw::TakesAwayFirst));
}

/// What three threads write about two users, who also want the same digests, is
/// what a plain model makes of it.
fn changes_beside_changes(flaw: Flaw) {
    let store = Explored::new(flaw);
    let users = [user("alice"), user("bob")];
    for user in &users {
        store.act(user, &Act::Grant(&["GET"])).unwrap();
    }
    let acts = |number: u64| {
        [
            (0, Act::Issue { digest: 7 }),
            (1, Act::Import { slot: Slot::Primary, digest: 7 }),
            (number as usize % 2, Act::Generate { digest: 10 + number, code: 1, replacing: None }),
            (number as usize % 2, Act::Confirm { code: 1 }),
        ]
    };
    let threads = [1, 2, 3].map(|number: u64| {
        let (store, users) = (store.clone(), users.clone());
        thread::spawn(move || {
            let mut acts = acts(number);
            acts.rotate_left(number as usize);
            let acts = acts.iter().filter_map(|(user, act)| store.act(&users[*user], act));
            acts.collect::<Vec<_>>()
        })
    });
    let granted = users.iter().map(|user| {
        let (user, act) = (user.clone(), Act::Grant(&["GET"]));
        Written { user, revision: 1, act }
    });
    let mut written: Vec<_> = granted.collect();
    for thread in threads {
        written.extend(thread.join().unwrap());
    }
    store.judge(&users, &written);
}

#[test]
fn store_034_what_threads_write_at_once_is_what_the_model_makes_of_it() {
    explore(SCHEDULES, || changes_beside_changes(Flaw::None));
}

#[test]
#[should_panic(expected = "a change was lost")]
fn a_twin_that_ignores_the_revision_is_caught() {
    explore(SCHEDULES, || changes_beside_changes(Flaw::IgnoresTheRevision));
}

#[test]
fn store_034_no_request_after_a_revocation_is_accepted() {
    explore(SCHEDULES, || {
        let (store, alice) = alice_with_a_token(Flaw::None);
        let revoked = Arc::new(AtomicBool::new(false));
        let requests = [1, 2].map(|_| {
            let (store, revoked) = (store.clone(), Arc::clone(&revoked));
            thread::spawn(move || {
                for _ in 0..2 {
                    let late = revoked.load(Ordering::SeqCst);
                    assert!(!(store.accepts(1) && late), "a revoked token was accepted");
                }
            })
        });
        store.act(&alice, &Act::RevokeAll).unwrap();
        revoked.store(true, Ordering::SeqCst);
        let retired = store.find(1).expect("a retired digest is remembered");
        assert_eq!(retired, store.load(&alice));
        for request in requests {
            request.join().unwrap();
        }
    });
}

#[test]
fn store_034_of_two_accounts_that_want_a_digest_one_gets_it() {
    explore(SCHEDULES, || {
        let (store, users) = (Explored::new(Flaw::None), [user("alice"), user("bob")]);
        let threads = users.clone().map(|user| {
            let store = store.clone();
            thread::spawn(move || {
                store.act(&user, &Act::Grant(&["GET"])).unwrap();
                store.act(&user, &Act::Issue { digest: 7 }).map(|written| written.user)
            })
        });
        let winners: Vec<_> =
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert_eq!(store.find(7).unwrap().user(), &winners[0]);
    });
}
