//! Cases: how far readers of the audit log have come, and who reads on.

use std::time::{Duration, Instant};

use super::Harness;
use super::audit_log::next;
use super::subject::Subject;
use crate::store::{AccountStore, AuditCursor, AuditPosition};

/// Two holders whose numbers differ in their first bit alone.
const ONE: u64 = u64::MAX;
const OTHER: u64 = u64::MAX >> 1;

const HOUR: Duration = Duration::from_secs(3_600);

/// While one holder has leased a cursor no other one gets it, and others of another
/// name are free.
pub async fn a_cursor_is_leased_by_one_holder<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a cursor is leased by one holder at a time").await;
    for holder in [OTHER, 0, 1, 1 << 53, (1 << 53) + 1] {
        let name = format!("reader {holder}");
        let position = lease(&subject, &name, ONE, HOUR).await;
        subject.rule.holds(position.is_some(), "nobody has it, and it was refused");
        for _ in 0..2 {
            subject.rule.same(&lease(&subject, &name, holder, HOUR).await, &None, "another holder");
            subject.rule.same(&lease(&subject, &name, ONE, HOUR).await, &position, "its holder");
        }
    }
}

/// A lease lasts for its time and no longer.
pub async fn a_lease_ends_with_its_time<H: Harness>(harness: &H) {
    const TIME: Duration = Duration::from_millis(500);

    let subject = Subject::new(harness, "a lease lasts for its time and no longer").await;
    let start = Instant::now();
    lease(&subject, "reader", ONE, TIME).await;
    while lease(&subject, "reader", OTHER, HOUR).await.is_none() {
        subject.rule.holds(start.elapsed() < TIME * 20, "it is refused long after its time");
        tokio::time::sleep(TIME / 50).await;
    }
    // Both clocks may have been read at the end of their tick.
    let elapsed = start.elapsed();
    subject.rule.holds(elapsed > TIME - TIME / 10, format_args!("it ended after {elapsed:?}"));
    subject.rule.same(&lease(&subject, "reader", ONE, HOUR).await, &None, "the former holder");

    lease(&subject, "prolonged", ONE, TIME / 5).await;
    lease(&subject, "prolonged", ONE, HOUR).await;
    tokio::time::sleep(TIME / 2).await;
    let refused = lease(&subject, "prolonged", OTHER, HOUR).await;
    subject.rule.same(&refused, &None, "a lease that was prolonged");
}

/// Whoever leases a cursor for no time at all gives it back.
pub async fn a_lease_that_is_given_back_has_ended<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a lease that is given back has ended").await;
    for (holder, another) in [(ONE, OTHER), (OTHER, 3)] {
        lease(&subject, "reader", holder, HOUR).await;
        let position = lease(&subject, "reader", holder, Duration::ZERO).await;
        subject.rule.holds(position.is_some(), "giving it back was refused");
        let leased = lease(&subject, "reader", another, HOUR).await;
        subject.rule.same(&leased, &position, "another holder");
        subject.rule.same(&lease(&subject, "reader", holder, HOUR).await, &None, "the former one");
        lease(&subject, "reader", another, Duration::ZERO).await;
    }
}

/// A cursor that there is not is made at the end of the log, and stays there.
pub async fn a_cursor_begins_at_the_end_of_the_log<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a cursor begins at the end of the log").await;
    let mut made = Vec::new();
    for revision in 1..=4 {
        let name = format!("reader {revision}");
        let position = lease(&subject, &name, ONE, HOUR).await;
        let log = subject.log().await;
        let end = log.last().map(|(position, _)| *position);
        subject.rule.holds(end.is_none() || position == end, "it is not at the end");
        let position = position.unwrap_or_default();
        made.push(AuditCursor::new(name, position));
        subject.replace(next("alice", revision)).await;
        let come = subject.log_after(position, 10).await;
        subject.rule.same(&come.len(), &1, "how much has come since");
        subject.rule.same(&cursors(&subject).await, &made, "the cursors");
    }
}

/// A cursor is moved forward and never back.
pub async fn a_cursor_never_goes_back<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a cursor never goes back").await;
    lease(&subject, "reader", ONE, HOUR).await;
    let positions = written(&subject, 4).await;
    for (to, expected) in [(1, 1), (2, 2), (2, 2), (0, 2), (3, 3), (1, 3)] {
        move_to(&subject, "reader", ONE, positions[to]).await;
        let expected = positions[expected];
        let leased = lease(&subject, "reader", ONE, HOUR).await;
        subject.rule.same(&leased, &Some(expected), "the position for its holder");
        let all = vec![AuditCursor::new("reader", expected)];
        subject.rule.same(&cursors(&subject).await, &all, "the cursors");
    }
}

