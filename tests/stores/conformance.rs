//! The conformance suite on the stores of this crate, and the proof that it has
//! teeth: every case fails on a store that has a flaw the case is there to find.

mod flawed;
#[cfg(all(feature = "cache", feature = "metrics"))]
mod own_table;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use flawed::{Flaw, FlawedHarness};
use tower_api_token::conformance_suite;
use tower_api_token::store::MemoryStore;
use tower_api_token::store::conformance::run;

conformance_suite!(memory, || async { MemoryStore::new() });

// The store of the teeth passes when it has no flaw, so it is the flaw that a
// case fails for.
conformance_suite!(
    sound,
    FlawedHarness::new(Flaw::None),
    Migrating + Nodes + Failing + Interrupting
);

/// One test for each case: it fails on a store with each of these flaws.
macro_rules! teeth {
    ($($area:ident { $($case:ident: $($flaw:ident)+;)+ })+) => {
        mod teeth {
            $(mod $area {
                $(#[test]
                fn $case() {
                    use tower_api_token::store::conformance::$area;
                    $(super::super::bites(super::super::Flaw::$flaw, |harness| {
                        Box::pin(async move { $area::$case(&harness).await })
                    });)+
                }
                )+
            })+
        }

        /// The area and the name of every case in the table.
        const TEETH: &[(&str, &str)] = &[$($((stringify!($area), stringify!($case)),)+)+];
    };
}

