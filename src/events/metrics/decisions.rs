//! Decisions, by outcome and slot.

use metrics::counter;

use super::{DECISIONS, cells};
use crate::account::Slot;
use crate::denial::{Denial, DenialKind, RequestFault};

/// The slots of requests that passed, the last being none.
const SLOTS: [&str; 3] = [Slot::Primary.as_str(), Slot::Backup.as_str(), "none"];

/// One of each kind of denial, in the order of their cells.
const DENIALS: [DenialKind; 7] = [
    DenialKind::MissingCredential,
    DenialKind::InvalidRequest(RequestFault::MalformedCredential),
    DenialKind::InvalidToken,
    DenialKind::MethodNotGranted,
    DenialKind::PrivilegeMissing,
    DenialKind::StoreUnavailable,
    DenialKind::StoreCorrupt,
];

pub(super) const CELLS: usize = SLOTS.len() + DENIALS.len();

/// A request passed, with a token of that slot or without any.
#[inline]
pub(crate) fn passed(slot: Option<Slot>) {
    cells::raise(match slot {
        Some(Slot::Primary) => 0,
        Some(Slot::Backup) => 1,
        None => 2,
    });
}

/// A request was denied.
pub(in crate::events) fn denied(kind: DenialKind) {
    let place = match kind {
        DenialKind::MissingCredential => 0,
        DenialKind::InvalidRequest(_) => 1,
        DenialKind::InvalidToken => 2,
        DenialKind::MethodNotGranted => 3,
        DenialKind::PrivilegeMissing => 4,
        DenialKind::StoreUnavailable => 5,
        DenialKind::StoreCorrupt => 6,
    };
    cells::raise(SLOTS.len() + place);
}

/// Hands on by how much each count has risen, also those that have not: a
/// counter that is there from the start shows its first rise.
pub(super) fn report(risen: &[u64]) {
    let (passed, denied) = risen.split_at(SLOTS.len());
    for (slot, rise) in SLOTS.into_iter().zip(passed) {
        counter!(DECISIONS, "outcome" => "pass", "slot" => slot).increment(*rise);
    }
    for (kind, rise) in DENIALS.into_iter().zip(denied) {
        let outcome = Denial::new(kind).code();
        counter!(DECISIONS, "outcome" => outcome, "slot" => "none").increment(*rise);
    }
}
