//! What can be wrong with a store.

/// One flaw of a store that is otherwise sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Nothing is wrong.
    None,

    /// The digest of a primary is not looked up.
    PrimaryNotFound,
    /// The digest of a backup is not looked up.
    BackupNotFound,
    /// The digest of a pending token is not looked up.
    PendingNotFound,
    /// The digests of retired tokens are not looked up.
    RetiredNotFound,
    /// Only the last eight retired digests are looked up.
    RetiredForgottenEarly,
    /// An unknown digest leads to some account.
    UnknownDigestFound,
    /// Only the first half of a digest is compared.
    DigestsCutShort,
    /// `peek` calls its visitor twice.
    PeekVisitsTwice,
    /// `peek` calls its visitor and says that it does not know.
    PeekVisitsAndDenies,
    /// `peek` says that no account names a digest that it does not know.
    PeekKnowsNone,
    /// `load` makes an account for whoever has none.
    LoadCreates,

    /// The expected revision is not looked at: a lost update.
    LostUpdate,
    /// A change of a revision still to come is written.
    LaterRevisionsAccepted,
    /// A change that expects no account overwrites one.
    Upsert,
    /// A change that expects an account creates one.
    MissingCreated,
    /// Revisions are compared as 64-bit floats.
    RevisionsAsFloats,
    /// Digests that are no longer named are still looked up.
    OldDigestsStay,
    /// `find` answers as before the last change.
    StaleReadAfterReplace,
    /// The account is written at once, its digests a little later.
    IndexLate,
    /// A change drops accounts whose names begin like the user's.
    NeighboursDropped,
    /// A change that leaves no token is not written.
    EmptiedNotWritten,
    /// A change that conflicts is kept in the history.
    HistoryOfConflicts,

    /// Digests need not be unique.
    UniquenessOff,
    /// Only the digests of live tokens must be unique.
    OnlyLiveUnique,
    /// Only the digests of retired tokens need not be unique.
    RetiredNotUnique,
    /// A digest that was once named can never be named again.
    ReleasedStaysTaken,
    /// A digest cannot go from one place of its account to another.
    NoMoveWithinAccount,
    /// A claim that is refused takes the digest from its owner.
    RefusedClaimTakes,

    /// The checks are made before the lock is taken.
    ChecksBeforeLock,
    /// Digests are removed before they are written anew.
    IndexGap,
    /// Old digests lead to the new account for a moment.
    IndexHalfWritten,
    /// A change that is dropped half-way keeps the store busy.
    DroppedStaysBusy,
    /// A change that is dropped half-way is written in part.
    DroppedHalfWritten,

    /// A batch answers for its conflicts last.
    BatchAnswersSorted,
    /// A batch with a conflict is not written at all.
    BatchAllOrNothing,
    /// A batch ends at its first conflict.
    BatchEndsAtConflict,
    /// A batch is carried out from its end.
    BatchReversed,
    /// An empty batch is an error.
    EmptyBatchFails,
    /// Only the first hundred changes or uses of a batch are written.
    BatchCutShort,
    /// A change in a batch loses its pending token.
    BatchLosesPending,

    /// A recorded use writes back an account that was read before.
    UsageOverwritesAccount,
    /// A recorded use reaches the feed.
    UsageReachesFeed,
    /// The use that was recorded last is kept, however early it was.
    LastRecordedUseKept,
    /// The client of an earlier use is kept.
    EarlierClientKept,
    /// Uses are kept per user.
    UsagePerUser,
    /// A use by an unknown user fails its batch.
    UnknownUseFails,
    /// A use by an unknown user creates an account.
    UnknownUseCreates,
    /// A change forgets the uses of its user.
    ChangeForgetsUses,
    /// Uses are kept under the name in small letters.
    UsesFolded,

    /// Each page of a list skips an account.
    ListSkips,
    /// Each page of a list begins with the end of the one before.
    ListRepeats,
    /// A list is ordered without regard to case.
    ListFolded,
    /// A full page always says that more follow.
    FullPageHasMore,
    /// A list cannot go on after a name that is no user's.
    ListNeedsUser,
    /// A list gives accounts as they were created.
    ListStale,

    /// A history begins with its first entry.
    HistoryOldestFirst,
    /// A history goes on with the revision that it was to go on before.
    HistoryRepeats,
    /// A history never says that more follow.
    HistoryEndsEarly,
    /// A history takes in the users whose names begin like its own.
    HistoryOfNeighbours,
    /// An event loses an optional part.
    EventLosesPart,
    /// A program reads back as an administrator.
    ActorsConflated,
    /// Of a change made of several only the last entry is kept.
    OnlyLastEntry,

    /// Names are compared without regard to case.
    NamesFolded,
    /// Names are compared without the spaces at their end.
    NamesTrimmed,
    /// Names are cut to 254 bytes.
    NamesCutShort,
    /// Names are cut to 100 bytes in the feed.
    FeedCutsNames,

    /// Accounts lose their last confirmation.
    LosesConfirmation,
    /// Accounts lose their extension methods.
    LosesExtensions,
    /// Accounts count the next token from those that they name.
    LosesNextToken,
    /// Tokens lose their sealed bytes.
    LosesSealed,
    /// A pending token loses its sealed bytes.
    LosesSealedPending,
    /// Pending tokens lose the backup that they replace.
    LosesReplacedBackup,

    /// Confirmations do not reach the feed.
    FeedSkipsConfirmations,
    /// A change in the feed has the digests of after only.
    FeedOmitsOldDigests,
    /// Changes reach the feed with the latest first.
    FeedLatestFirst,
    /// Changes reach the feed some time after their lock was released.
    FeedAfterLock,
    /// The changes of a batch do not reach the feed.
    FeedSkipsBatches,
    /// Changes that conflict reach the feed.
    FeedReportsConflicts,
    /// A heartbeat overtakes the changes before it.
    HeartbeatOvertakes,
    /// A heartbeat loses the upper half of its number.
    HeartbeatCutShort,
    /// Only the feed that was opened last gets anything.
    OneFeedOnly,
    /// A change fails when a feed was dropped.
    DroppedFeedFails,
    /// A change in the feed has 64 digests at most.
    FeedCutsDigests,
    /// A feed delivers what follows its first heartbeat.
    FeedOpensLate,

    /// A change takes its position in the log before it is committed.
    LogPositionBeforeCommit,
    /// The log has a change before it is committed.
    LogBeforeCommit,
    /// The log has a change some time after it has returned.
    LogLate,
    /// The changes of a batch are not in the log.
    LogSkipsBatches,
    /// The entries of one change are in the log with the latest first.
    LogLatestFirst,
    /// A page of the log begins with the end of the one before.
    LogGivesTwice,
    /// A page of the log leaves out its first item, but for the first page.
    LogSkipsAtPages,
    /// Behind the position of an entry that is gone there is nothing.
    LogNeedsEntry,
    /// The end of the log is told to be before its last entry.
    LogEndsEarly,
    /// The positions of entries that are gone are given again.
    PositionsGivenAgain,

    /// Everybody gets a lease.
    LeaseShared,
    /// A lease ends only when it is given back.
    LeaseForEver,
    /// A lease cannot be given back.
    LeaseNotGivenBack,
    /// A lease that is held is not prolonged.
    LeaseNotProlonged,
    /// Whoever was refused a lease counts as the cursor's holder.
    RefusedLeaseTakes,
    /// The numbers of holders lose their first bit.
    HoldersCutShort,
    /// A new cursor begins at the start of the log.
    CursorBeginsAtStart,
    /// A cursor goes wherever it is moved.
    CursorGoesBack,
    /// A cursor is moved by whoever asks.
    CursorMovedByAnybody,
    /// The names of cursors are compared without the spaces at their end.
    CursorNamesTrimmed,
    /// A cursor cannot be removed.
    CursorStays,
    /// Nothing is kept of what is done behind a cursor.
    DoneNotKept,
    /// What is done is added to what was kept before.
    DoneAddsUp,
    /// What is done is kept in one place for all cursors.
    DoneShared,
    /// Of what is done only a hundred entries are kept.
    DoneCutShort,
    /// Positions of what is done are kept as floats.
    DoneAsFloats,
    /// What is done is forgotten when another leases the cursor.
    DoneForgottenByLease,
    /// What is done is forgotten when the cursor moves.
    DoneForgottenByMove,
    /// What is done outlives its cursor.
    DoneStays,
    /// What is done is kept for whoever asks.
    DoneKeptByAnybody,

    /// Entries are pruned that a cursor has not come past.
    PrunesPastCursors,
    /// Entries are pruned that the furthest cursor has come past.
    PrunesToFurthestCursor,
    /// Cursors that nobody has leased hold up no pruning.
    PrunesToLeasedCursors,
    /// The last entry of an account is pruned.
    PrunesLastEntries,
    /// Entries of this minute are pruned.
    PrunesYoung,
    /// Whatever is older than an hour is pruned.
    PrunesAnyAge,
    /// What is pruned stays in the history.
    PruneKeepsHistory,
    /// The items of erasures are never pruned.
    PruneKeepsErasures,

    /// An account is not due at its very time.
    DueTooLate,
    /// The changes of a batch make nothing due.
    DueOfBatchesLost,
    /// Due accounts come in the order of their users.
    DueByUser,
    /// A page begins with the accounts of the last one's time.
    DueRepeats,
    /// A page passes over accounts of the last one's time.
    DueSkipsEqualTimes,
    /// What is due is due until another time is set.
    DueForEver,
    /// A change that conflicts sets when the account is due.
    DueOfConflicts,
    /// An account is put off whatever its revision is.
    PutOffAnyRevision,
    /// Of many accounts only the first thousand are put off.
    PutOffCutShort,
    /// An account cannot be put off for ever.
    PutOffNeedsTime,
    /// Putting an account off reaches the feed.
    PutOffReachesFeed,
    /// Putting an account off raises its revision.
    PutOffRaisesRevision,
    /// The number of a schedule is kept as a float.
    ScheduleAsFloat,

    /// The time goes backwards.
    ClockBackwards,
    /// The time is told in seconds.
    ClockInSeconds,
    /// Retired tokens are counted among those in use.
    PeppersCountRetired,
    /// Tokens of unknown prefix are not counted.
    PrefixesOmitUnknown,
    /// The check value that was offered last is kept.
    LastCheckKept,
    /// The uses of a token that is no longer named are kept.
    ForgottenUsesStay,

    /// The history of an erased account is kept.
    ErasureKeepsHistory,
    /// The uses of an erased account are kept.
    ErasureKeepsUses,
    /// The digests of an erased account still lead to it.
    ErasureKeepsIndex,
    /// The digests of an erased account can be named again.
    ErasureReleasesDigests,
    /// Accounts may begin where an erased one has been.
    ErasureForgetsNumbers,
    /// An account is erased whatever its revision is.
    ErasureUnconditional,
    /// An erasure does not reach the feed.
    ErasureSilent,
    /// The entries of an erased account stay in the log.
    ErasureKeepsEntries,
    /// The log says nothing of an erasure.
    ErasureNotLogged,
    /// The log names an erased user who erased themselves.
    ErasureNamesUser,
    /// An erased account stays due.
    ErasureKeepsDue,
    /// A use by a user who was erased is kept.
    LateUsesKept,

    /// A migration empties the store.
    MigrationEmpties,
    /// Only one of several concurrent migrations succeeds.
    MigrationRaces,
    /// Each node has its own data.
    NodesApart,
    /// A feed carries its own node's changes only.
    FeedOfOwnNode,
    /// The feed tells of a change before it is made.
    FeedBeforeCommit,
    /// The feed goes on after it was cut off, and says nothing of it.
    FeedReconnectsInSilence,
    /// A store that was cut off never answers again.
    CutOffForEver,
    /// An outage is answered as if there were nothing.
    OutageAsNone,
    /// `peek` knows, in an outage, that there is nothing.
    OutagePeeksNone,
    /// An error forgets what caused it.
    SourceForgotten,
}
