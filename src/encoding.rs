//! The `serde` form of what hosts keep in stores of their own and put into
//! answers (feature `serde`). What is read back passes the checks of its type.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::account::{Ending, Lifetimes, Revision, Slot};
use crate::audit::{AuditEntry, Event};
use crate::method::MethodSet;
use crate::time::Timestamp;
use crate::token::{PepperVersion, TokenHint, TokenId};
use crate::user::{Actor, ClientLabel, UserId};

#[derive(Serialize, Deserialize)]
#[serde(remote = "Event", tag = "event", rename_all = "snake_case")]
enum EventForm {
    AccessGranted {
        methods: MethodSet,
        #[serde(default, skip_serializing_if = "is_default")]
        lifetimes: Lifetimes,
    },
    AccessRevoked,
    AccessSuspended,
    AccessResumed,
    PrimaryGenerated {
        id: TokenId,
        superseded: Option<TokenId>,
    },
    ConfirmationResent {
        id: TokenId,
    },
    PrimaryConfirmed {
        id: TokenId,
        backup: Option<TokenId>,
        replaced: Option<TokenId>,
    },
    PendingCancelled {
        id: TokenId,
    },
    BackupDeleted {
        id: TokenId,
    },
    RolledBack {
        given_up: TokenId,
        primary: TokenId,
    },
    AllRevoked,
    TokenIssued {
        id: TokenId,
    },
    TokenImported {
        id: TokenId,
        slot: Slot,
    },
    TokenRevealed {
        id: TokenId,
    },
    TokenEnded {
        id: TokenId,
        promoted: Option<TokenId>,
    },
    LeakReported {
        id: TokenId,
        found: String,
    },
    ExpiryAnnounced {
        id: TokenId,
        expires_at: Timestamp,
        #[serde(with = "span")]
        notice: Duration,
        unless_used: bool,
    },
    ExpiryLifted {
        id: TokenId,
        expires_at: Option<Timestamp>,
    },
    TokenExpired {
        id: TokenId,
        #[serde(with = "unix_millis")]
        expired_at: Timestamp,
        promoted: Option<TokenId>,
    },
    RetiredTokenUsed {
        id: TokenId,
        count: u64,
    },
    ConfirmationNotSent {
        id: TokenId,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "AuditEntry")]
struct AuditEntryForm {
    user: UserId,
    revision: Revision,
    at: Timestamp,
    actor: Actor,
    #[serde(flatten)]
    event: Event,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Slot", rename_all = "snake_case")]
enum SlotForm {
    Primary,
    Backup,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Ending", rename_all = "snake_case")]
enum EndingForm {
    Superseded,
    Cancelled,
    Replaced,
    Deleted,
    RolledBack,
    Revoked,
    AccessRevoked,
    Expired,
    Ended,
}

impl Serialize for PepperVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.as_u16())
    }
}

/// In milliseconds, as a policy may say them.
#[derive(Serialize, Deserialize)]
struct LifetimesForm {
    token: Option<u64>,
    backup: Option<u64>,
}

impl Serialize for Lifetimes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { token, backup } = self;
        let [token, backup] = [token, backup].map(|life| life.map(millis));
        LifetimesForm { token, backup }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Lifetimes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let LifetimesForm { token, backup } = LifetimesForm::deserialize(deserializer)?;
        let [token, backup] = [token, backup].map(|life| life.map(Duration::from_millis));
        Ok(Self { token, backup })
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn is_default(lifetimes: &Lifetimes) -> bool {
    *lifetimes == Lifetimes::default()
}

/// Implements both traits by the form of the type.
macro_rules! by_its_form {
    ($($type:ty: $form:ty,)*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                <$form>::serialize(self, serializer)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <$form>::deserialize(deserializer)
            }
        }
    )*};
}

by_its_form! {
    Event: EventForm,
    AuditEntry: AuditEntryForm,
    Slot: SlotForm,
    Ending: EndingForm,
}

/// Implements both traits by the number of the type.
macro_rules! by_its_number {
    ($($type:ty,)*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_u64(self.as_u64())
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                u64::deserialize(deserializer).map(Self::from_u64)
            }
        }
    )*};
}

by_its_number! {
    Revision,
    TokenId,
}

/// Implements both traits by the text that the type displays and is read from.
macro_rules! by_its_text {
    ($($type:ty: $read:expr,)*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<str>::deserialize(deserializer)?;
                $read(&*text).map_err(D::Error::custom)
            }
        }
    )*};
}

by_its_text! {
    UserId: UserId::new,
    ClientLabel: ClientLabel::new,
    Actor: actor,
    Timestamp: timestamp,
}

