//! The parts of an audit entry: text that an operator can read and query.

use serde::{Deserialize, Serialize};

use super::{RecordError, corrupt};
use crate::account::Slot;
use crate::audit::Event;
use crate::identity::Actor;
use crate::method::MethodSet;
use crate::store::StoreError;
use crate::time::Timestamp;
use crate::token::TokenId;

const DOING: &str = "reading a history";

/// `user`, `administrator root` or `program rotator`.
pub(crate) fn encode_actor(actor: &Actor) -> String {
    actor.to_string()
}

/// The actor that has this stored form.
///
/// # Errors
///
/// [`StoreErrorKind::Corrupt`](super::StoreErrorKind::Corrupt) with its cause
/// as source.
pub(crate) fn decode_actor(text: &str) -> Result<Actor, StoreError> {
    let actor = match text.split_once(' ') {
        None if text == "user" => Ok(Actor::User),
        Some(("administrator", name)) => Actor::administrator(name).map_err(RecordError::from),
        Some(("program", name)) => Actor::program(name).map_err(RecordError::from),
        _ => Err(RecordError::Actor),
    };
    actor.map_err(|cause| corrupt(DOING, cause))
}

/// A JSON object whose member `event` is the event's [name](Event::name), with
/// one member for each of its parts.
pub(crate) fn encode_event(event: &Event) -> String {
    serde_json::to_string(&EventForm::of(event)).expect("a map of text and numbers is always JSON")
}

