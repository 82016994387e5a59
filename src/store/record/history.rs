//! The parts of an audit entry: text that an operator can read and query.

use super::{RecordError, corrupt};
use crate::audit::Event;
use crate::encoding;
use crate::store::StoreError;
use crate::user::Actor;

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
    encoding::actor(text).map_err(|_| corrupt(DOING, RecordError::Actor))
}

/// The event's `serde` form as JSON: its member `event` is the event's
/// [name](Event::name), and there is one member for each of its parts.
pub(crate) fn encode_event(event: &Event) -> String {
    serde_json::to_string(event).expect("a map of text and numbers is always JSON")
}

/// Where a log has an event for each of its entries, this stands for an account that
/// was erased, which is no [`Event`].
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) const ERASED_EVENT: &str = r#"{"event":"account_erased"}"#;

/// The event that has this stored form.
///
/// # Errors
///
/// [`StoreErrorKind::Corrupt`](super::StoreErrorKind::Corrupt) with its cause
/// as source.
pub(crate) fn decode_event(text: &str) -> Result<Event, StoreError> {
    serde_json::from_str(text).map_err(|cause| corrupt(DOING, cause.into()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::account::{Lifetimes, Slot};
    use crate::method::MethodSet;
    use crate::store::StoreErrorKind;
    use crate::time::Timestamp;
    use crate::token::TokenId;

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
        let (week, at) = (Duration::from_secs(7 * 86_400), Timestamp::from_unix_millis(7));
        let lifetimes = Lifetimes { token: Some(week), backup: None };
        let events = [
            Event::AccessGranted { methods: methods.clone(), lifetimes: Lifetimes::default() },
            Event::AccessGranted { methods, lifetimes },
            Event::AccessRevoked,
            Event::AccessSuspended,
            Event::AccessResumed,
            Event::TokenEnded { id: one, promoted: Some(two) },
            Event::LeakReported { id: one, found: "commit".to_owned() },
            Event::ExpiryAnnounced { id: one, expires_at: at, notice: week, unless_used: true },
            Event::ExpiryLifted { id: one, expires_at: Some(at) },
            Event::ExpiryLifted { id: one, expires_at: None },
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
            assert!(Event::NAMES.contains(&event.name()), "{text}");
        }
    }

    #[test]
    fn an_erasure_is_written_under_its_name() {
        let json: serde_json::Value = serde_json::from_str(ERASED_EVENT).unwrap();
        assert_eq!(json["event"], crate::audit::AccountErased::NAME);
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