impl Serialize for TokenHint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Serialize for MethodSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for MethodSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let methods = Vec::<Cow<'de, str>>::deserialize(deserializer)?;
        Self::new(methods).map_err(D::Error::custom)
    }
}

/// Why a text cannot be read. Says nothing of what it holds.
#[derive(Debug)]
pub(crate) struct Unreadable(&'static str);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The actor that is displayed so.
pub(crate) fn actor(text: &str) -> Result<Actor, Unreadable> {
    let actor = match text.split_once(' ') {
        None if text == "user" => Some(Actor::User),
        Some(("administrator", name)) => Actor::administrator(name).ok(),
        Some(("program", name)) => Actor::program(name).ok(),
        _ => None,
    };
    actor.ok_or(Unreadable("an actor is `user`, `administrator NAME` or `program NAME`"))
}

/// The point in time that is displayed so; RFC 3339 knows other ways to write
/// it, and none of them is taken.
fn timestamp(text: &str) -> Result<Timestamp, Unreadable> {
    let read = unix_millis_of(text).map(Timestamp::from_unix_millis);
    let read = read.filter(|timestamp| timestamp.to_string() == text);
    read.ok_or(Unreadable("a time is UTC to the millisecond, such as 2026-01-02T03:04:05.678Z"))
}

/// Right for a text that a timestamp displays, and some number for others.
fn unix_millis_of(text: &str) -> Option<u64> {
    const DAYS_TO_EPOCH_FROM_MARCH_OF_YEAR_0: u64 = 719_468;
    let mut numbers = text.split(['-', 'T', ':', '.', 'Z']).map(|number| number.parse::<u32>());
    let mut next = || numbers.next()?.ok().map(u64::from);
    let (year, month, day) = (next()?, next()?, next()?);
    let (hour, minute, second, millis) = (next()?, next()?, next()?, next()?);
    // Years are counted from March, so that the leap day comes last.
    let year = if month > 2 { year } else { year.checked_sub(1)? };
    let days = year * 365 + year / 4 - year / 100 + year / 400;
    let days = days + (153 * ((month + 9) % 12) + 2) / 5 + day.checked_sub(1)?;
    let days = days.checked_sub(DAYS_TO_EPOCH_FROM_MARCH_OF_YEAR_0)?;
    let seconds = hour * 3_600 + minute * 60 + second;
    days.checked_mul(86_400_000)?.checked_add(seconds * 1_000 + millis)
}

/// A length of time in milliseconds.
mod span {
    use super::{Deserialize, Deserializer, Duration, Serializer, millis};

    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(millis(*time))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

/// A point in time as the built-in stores have always kept it in an event.
mod unix_millis {
    use super::{Deserialize, Deserializer, Serializer, Timestamp};

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(at.unix_millis())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        u64::deserialize(from).map(Timestamp::from_unix_millis)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_time_reads_back(millis: u64) {
            let at = Timestamp::from_unix_millis(millis);
            prop_assert_eq!(timestamp(&at.to_string()).unwrap(), at);
        }

        #[test]
        fn a_text_is_a_time_or_none(text in "[-0-9TZ:.+ ]{0,40}") {
            if let Ok(at) = timestamp(&text) {
                prop_assert_eq!(at.to_string(), text);
            }
        }
    }

    fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn what_is_read_passes_the_checks_of_its_type() {
        assert!(read::<UserId>("\"\"").is_err() && read::<UserId>(r#""a\u0000""#).is_err());
        assert!(read::<ClientLabel>(r#""\u202e""#).is_err());
        for bad in [r#"["TRACE"]"#, r#"["get"]"#, r#"["*"]"#, r#"[""]"#, r#""GET""#] {
            assert!(read::<MethodSet>(bad).is_err(), "{bad}");
        }
        for bad in [r#""root""#, r#""administrator ""#, r#""program a\u0007""#, r#""user x""#] {
            assert!(read::<Actor>(bad).is_err(), "{bad}");
        }
        assert!(read::<Slot>(r#""Primary""#).is_err() && read::<TokenId>("-1").is_err());
        let granted = r#"{"event":"access_granted","methods":["TRACE"]}"#;
        assert!(read::<Event>(granted).is_err());
    }

    #[test]
    fn a_value_reads_back() {
        fn reads_back<T>(value: &T, json: &str)
        where
            T: Serialize + for<'a> Deserialize<'a> + PartialEq + fmt::Debug,
        {
            assert_eq!(serde_json::to_string(value).unwrap(), json);
            assert_eq!(read::<T>(json).unwrap(), *value);
        }
        let alice = UserId::new("al\"ice").unwrap();
        reads_back(&alice, r#""al\"ice""#);
        reads_back(&ClientLabel::new("curl/8").unwrap(), r#""curl/8""#);
        reads_back(&MethodSet::new(["PURGE", "GET"]).unwrap(), r#"["GET","PURGE"]"#);
        reads_back(&MethodSet::empty(), "[]");
        reads_back(&TokenId::from_u64(u64::MAX), "18446744073709551615");
        reads_back(&Revision::from_u64(3), "3");
        reads_back(&Slot::Backup, r#""backup""#);
        reads_back(&Ending::RolledBack, r#""rolled_back""#);
        let by = Actor::administrator("root of all").unwrap();
        reads_back(&by, r#""administrator root of all""#);
        let at = Timestamp::from_unix_millis(1_000);
        reads_back(&at, r#""1970-01-01T00:00:01.000Z""#);
        let id = TokenId::from_u64(u64::MAX);
        let event = Event::TokenExpired { id, expired_at: at, promoted: None };
        let json = r#""event":"token_expired","id":18446744073709551615,"expired_at":1000,"promoted":null}"#;
        reads_back(&event, &format!("{{{json}"));
        let entry = AuditEntry::new(alice, Revision::from_u64(7), at, by, event);
        let head = r#"{"user":"al\"ice","revision":7,"at":"1970-01-01T00:00:01.000Z","actor":"administrator root of all","#;
        reads_back(&entry, &format!("{head}{json}"));
    }

    #[test]
    fn an_event_of_a_newer_version_is_an_error() {
        let unknown = r#"{"event":"token_lent","id":1}"#;
        assert!(read::<Event>(unknown).is_err());
        let entry = r#"{"user":"a","revision":1,"at":"1970-01-01T00:00:01.000Z","actor":"user","event":"token_lent","id":1}"#;
        assert!(read::<AuditEntry>(entry).is_err());
        // What it says more of a known event is no reason to know nothing.
        let more = r#"{"event":"backup_deleted","id":1,"reason":"leaked"}"#;
        assert_eq!(read::<Event>(more).unwrap(), Event::BackupDeleted { id: TokenId::from_u64(1) });
    }

    struct Probe<T>(std::marker::PhantomData<T>);

    /// An inherent constant comes before that of a trait.
    impl<T: Serialize> Probe<T> {
        const IS_SERIALISABLE: bool = true;
    }

    trait Otherwise {
        const IS_SERIALISABLE: bool = false;
    }

    impl<T> Otherwise for Probe<T> {}

    #[test]
    fn no_secret_is_serialisable() {
        use crate::{account, manage, token};

        const { assert!(Probe::<UserId>::IS_SERIALISABLE, "the probe finds what there is") };
        const {
            assert!(!Probe::<token::Token>::IS_SERIALISABLE);
            assert!(!Probe::<token::ConfirmationCode>::IS_SERIALISABLE);
            assert!(!Probe::<token::CodeDigest>::IS_SERIALISABLE);
            assert!(!Probe::<token::TokenDigest>::IS_SERIALISABLE);
            assert!(!Probe::<token::StoredDigest>::IS_SERIALISABLE);
            assert!(!Probe::<token::SealedToken>::IS_SERIALISABLE);
            assert!(!Probe::<token::Pepper>::IS_SERIALISABLE);
            assert!(!Probe::<account::Account>::IS_SERIALISABLE);
            assert!(!Probe::<account::TokenRecord>::IS_SERIALISABLE);
            assert!(!Probe::<account::Retired>::IS_SERIALISABLE);
            assert!(!Probe::<manage::GeneratedPrimary>::IS_SERIALISABLE);
            assert!(!Probe::<(manage::PendingView, manage::Delivery)>::IS_SERIALISABLE);
            assert!(!Probe::<manage::IssuedToken>::IS_SERIALISABLE);
            assert!(!Probe::<manage::Delivery>::IS_SERIALISABLE);
        }
    }

    #[test]
    fn a_time_is_taken_in_one_form_alone() {
        for at in [0, 951_782_400_000, 1_709_251_199_999, 1_709_251_200_000, u64::MAX] {
            let at = Timestamp::from_unix_millis(at);
            assert_eq!(timestamp(&at.to_string()).unwrap(), at);
        }
        for bad in [
            "",
            "2026-01-02T03:04:05Z",
            "2026-01-02t03:04:05.678z",
            "2026-02-29T00:00:00.000Z",
            "2026-13-01T00:00:00.000Z",
            "2026-01-00T00:00:00.000Z",
            "2026-01-01T24:00:00.000Z",
            "2026-01-02T03:04:05.678+00:00",
            "1969-12-31T23:59:59.999Z",
            "0000-01-01T00:00:00.000Z",
            "4294967295-01-01T00:00:00.000Z",
        ] {
            assert!(timestamp(bad).is_err(), "{bad}");
        }
    }
}