/// The event that has this stored form.
///
/// # Errors
///
/// [`StoreErrorKind::Corrupt`](super::StoreErrorKind::Corrupt) with its cause
/// as source.
pub(crate) fn decode_event(text: &str) -> Result<Event, StoreError> {
    let form = serde_json::from_str(text).map_err(RecordError::from);
    form.and_then(EventForm::event).map_err(|cause| corrupt(DOING, cause))
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum EventForm {
    AccessGranted { methods: Vec<String> },
    AccessRevoked,
    PrimaryGenerated { id: u64, superseded: Option<u64> },
    ConfirmationResent { id: u64 },
    PrimaryConfirmed { id: u64, backup: Option<u64>, replaced: Option<u64> },
    PendingCancelled { id: u64 },
    BackupDeleted { id: u64 },
    RolledBack { given_up: u64, primary: u64 },
    AllRevoked,
    TokenIssued { id: u64 },
    TokenImported { id: u64, slot: SlotForm },
    TokenRevealed { id: u64 },
    TokenExpired { id: u64, expired_at: u64, promoted: Option<u64> },
    RetiredTokenUsed { id: u64, count: u64 },
    ConfirmationNotSent { id: u64 },
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SlotForm {
    Primary,
    Backup,
}

impl EventForm {
    fn of(event: &Event) -> Self {
        match event {
            Event::AccessGranted { methods } => {
                Self::AccessGranted { methods: methods.iter().map(str::to_owned).collect() }
            }
            Event::AccessRevoked => Self::AccessRevoked,
            Event::PrimaryGenerated { id, superseded } => Self::PrimaryGenerated {
                id: id.as_u64(),
                superseded: superseded.map(TokenId::as_u64),
            },
            Event::ConfirmationResent { id } => Self::ConfirmationResent { id: id.as_u64() },
            Event::PrimaryConfirmed { id, backup, replaced } => Self::PrimaryConfirmed {
                id: id.as_u64(),
                backup: backup.map(TokenId::as_u64),
                replaced: replaced.map(TokenId::as_u64),
            },
            Event::PendingCancelled { id } => Self::PendingCancelled { id: id.as_u64() },
            Event::BackupDeleted { id } => Self::BackupDeleted { id: id.as_u64() },
            Event::RolledBack { given_up, primary } => {
                Self::RolledBack { given_up: given_up.as_u64(), primary: primary.as_u64() }
            }
            Event::AllRevoked => Self::AllRevoked,
            Event::TokenIssued { id } => Self::TokenIssued { id: id.as_u64() },
            Event::TokenImported { id, slot } => {
                Self::TokenImported { id: id.as_u64(), slot: SlotForm::of(*slot) }
            }
            Event::TokenRevealed { id } => Self::TokenRevealed { id: id.as_u64() },
            Event::TokenExpired { id, expired_at, promoted } => Self::TokenExpired {
                id: id.as_u64(),
                expired_at: expired_at.unix_millis(),
                promoted: promoted.map(TokenId::as_u64),
            },
            Event::RetiredTokenUsed { id, count } => {
                Self::RetiredTokenUsed { id: id.as_u64(), count: *count }
            }
            Event::ConfirmationNotSent { id } => Self::ConfirmationNotSent { id: id.as_u64() },
        }
    }

    fn event(self) -> Result<Event, RecordError> {
        Ok(match self {
            Self::AccessGranted { methods } => {
                Event::AccessGranted { methods: MethodSet::new(methods)? }
            }
            Self::AccessRevoked => Event::AccessRevoked,
            Self::PrimaryGenerated { id, superseded } => Event::PrimaryGenerated {
                id: TokenId::from_u64(id),
                superseded: superseded.map(TokenId::from_u64),
            },
            Self::ConfirmationResent { id } => {
                Event::ConfirmationResent { id: TokenId::from_u64(id) }
            }
            Self::PrimaryConfirmed { id, backup, replaced } => Event::PrimaryConfirmed {
                id: TokenId::from_u64(id),
                backup: backup.map(TokenId::from_u64),
                replaced: replaced.map(TokenId::from_u64),
            },
            Self::PendingCancelled { id } => Event::PendingCancelled { id: TokenId::from_u64(id) },
            Self::BackupDeleted { id } => Event::BackupDeleted { id: TokenId::from_u64(id) },
            Self::RolledBack { given_up, primary } => Event::RolledBack {
                given_up: TokenId::from_u64(given_up),
                primary: TokenId::from_u64(primary),
            },
            Self::AllRevoked => Event::AllRevoked,
            Self::TokenIssued { id } => Event::TokenIssued { id: TokenId::from_u64(id) },
            Self::TokenImported { id, slot } => {
                Event::TokenImported { id: TokenId::from_u64(id), slot: slot.slot() }
            }
            Self::TokenRevealed { id } => Event::TokenRevealed { id: TokenId::from_u64(id) },
            Self::TokenExpired { id, expired_at, promoted } => Event::TokenExpired {
                id: TokenId::from_u64(id),
                expired_at: Timestamp::from_unix_millis(expired_at),
                promoted: promoted.map(TokenId::from_u64),
            },
            Self::RetiredTokenUsed { id, count } => {
                Event::RetiredTokenUsed { id: TokenId::from_u64(id), count }
            }
            Self::ConfirmationNotSent { id } => {
                Event::ConfirmationNotSent { id: TokenId::from_u64(id) }
            }
        })
    }
}

impl SlotForm {
    const fn of(slot: Slot) -> Self {
        match slot {
            Slot::Primary => Self::Primary,
            Slot::Backup => Self::Backup,
        }
    }

    const fn slot(self) -> Slot {
        match self {
            Self::Primary => Slot::Primary,
            Self::Backup => Slot::Backup,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::StoreErrorKind;

    proptest! {
        #[test]
        fn garbage_is_no_event_and_no_actor(text in ".{0,80}") {
            prop_assert_eq!(decode_event(&text).unwrap_err().kind(), StoreErrorKind::Corrupt);
            if let Ok(actor) = decode_actor(&text) {
                prop_assert_eq!(encode_actor(&actor), text);
            }
        }
    }

    #[test]
    fn every_event_reads_back_under_its_name() {
        let [one, two] = [1, u64::MAX].map(TokenId::from_u64);
        let methods = MethodSet::new(["GET", "PURGE"]).unwrap();
        let events = [
            Event::AccessGranted { methods },
            Event::AccessRevoked,
            Event::PrimaryGenerated { id: one, superseded: Some(two) },
            Event::PrimaryGenerated { id: one, superseded: None },
            Event::ConfirmationResent { id: one },
            Event::PrimaryConfirmed { id: one, backup: Some(two), replaced: None },
            Event::PendingCancelled { id: one },
            Event::BackupDeleted { id: one },
            Event::RolledBack { given_up: one, primary: two },
            Event::AllRevoked,
            Event::TokenIssued { id: one },
            Event::TokenImported { id: one, slot: Slot::Primary },
            Event::TokenImported { id: one, slot: Slot::Backup },
            Event::TokenRevealed { id: one },
            Event::TokenExpired {
                id: one,
                expired_at: Timestamp::from_unix_millis(7),
                promoted: Some(two),
            },
            Event::TokenExpired { id: one, expired_at: Timestamp::default(), promoted: None },
            Event::RetiredTokenUsed { id: one, count: 3 },
            Event::ConfirmationNotSent { id: one },
        ];
        for event in events {
            let text = encode_event(&event);
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(json["event"], event.name());
            assert_eq!(decode_event(&text).unwrap(), event);
        }
    }

    #[test]
    fn every_actor_reads_back() {
        let actors = [
            Actor::User,
            Actor::administrator("root of \"all\" user").unwrap(),
            Actor::program("ro tator").unwrap(),
        ];
        for actor in actors {
            assert_eq!(decode_actor(&encode_actor(&actor)).unwrap(), actor);
        }
        for bad in ["", "User", "user x", "administrator", "administrator ", "root x"] {
            assert_eq!(decode_actor(bad).unwrap_err().kind(), StoreErrorKind::Corrupt, "{bad}");
        }
    }
}
