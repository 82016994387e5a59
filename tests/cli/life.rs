//! The life of a token by commands: recorded as a transcript, and each refusal.

use crate::program::Place;

#[test]
fn a_backup_is_deleted_and_a_primary_given_up_by_their_ids() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    rotate(&place);
    place.run(&["token", "delete-backup", "alice", "2", "--even-if-in-use"]).exited(3);
    place.run(&["token", "roll-back", "alice", "2", "--even-if-in-use"]).succeeded();
    place.run(&["token", "roll-back", "alice", "2", "--even-if-in-use"]).exited(4);
    rotate(&place);
    place.run(&["token", "delete-backup", "alice", "1"]).exited(3).says("--even-if-in-use");
    place.run(&["token", "delete-backup", "alice", "1", "--even-if-in-use"]).succeeded();
    place.run(&["token", "delete-backup", "alice", "1", "--even-if-in-use"]).exited(4);
    let view = place.run(&["user", "show", "alice", "--json"]).succeeded().json();
    assert_eq!((&view[0]["primary"]["id"], view[0]["backup"].is_null()), (&3.into(), true));
}

#[test]
fn a_pending_token_is_resent_cancelled_and_replaces_a_backup_that_is_named() {
    let place = Place::new();
    place.user_with_token("alice", &["GET"]);
    rotate(&place);
    place.run(&["token", "generate", "alice"]).exited(3).says("--replacing-backup 1");
    place.run(&["token", "generate", "alice", "--replacing-backup", "1"]).succeeded();
    place.run(&["token", "resend", "alice", "3"]).exited(3).says("try again in");
    place.run(&["token", "cancel-pending", "alice", "3"]).succeeded();
    place.run(&["token", "cancel-pending", "alice", "3"]).exited(4);
    place.run(&["token", "revoke-all", "alice"]).succeeded();
    place.run(&["token", "revoke-all", "alice"]).exited(4);
    place.run(&["token", "issue", "alice"]).succeeded();
    place.run(&["token", "issue", "alice"]).exited(3).says("token generate");
}

/// Generates and confirms.
fn rotate(place: &Place) {
    let generated = place.run(&["token", "generate", "alice", "--json"]).succeeded().json();
    let code = generated[0]["code"].as_str().unwrap();
    place.run_with(&["token", "confirm", "alice"], code).succeeded();
}