/// A cursor is moved by the last that has leased it, even after the lease, and by
/// nobody else.
pub async fn a_cursor_is_moved_by_its_last_holder_only<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a cursor is moved by its last holder only").await;
    let positions = written(&subject, 5).await;
    let unknown = move_to(&subject, "reader", ONE, positions[0]).await;
    subject.rule.holds(!unknown, "a cursor that there is not was moved");
    subject.rule.same(&cursors(&subject).await, &vec![], "the cursors");
    lease(&subject, "reader", ONE, HOUR).await;
    let more = written_from(&subject, 6, 10).await;
    lease(&subject, "reader", OTHER, HOUR).await;
    moves(&subject, OTHER, more[0], false).await;
    moves(&subject, ONE, more[0], true).await;
    lease(&subject, "reader", ONE, Duration::from_millis(1)).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    moves(&subject, ONE, more[1], true).await;
    lease(&subject, "reader", ONE, Duration::ZERO).await;
    moves(&subject, ONE, more[2], true).await;
    lease(&subject, "reader", OTHER, HOUR).await;
    moves(&subject, ONE, more[4], false).await;
    moves(&subject, OTHER, more[3], true).await;
}

/// Holds that the holder moves the cursor, or that it does not and nothing changes.
async fn moves<S: AccountStore>(
    subject: &Subject<S>,
    holder: u64,
    to: AuditPosition,
    expected: bool,
) {
    let before = cursors(subject).await;
    let moved = move_to(subject, "reader", holder, to).await;
    subject.rule.same(&moved, &expected, format_args!("whether {holder} has moved it"));
    let after = if expected { vec![AuditCursor::new("reader", to)] } else { before };
    subject.rule.same(&cursors(subject).await, &after, "the cursors");
}

/// Each cursor has a name of its own, whatever it is, and they are listed by name.
pub async fn each_cursor_has_a_name_of_its_own<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "each cursor has a name of its own").await;
    let long = "n".repeat(AuditCursor::NAME_LENGTH);
    let names = ["%", "A:b", "Reader", "a b", "o'brien", "reader", "reader ", "réader", &long];
    for (holder, name) in (1..).zip(names) {
        let position = lease(&subject, name, holder, HOUR).await;
        subject.rule.holds(position.is_some(), format_args!("{name:?} is another's"));
    }
    let positions = written(&subject, names.len() as u64).await;
    let mut expected = Vec::new();
    for ((holder, name), position) in (1..).zip(names).zip(positions) {
        let moved = move_to(&subject, name, holder, position).await;
        subject.rule.holds(moved, format_args!("{name:?} could not be moved"));
        expected.push(AuditCursor::new(name, position));
    }
    expected.sort_by(|a, b| a.name.cmp(&b.name));
    subject.rule.same(&cursors(&subject).await, &expected, "the cursors");
}

/// A cursor that was removed is gone with its lease, and one that there is not is
/// removed, too.
pub async fn a_cursor_that_was_removed_is_gone<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "a cursor that was removed is gone with its lease").await;
    remove(&subject, "nobody's").await;
    lease(&subject, "reader", ONE, HOUR).await;
    lease(&subject, "another", ONE, HOUR).await;
    let end = written(&subject, 3).await[2];
    remove(&subject, "reader").await;
    let names: Vec<_> = cursors(&subject).await.into_iter().map(|cursor| cursor.name).collect();
    subject.rule.same(&names, &vec!["another".to_owned()], "the cursors");
    let moved = move_to(&subject, "reader", ONE, end).await;
    subject.rule.holds(!moved, "its former holder moves it");
    subject.rule.same(&lease(&subject, "reader", OTHER, HOUR).await, &Some(end), "another holder");
}