teeth! {
    look_up {
        an_account_is_found_by_its_primary: PrimaryNotFound;
        an_account_is_found_by_its_backup: BackupNotFound;
        an_account_is_found_by_its_pending_token: PendingNotFound;
        an_account_is_found_by_its_retired_tokens: RetiredNotFound;
        an_unknown_digest_is_none: UnknownDigestFound;
        digests_that_differ_in_one_byte_are_told_apart: DigestsCutShort;
        peek_agrees_with_find_or_is_silent: PeekVisitsTwice PeekVisitsAndDenies PeekKnowsNone;
        an_unknown_user_has_nothing: LoadCreates;
    }
    change {
        a_change_is_seen_when_replace_returns: IndexLate StaleReadAfterReplace;
        a_digest_no_longer_named_is_none: OldDigestsStay;
        a_stale_revision_conflicts_and_changes_nothing: LostUpdate HistoryOfConflicts;
        a_revision_to_come_conflicts_and_changes_nothing: LaterRevisionsAccepted;
        creating_an_existing_account_conflicts: Upsert;
        changing_a_missing_account_conflicts: MissingCreated;
        a_change_touches_no_other_account: NeighboursDropped;
    }
    uniqueness {
        a_live_digest_of_another_account_conflicts: UniquenessOff RefusedClaimTakes;
        a_pending_digest_of_another_account_conflicts: OnlyLiveUnique;
        a_retired_digest_of_another_account_conflicts: RetiredNotUnique;
        a_released_digest_can_be_used_again: ReleasedStaysTaken;
        a_digest_may_move_within_its_account: NoMoveWithinAccount;
    }
    life {
        a_promotion_keeps_both_tokens: BackupNotFound StaleReadAfterReplace;
        a_token_that_ended_is_found_as_retired: RetiredNotFound;
        a_retired_token_is_found_until_it_is_forgotten: RetiredForgottenEarly OldDigestsStay;
    }
    concurrency {
        concurrent_changes_have_exactly_one_winner: ChecksBeforeLock;
        concurrent_claims_of_a_digest_have_exactly_one_winner: ChecksBeforeLock;
        a_reader_during_promotions_always_finds_a_live_token: IndexGap;
        a_reader_sees_whole_changes: IndexHalfWritten;
    }
    failure {
        a_dropped_change_leaves_the_store_usable: DroppedStaysBusy DroppedHalfWritten;
        a_change_that_is_timed_out_leaves_the_store_usable: DroppedStaysBusy DroppedHalfWritten;
    }
    batch {
        each_change_of_a_batch_is_answered_in_order: BatchAnswersSorted BatchEndsAtConflict;
        a_conflict_in_a_batch_leaves_the_others_alone: BatchAllOrNothing HistoryOfConflicts;
        a_batch_is_carried_out_in_its_order: BatchReversed;
        an_empty_batch_is_answered: EmptyBatchFails;
        a_long_batch_is_written_whole: BatchCutShort;
    }
    usage {
        recorded_uses_change_no_account: UsageOverwritesAccount UsageReachesFeed;
        the_latest_use_is_kept: LastRecordedUseKept EarlierClientKept;
        uses_are_kept_per_token: UsagePerUser;
        a_use_by_an_unknown_user_is_harmless: UnknownUseFails UnknownUseCreates;
        a_change_keeps_the_recorded_uses: ChangeForgetsUses;
        a_long_batch_of_uses_is_recorded_whole: BatchCutShort;
        the_uses_of_a_forgotten_token_are_forgotten: ForgottenUsesStay ChangeForgetsUses;
    }
    paging {
        a_list_is_complete_and_in_byte_order: ListSkips ListRepeats ListFolded;
        a_page_says_whether_more_follow: FullPageHasMore;
        a_list_goes_on_after_any_name: ListNeedsUser;
        a_list_gives_each_account_as_it_is: ListStale;
    }
    history {
        a_history_begins_with_the_latest: HistoryOldestFirst HistoryEndsEarly;
        a_history_goes_on_before_a_revision: HistoryRepeats HistoryEndsEarly;
        a_history_belongs_to_one_user: HistoryOfNeighbours;
        every_event_reads_back: EventLosesPart;
        every_actor_reads_back: ActorsConflated;
        a_change_made_of_several_keeps_every_entry: OnlyLastEntry HistoryOfConflicts;
    }
    names {
        every_name_is_a_user_of_its_own: NamesFolded NamesTrimmed NamesCutShort;
        every_name_is_listed_in_byte_order: ListFolded;
        every_name_has_a_history_and_uses_of_its_own: UsesFolded HistoryOfNeighbours;
        every_name_reaches_the_feed: FeedCutsNames;
        every_name_is_in_the_audit_log: NamesFolded NamesTrimmed LogSkipsAtPages;
        every_name_is_due: NamesFolded DueRepeats DueSkipsEqualTimes;
    }
    record {
        every_field_of_an_account_reads_back:
            LosesConfirmation LosesExtensions LosesNextToken LosesReplacedBackup
            LosesSealed LosesSealedPending;
        every_field_of_an_account_in_a_batch_reads_back: BatchLosesPending;
        an_emptied_account_reads_back: EmptiedNotWritten;
        a_large_revision_is_compared_exactly: RevisionsAsFloats;
    }
    feed {
        every_change_reaches_the_feed_with_all_its_digests:
            FeedSkipsConfirmations FeedOmitsOldDigests;
        a_change_in_the_feed_has_the_digests_of_before: FeedOmitsOldDigests;
        a_change_can_be_read_when_the_feed_tells_of_it: FeedBeforeCommit;
        changes_of_an_account_arrive_in_order: FeedLatestFirst;
        concurrent_changes_arrive_in_order: FeedLatestFirst FeedAfterLock;
        the_changes_of_a_batch_reach_the_feed: FeedSkipsBatches FeedOmitsOldDigests;
        a_conflict_does_not_reach_the_feed: FeedReportsConflicts;
        heartbeats_arrive_in_order_with_changes: HeartbeatOvertakes HeartbeatCutShort;
        two_feeds_both_deliver_everything: OneFeedOnly;
        a_dropped_feed_disturbs_nobody: DroppedFeedFails;
        a_change_with_many_digests_arrives_whole_or_as_lost: FeedCutsDigests;
        a_feed_delivers_what_follows_its_opening: FeedOpensLate;
    }
    audit_log {
        every_entry_is_in_the_log_once: OnlyLastEntry LogSkipsBatches LogLatestFirst;
        every_entry_reads_back_from_the_log: EventLosesPart ActorsConflated;
        a_log_goes_on_after_any_position: LogGivesTwice LogSkipsAtPages LogSkipsBatches;
        a_change_is_in_the_log_when_it_returns: LogLate LogSkipsBatches;
        a_log_ends_with_its_last_entry: LogEndsEarly LogLate;
        a_change_can_be_read_when_the_log_has_it: LogBeforeCommit;
        nothing_comes_behind_a_position_that_was_given_out:
            LogPositionBeforeCommit LogSkipsBatches LogGivesTwice LogLatestFirst;
        an_erasure_leaves_one_item_that_names_nobody:
            ErasureKeepsEntries ErasureNotLogged ErasureNamesUser;
        a_position_stays_good_when_its_entry_is_gone: LogNeedsEntry PositionsGivenAgain;
    }
    cursor {
        a_cursor_is_leased_by_one_holder: LeaseShared HoldersCutShort;
        a_lease_ends_with_its_time: LeaseForEver LeaseShared LeaseNotProlonged;
        a_lease_that_is_given_back_has_ended: LeaseNotGivenBack LeaseShared;
        a_cursor_begins_at_the_end_of_the_log: CursorBeginsAtStart;
        a_cursor_never_goes_back: CursorGoesBack;
        a_cursor_is_moved_by_its_last_holder_only:
            CursorMovedByAnybody RefusedLeaseTakes HoldersCutShort;
        each_cursor_has_a_name_of_its_own: CursorNamesTrimmed;
        a_cursor_that_was_removed_is_gone: CursorStays;
        what_is_done_is_kept_with_its_cursor:
            DoneNotKept DoneAddsUp DoneShared DoneCutShort DoneAsFloats DoneForgottenByLease
            DoneForgottenByMove DoneStays;
        what_is_done_is_kept_by_the_last_holder_only: DoneKeptByAnybody HoldersCutShort;
    }
    pruning {
        old_entries_are_pruned_out_of_log_and_history: PrunesAnyAge PruneKeepsHistory;
        nothing_is_pruned_that_a_cursor_has_not_come_past:
            PrunesPastCursors PrunesToFurthestCursor PrunesToLeasedCursors;
        the_last_entry_of_each_account_stays: PrunesLastEntries;
        what_is_younger_than_an_hour_stays: PrunesYoung;
        an_item_of_an_erasure_is_pruned_by_its_age: PruneKeepsErasures PrunesYoung;
        positions_go_on_after_what_was_pruned: PositionsGivenAgain;
    }
    due {
        an_account_is_due_at_its_time: DueTooLate DueOfBatchesLost;
        due_accounts_come_in_the_order_of_time_and_user: DueByUser DueRepeats DueSkipsEqualTimes;
        every_change_says_when_its_account_is_due: DueForEver DueOfBatchesLost;
        a_conflict_makes_nothing_due: DueOfConflicts;
        an_account_is_put_off_at_its_revision_only: PutOffAnyRevision PutOffNeedsTime;
        many_accounts_are_put_off_at_once: PutOffCutShort PutOffAnyRevision PutOffNeedsTime;
        putting_an_account_off_changes_nothing_else: PutOffReachesFeed PutOffRaisesRevision;
        an_erased_account_is_not_due: ErasureKeepsDue PutOffAnyRevision;
        a_schedule_is_kept: ScheduleAsFloat;
    }
    clock {
        the_time_does_not_go_backwards: ClockBackwards;
        the_time_is_the_true_one: ClockInSeconds;
    }
    peppers {
        tokens_in_use_are_counted_by_pepper: PeppersCountRetired;
        tokens_in_use_are_counted_by_prefix: PrefixesOmitUnknown;
        a_pepper_version_has_one_check_value: LastCheckKept;
    }
    erasure {
        an_erased_account_is_gone_with_all_that_was_kept_of_it:
            ErasureKeepsHistory ErasureKeepsUses;
        an_erased_digest_leads_to_nobody_and_stays_taken:
            ErasureKeepsIndex ErasureReleasesDigests;
        an_account_begins_above_what_an_erased_one_has_reached: ErasureForgetsNumbers;
        an_erasure_of_another_revision_conflicts: ErasureUnconditional;
        an_erasure_reaches_the_feed_with_all_its_digests: ErasureSilent;
        a_use_recorded_after_an_erasure_leaves_nothing: LateUsesKept;
    }
    migration {
        migrating_twice_changes_nothing: MigrationEmpties;
        concurrent_migrations_all_succeed: MigrationRaces;
    }
    node {
        a_change_is_seen_by_another_node: NodesApart;
        a_change_of_another_node_conflicts: NodesApart;
        concurrent_changes_of_nodes_have_exactly_one_winner: NodesApart ChecksBeforeLock;
        a_feed_carries_the_changes_of_every_node: FeedOfOwnNode;
        uses_of_every_node_come_together: NodesApart;
        an_erasure_by_one_node_holds_for_another: NodesApart ErasureForgetsNumbers;
        one_log_holds_the_changes_of_every_node: NodesApart LogPositionBeforeCommit;
        a_cursor_is_leased_by_one_node: NodesApart LeaseShared;
        an_account_is_due_for_every_node: NodesApart;
    }
    interruption {
        a_feed_that_was_cut_off_says_that_it_lost: FeedReconnectsInSilence;
        a_store_that_was_cut_off_recovers: CutOffForEver;
    }
    // This one lacks nothing.
    without {
        there_is_no_feed: None;
        no_last_uses_are_kept: None;
        there_is_no_audit_log: None;
        nothing_is_kept_as_done: None;
        no_account_is_due: None;
        no_pepper_checks_are_kept: None;
        nobody_can_be_erased: None;
    }
    outage {
        an_outage_is_an_error_and_never_an_answer: OutageAsNone OutagePeeksNone;
        an_error_keeps_its_source: SourceForgotten;
    }
}

