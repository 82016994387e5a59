//! The one macro that makes tests of the cases.

/// Gives a store one named `#[test]` for each case of the
/// [conformance suite](crate::store::conformance), and each a second time with
/// the store behind an [`Arc`](std::sync::Arc).
///
/// `conformance_suite!(name, harness)`, outside of any function, makes a module
/// `name` of tests such as `name::plain::look_up::an_unknown_digest_is_none`,
/// and a function of the same name that makes the harness. `harness` is any
/// [`Harness`](crate::store::conformance::Harness), a closure such as
/// `|| async { MemoryStore::new() }` for one; each test evaluates it anew. What
/// else the harness can do follows it, joined by plus signs:
/// `conformance_suite!(name, harness, Migrating + Nodes + Failing + Interrupting)`.
///
/// What the store lacks stands at the end:
/// `conformance_suite!(name, harness, without Feed + LastUses + AuditLog + DueAccounts +
/// PepperChecks + Erasure)`, any of the six; or `KeptDone`, where there is an audit log
/// that keeps nothing [as done](crate::store::AuditLog::keep_done). The cases that need it are ignored, and the report says why; a
/// test holds that the store lacks it indeed.
#[macro_export]
macro_rules! conformance_suite {
    ($name:ident, $harness:expr $(, without $lack:ident $(+ $lacks:ident)*)? $(,)?) => {
        $crate::conformance_suite!(
            @suite $name, $harness; Harness; Harness; [$($lack $($lacks)*)?]
        );
    };
    (
        $name:ident, $harness:expr, $extra:ident $(+ $more:ident)*
        $(, without $lack:ident $(+ $lacks:ident)*)? $(,)?
    ) => {
        $crate::conformance_suite!(
            @suite $name, $harness; $extra $(+ $more)*; Harness $extra $($more)*;
            [$($lack $($lacks)*)?]
        );
    };
    (
        @suite $name:ident, $harness:expr; $one:ident $(+ $more:ident)*; $($tested:ident)*;
        [$($lack:ident)*]
    ) => {
        #[allow(
            clippy::implied_bounds_in_impls,
            reason = "one trait of a harness may imply another one that is named"
        )]
        fn $name() -> impl $crate::store::conformance::$one
        $(+ $crate::store::conformance::$more)* {
            $harness
        }

        mod $name {
            mod plain {
                $crate::conformance_suite!(
                    @groups super::super::super::$name(); [$($tested)*]; [$($lack)*]
                );
            }

            mod behind_an_arc {
                $crate::conformance_suite!(
                    @groups ::std::sync::Arc::new(super::super::super::$name());
                    [$($tested)*]; [$($lack)*]
                );
            }
        }
    };
    (@groups $harness:expr; [$($tested:ident)*]; $lacks:tt) => {
        $($crate::conformance_suite!(@$tested $harness; $lacks);)*
        $crate::conformance_suite!(@without $harness; $lacks);
    };
    (@without $harness:expr; []) => {};
    (@without $harness:expr; [$($lack:ident)*]) => {
        mod without {
            $($crate::conformance_suite!(@lacks $lack $harness);)*
        }
    };
    (@lacks Feed $harness:expr) => {
        $crate::conformance_suite!(@case $harness; without there_is_no_feed []; []);
    };
    (@lacks LastUses $harness:expr) => {
        $crate::conformance_suite!(@case $harness; without no_last_uses_are_kept []; []);
    };
    (@lacks AuditLog $harness:expr) => {
        $crate::conformance_suite!(@case $harness; without there_is_no_audit_log []; []);
    };
    (@lacks KeptDone $harness:expr) => {
        $crate::conformance_suite!(@case $harness; without nothing_is_kept_as_done []; []);
    };
    (@lacks DueAccounts $harness:expr) => {
        $crate::conformance_suite!(@case $harness; without no_account_is_due []; []);
    };
    (@lacks PepperChecks $harness:expr) => {
        $crate::conformance_suite!(@case $harness; without no_pepper_checks_are_kept []; []);
    };
    (@lacks Erasure $harness:expr) => {
        $crate::conformance_suite!(@case $harness; without nobody_can_be_erased []; []);
    };
    (@Harness $harness:expr; $lacks:tt) => {
        $crate::conformance_suite! {
            @tests $harness; $lacks;
            look_up {
                an_account_is_found_by_its_primary
                an_account_is_found_by_its_backup
                an_account_is_found_by_its_pending_token
                an_account_is_found_by_its_retired_tokens
                an_unknown_digest_is_none
                digests_that_differ_in_one_byte_are_told_apart
                peek_agrees_with_find_or_is_silent
                an_unknown_user_has_nothing
            }
            change {
                a_change_is_seen_when_replace_returns
                a_digest_no_longer_named_is_none
                a_stale_revision_conflicts_and_changes_nothing
                a_revision_to_come_conflicts_and_changes_nothing
                creating_an_existing_account_conflicts
                changing_a_missing_account_conflicts
                a_change_touches_no_other_account
            }
            uniqueness {
                a_live_digest_of_another_account_conflicts
                a_pending_digest_of_another_account_conflicts
                a_retired_digest_of_another_account_conflicts
                a_released_digest_can_be_used_again
                a_digest_may_move_within_its_account
            }
            life {
                a_promotion_keeps_both_tokens
                a_token_that_ended_is_found_as_retired
                a_retired_token_is_found_until_it_is_forgotten
            }
            concurrency {
                concurrent_changes_have_exactly_one_winner
                concurrent_claims_of_a_digest_have_exactly_one_winner
                a_reader_during_promotions_always_finds_a_live_token
                a_reader_sees_whole_changes
            }
            failure {
                a_dropped_change_leaves_the_store_usable
                a_change_that_is_timed_out_leaves_the_store_usable
            }
            batch {
                each_change_of_a_batch_is_answered_in_order
                a_conflict_in_a_batch_leaves_the_others_alone
                a_batch_is_carried_out_in_its_order
                an_empty_batch_is_answered
                a_long_batch_is_written_whole
            }
            usage {
                recorded_uses_change_no_account(LastUses)
                the_latest_use_is_kept(LastUses)
                uses_are_kept_per_token(LastUses)
                a_use_by_an_unknown_user_is_harmless(LastUses)
                a_change_keeps_the_recorded_uses(LastUses)
                a_long_batch_of_uses_is_recorded_whole(LastUses)
                the_uses_of_a_forgotten_token_are_forgotten(LastUses)
            }
            paging {
                a_list_is_complete_and_in_byte_order
                a_page_says_whether_more_follow
                a_list_goes_on_after_any_name
                a_list_gives_each_account_as_it_is
            }
            history {
                a_history_begins_with_the_latest
                a_history_goes_on_before_a_revision
                a_history_belongs_to_one_user
                every_event_reads_back
                every_actor_reads_back
                a_change_made_of_several_keeps_every_entry
            }
            names {
                every_name_is_a_user_of_its_own
                every_name_is_listed_in_byte_order
                every_name_has_a_history_and_uses_of_its_own(LastUses)
                every_name_reaches_the_feed(Feed)
                every_name_is_in_the_audit_log(AuditLog)
                every_name_is_due(DueAccounts)
            }
            record {
                every_field_of_an_account_reads_back
                every_field_of_an_account_in_a_batch_reads_back
                an_emptied_account_reads_back
                a_large_revision_is_compared_exactly
            }
            feed {
                every_change_reaches_the_feed_with_all_its_digests(Feed)
                a_change_in_the_feed_has_the_digests_of_before(Feed)
                a_change_can_be_read_when_the_feed_tells_of_it(Feed)
                changes_of_an_account_arrive_in_order(Feed)
                concurrent_changes_arrive_in_order(Feed)
                the_changes_of_a_batch_reach_the_feed(Feed)
                a_conflict_does_not_reach_the_feed(Feed)
                heartbeats_arrive_in_order_with_changes(Feed)
                two_feeds_both_deliver_everything(Feed)
                a_dropped_feed_disturbs_nobody(Feed)
                a_change_with_many_digests_arrives_whole_or_as_lost(Feed)
                a_feed_delivers_what_follows_its_opening(Feed)
            }
            audit_log {
                every_entry_is_in_the_log_once(AuditLog)
                every_entry_reads_back_from_the_log(AuditLog)
                a_log_goes_on_after_any_position(AuditLog)
                a_change_is_in_the_log_when_it_returns(AuditLog)
                a_log_ends_with_its_last_entry(AuditLog)
                a_change_can_be_read_when_the_log_has_it(AuditLog)
                nothing_comes_behind_a_position_that_was_given_out(AuditLog)
                an_erasure_leaves_one_item_that_names_nobody(AuditLog Erasure)
                a_position_stays_good_when_its_entry_is_gone(AuditLog Erasure)
            }
            cursor {
                a_cursor_is_leased_by_one_holder(AuditLog)
                a_lease_ends_with_its_time(AuditLog)
                a_lease_that_is_given_back_has_ended(AuditLog)
                a_cursor_begins_at_the_end_of_the_log(AuditLog)
                a_cursor_never_goes_back(AuditLog)
                a_cursor_is_moved_by_its_last_holder_only(AuditLog)
                each_cursor_has_a_name_of_its_own(AuditLog)
                a_cursor_that_was_removed_is_gone(AuditLog)
                what_is_done_is_kept_with_its_cursor(AuditLog KeptDone)
                what_is_done_is_kept_by_the_last_holder_only(AuditLog KeptDone)
            }
            pruning {
                old_entries_are_pruned_out_of_log_and_history(AuditLog)
                nothing_is_pruned_that_a_cursor_has_not_come_past(AuditLog)
                the_last_entry_of_each_account_stays(AuditLog)
                what_is_younger_than_an_hour_stays(AuditLog)
                an_item_of_an_erasure_is_pruned_by_its_age(AuditLog Erasure)
                positions_go_on_after_what_was_pruned(AuditLog Erasure)
            }
            due {
                an_account_is_due_at_its_time(DueAccounts)
                due_accounts_come_in_the_order_of_time_and_user(DueAccounts)
                every_change_says_when_its_account_is_due(DueAccounts)
                a_conflict_makes_nothing_due(DueAccounts)
                an_account_is_put_off_at_its_revision_only(DueAccounts)
                many_accounts_are_put_off_at_once(DueAccounts)
                putting_an_account_off_changes_nothing_else(DueAccounts)
                an_erased_account_is_not_due(DueAccounts Erasure)
                a_schedule_is_kept(DueAccounts)
            }
            clock {
                the_time_does_not_go_backwards
                the_time_is_the_true_one
            }
            peppers {
                tokens_in_use_are_counted_by_pepper
                tokens_in_use_are_counted_by_prefix
                a_pepper_version_has_one_check_value(PepperChecks)
            }
            erasure {
                an_erased_account_is_gone_with_all_that_was_kept_of_it(Erasure)
                an_erased_digest_leads_to_nobody_and_stays_taken(Erasure)
                an_account_begins_above_what_an_erased_one_has_reached(Erasure)
                an_erasure_of_another_revision_conflicts(Erasure)
                an_erasure_reaches_the_feed_with_all_its_digests(Erasure Feed)
                a_use_recorded_after_an_erasure_leaves_nothing(Erasure LastUses)
            }
        }
    };
    (@Migrating $harness:expr; $lacks:tt) => {
        $crate::conformance_suite! {
            @tests $harness; $lacks;
            migration {
                migrating_twice_changes_nothing
                concurrent_migrations_all_succeed
            }
        }
    };
    (@Nodes $harness:expr; $lacks:tt) => {
        $crate::conformance_suite! {
            @tests $harness; $lacks;
            node {
                a_change_is_seen_by_another_node
                a_change_of_another_node_conflicts
                concurrent_changes_of_nodes_have_exactly_one_winner
                a_feed_carries_the_changes_of_every_node(Feed)
                uses_of_every_node_come_together(LastUses)
                an_erasure_by_one_node_holds_for_another(Erasure)
                one_log_holds_the_changes_of_every_node(AuditLog)
                a_cursor_is_leased_by_one_node(AuditLog)
                an_account_is_due_for_every_node(DueAccounts)
            }
        }
    };
    (@Failing $harness:expr; $lacks:tt) => {
        $crate::conformance_suite! {
            @tests $harness; $lacks;
            outage {
                an_outage_is_an_error_and_never_an_answer
                an_error_keeps_its_source
            }
        }
    };
    (@Interrupting $harness:expr; $lacks:tt) => {
        $crate::conformance_suite! {
            @tests $harness; $lacks;
            interruption {
                a_feed_that_was_cut_off_says_that_it_lost(Feed)
                a_store_that_was_cut_off_recovers
            }
        }
    };
    (@tests $harness:expr; $lacks:tt; $($area:ident { $($case:ident $(($($need:ident)*))?)* })*) => {
        $(
            mod $area {
                $(
                    $crate::conformance_suite!(
                        @case $harness; $area $case [$($($need)*)?]; $lacks
                    );
                )*
            }
        )*
    };
    // Whether any capability that a case needs is among those that are lacking: the
    // first one is looked for in the list, then the next one in the whole list again.
    (@case $harness:expr; $area:ident $case:ident []; $lacks:tt) => {
        $crate::conformance_suite!(@test $harness; $area $case;);
    };
    (@case $harness:expr; $area:ident $case:ident [$need:ident $($more:ident)*]; $lacks:tt) => {
        $crate::conformance_suite!(
            @look $harness; $area $case; $need in $lacks; [$($more)*]; $lacks
        );
    };
    (@look $harness:expr; $area:ident $case:ident; Feed in [Feed $($rest:ident)*]; $($_:tt)*) => {
        $crate::conformance_suite!(
            @test $harness; $area $case; #[ignore = "the store has no feed"]
        );
    };
    (@look $harness:expr; $area:ident $case:ident; LastUses in [LastUses $($rest:ident)*]; $($_:tt)*) => {
        $crate::conformance_suite!(
            @test $harness; $area $case; #[ignore = "the store keeps no last uses"]
        );
    };
    (@look $harness:expr; $area:ident $case:ident; AuditLog in [AuditLog $($rest:ident)*]; $($_:tt)*) => {
        $crate::conformance_suite!(
            @test $harness; $area $case; #[ignore = "the store has no audit log"]
        );
    };
    (@look $harness:expr; $area:ident $case:ident; KeptDone in [KeptDone $($rest:ident)*]; $($_:tt)*) => {
        $crate::conformance_suite!(
            @test $harness; $area $case; #[ignore = "the store keeps nothing as done"]
        );
    };
    (@look $harness:expr; $area:ident $case:ident; DueAccounts in [DueAccounts $($rest:ident)*]; $($_:tt)*) => {
        $crate::conformance_suite!(
            @test $harness; $area $case; #[ignore = "the store finds no accounts that are due"]
        );
    };
    (@look $harness:expr; $area:ident $case:ident; PepperChecks in [PepperChecks $($rest:ident)*]; $($_:tt)*) => {
        $crate::conformance_suite!(
            @test $harness; $area $case; #[ignore = "the store keeps no check values of peppers"]
        );
    };
    (@look $harness:expr; $area:ident $case:ident; Erasure in [Erasure $($rest:ident)*]; $($_:tt)*) => {
        $crate::conformance_suite!(
            @test $harness; $area $case; #[ignore = "the store erases nobody"]
        );
    };
    (
        @look $harness:expr; $area:ident $case:ident; $need:ident in [$other:ident $($rest:ident)*];
        $($then:tt)*
    ) => {
        $crate::conformance_suite!(
            @look $harness; $area $case; $need in [$($rest)*]; $($then)*
        );
    };
    (@look $harness:expr; $area:ident $case:ident; $need:ident in []; $more:tt; $lacks:tt) => {
        $crate::conformance_suite!(@case $harness; $area $case $more; $lacks);
    };
    (@test $harness:expr; $area:ident $case:ident; $(#[$ignore:meta])?) => {
        #[test]
        $(#[$ignore])?
        fn $case() {
            $crate::store::conformance::run(async {
                let harness = $harness;
                $crate::store::conformance::$area::$case(&harness).await;
            });
        }
    };
}