/// What is done behind a cursor is kept with it in place of what was kept before, whole,
/// and whoever leases it.
pub async fn what_is_done_is_kept_with_its_cursor<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "what is done is kept with its cursor").await;
    for name in ["reader", "another"] {
        lease(&subject, name, ONE, HOUR).await;
        subject.rule.same(&done(&subject, name).await, &vec![], "nothing was kept");
    }
    let (many, large) = ((1_000..).step_by(2).take(AuditCursor::MAX_DONE), (1 << 53) + 1);
    for kept in [vec![7, 5], vec![6], vec![], many.collect(), vec![large, u64::MAX >> 1]] {
        keeps(&subject, ONE, &kept, true).await;
        subject.rule.same(&done(&subject, "another").await, &vec![], "another cursor");
    }
    let kept = done(&subject, "reader").await;
    lease(&subject, "reader", ONE, Duration::ZERO).await;
    lease(&subject, "reader", OTHER, HOUR).await;
    subject.rule.same(&done(&subject, "reader").await, &kept, "for the next holder");
    let end = written(&subject, 3).await[2];
    move_to(&subject, "reader", OTHER, end).await;
    subject.rule.same(&done(&subject, "reader").await, &kept, "behind the cursor when it moves");
    remove(&subject, "reader").await;
    lease(&subject, "reader", OTHER, HOUR).await;
    subject.rule.same(&done(&subject, "reader").await, &vec![], "of a cursor that is new");
}

/// What is done is kept by the last holder of the cursor, even after the lease, and by
/// nobody else.
pub async fn what_is_done_is_kept_by_the_last_holder_only<H: Harness>(harness: &H) {
    let subject = Subject::new(harness, "what is done is kept by the last holder only").await;
    keeps(&subject, ONE, &[4], false).await;
    subject.rule.same(&cursors(&subject).await, &vec![], "the cursors");
    lease(&subject, "reader", ONE, Duration::ZERO).await;
    keeps(&subject, OTHER, &[4], false).await;
    keeps(&subject, ONE, &[5], true).await;
    lease(&subject, "reader", OTHER, HOUR).await;
    lease(&subject, "reader", ONE, HOUR).await;
    keeps(&subject, ONE, &[6], false).await;
    keeps(&subject, OTHER, &[7], true).await;
}

/// Holds that the holder keeps with its cursor what is done, or that it does not and
/// nothing changes.
async fn keeps<S: AccountStore>(
    subject: &Subject<S>,
    holder: u64,
    positions: &[u64],
    expected: bool,
) {
    let before = (done(subject, "reader").await, cursors(subject).await);
    let mut positions: Vec<_> = positions.iter().copied().map(AuditPosition::from_u64).collect();
    let kept = subject.audit_log().keep_done("reader", holder, &positions).await;
    let kept = subject.rule.answered(kept, "keeping what is done");
    subject.rule.same(&kept, &expected, format_args!("whether {holder} has kept it"));
    positions.sort_unstable();
    let after = if expected { positions } else { before.0 };
    subject.rule.same(&done(subject, "reader").await, &after, "what is kept");
    subject.rule.same(&cursors(subject).await, &before.1, "the cursors");
}

/// What is kept with the cursor, in the order of the log.
pub(super) async fn done<S: AccountStore>(subject: &Subject<S>, name: &str) -> Vec<AuditPosition> {
    let done = subject.audit_log().done(name).await;
    let mut done = subject.rule.answered(done, format_args!("what is done behind {name:?}"));
    done.sort_unstable();
    done
}

/// Makes that many changes, and returns their positions.
async fn written<S: AccountStore>(subject: &Subject<S>, changes: u64) -> Vec<AuditPosition> {
    written_from(subject, 1, changes).await
}

async fn written_from<S: AccountStore>(
    subject: &Subject<S>,
    first: u64,
    last: u64,
) -> Vec<AuditPosition> {
    for revision in first..=last {
        subject.replace(next("alice", revision)).await;
    }
    let before = usize::try_from(first).unwrap_or(usize::MAX) - 1;
    subject.log().await.iter().skip(before).map(|(position, _)| *position).collect()
}

pub(super) async fn lease<S: AccountStore>(
    subject: &Subject<S>,
    name: &str,
    holder: u64,
    time: Duration,
) -> Option<AuditPosition> {
    let leased = subject.audit_log().lease_cursor(name, holder, time).await;
    subject.rule.answered(leased, format_args!("leasing the cursor {name:?}"))
}

pub(super) async fn move_to<S: AccountStore>(
    subject: &Subject<S>,
    name: &str,
    holder: u64,
    to: AuditPosition,
) -> bool {
    let moved = subject.audit_log().move_cursor(name, holder, to).await;
    subject.rule.answered(moved, format_args!("moving the cursor {name:?}"))
}

pub(super) async fn remove<S: AccountStore>(subject: &Subject<S>, name: &str) {
    let removed = subject.audit_log().remove_cursor(name).await;
    subject.rule.answered(removed, format_args!("removing the cursor {name:?}"));
}

pub(super) async fn cursors<S: AccountStore>(subject: &Subject<S>) -> Vec<AuditCursor> {
    subject.rule.answered(subject.audit_log().audit_cursors().await, "reading the cursors")
}
