//! The faults that every store shared by several nodes must stand.

use crate::faults;
use crate::postgres_store::engine::Postgres;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn store_019_a_server_that_is_killed_keeps_what_it_has_acknowledged() {
    faults::the_server_is_killed_during_rotations(Postgres::own().await).await;
}

#[tokio::test]
async fn store_021_a_lost_answer_to_a_commit_is_found_out() {
    faults::answers_to_changes_are_lost(Postgres::shared().await).await;
}

#[tokio::test]
async fn cache_004_a_change_in_the_gap_of_a_terminated_listener_is_not_missed() {
    faults::listeners_are_ended(Postgres::shared().await).await;
}

#[tokio::test]
async fn cache_005_cache_037_a_node_whose_network_is_cut_or_half_open_keeps_the_bound() {
    faults::networks_break(Postgres::shared().await).await;
}

#[tokio::test]
async fn a_client_that_rotates_over_a_broken_network_is_never_refused() {
    faults::a_client_rotates_over_a_broken_network(Postgres::shared().await).await;
}

#[tokio::test]
async fn a_pending_token_is_refused_everywhere_until_it_is_confirmed() {
    faults::a_pending_token_is_polled(Postgres::shared().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_hangs_under_load_is_answered_for_with_503() {
    faults::the_server_hangs_under_load(Postgres::own().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cache_027_a_node_suspended_for_ten_times_the_bound_first_answers_right() {
    faults::nodes_are_suspended(Postgres::shared().await).await;
}

#[tokio::test]
async fn cache_003_a_look_up_that_read_before_the_change_leaves_nothing_behind() {
    faults::a_load_is_overtaken_by_a_revocation(Postgres::shared().await).await;
}

#[tokio::test]
async fn cache_036_a_node_that_starts_without_its_feed_answers_nothing_from_memory() {
    faults::a_node_starts_without_its_feed(Postgres::shared().await).await;
}