/// Holds that a case fails on a store with that flaw, and names the rule.
fn bites(flaw: Flaw, case: fn(FlawedHarness) -> std::pin::Pin<Box<dyn Future<Output = ()>>>) {
    let outcome = catch_unwind(AssertUnwindSafe(|| run(case(FlawedHarness::new(flaw)))));
    let panic = outcome.expect_err(&format!("the case passes on a store with {flaw:?}"));
    let message = panic.downcast_ref::<String>().expect("a case panics with a formatted message");
    assert!(message.starts_with("broken rule: "), "{flaw:?} is not named: {message}");
}

#[test]
fn every_case_has_teeth_and_is_in_the_suite() {
    let written = cases_in_the_source();
    let proven: BTreeSet<_> =
        TEETH.iter().map(|(area, case)| (String::from(*area), String::from(*case))).collect();
    assert_eq!(proven, written);
    let suite = include_str!("../../src/store/conformance/suite.rs");
    for (area, case) in &written {
        let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
        let named = suite.split(|letter| !is_part(letter)).any(|word| word == case);
        assert!(named, "{area}::{case} is missing from the macro");
    }
}

/// The area and the name of every public function of the suite's modules.
fn cases_in_the_source() -> BTreeSet<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/conformance");
    let mut cases = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        let area = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let names = text.lines().filter_map(|line| line.strip_prefix("pub async fn "));
        cases.extend(names.map(|name| (area.clone(), name.split('<').next().unwrap().to_owned())));
    }
    assert!(!cases.is_empty());
    cases
}
