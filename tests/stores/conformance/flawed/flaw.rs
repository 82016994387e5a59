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
