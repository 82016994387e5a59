//! What `--store` says.

use std::fmt;
use std::path::PathBuf;

use super::explain;
use crate::settings::{Hidden, Settings, SettingsError};

/// Where the accounts are.
#[derive(Debug)]
pub(crate) enum StoreAddress {
    Sqlite(PathBuf),
    Postgres(Hidden),
    Redis(Hidden),
}

impl StoreAddress {
    /// The store that the settings name.
    pub(crate) fn of(settings: &Settings) -> Result<Self, SettingsError> {
        let store = settings.store.as_ref().ok_or(SettingsError::NoStore)?;
        let scheme = store.0.split_once(':').map(|(scheme, _)| scheme);
        match (scheme, &store.0) {
            (Some("sqlite"), text) if text.len() > "sqlite:".len() => {
                Ok(Self::Sqlite(text["sqlite:".len()..].into()))
            }
            (Some("postgres" | "postgresql"), text) if text.contains("://") => {
                Ok(Self::Postgres(store.clone()))
            }
            (Some("redis" | "rediss"), text) if text.contains("://") => {
                Ok(Self::Redis(store.clone()))
            }
            _ => Err(SettingsError::bad(
                "store",
                "a store is sqlite:PATH, postgres://USER@HOST/DATABASE or redis://HOST",
            )),
        }
    }

    /// Whether it could be reached at all, as far as its text tells.
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        let problem = match self {
            Self::Sqlite(path) => path_problem(&path.to_string_lossy()),
            Self::Postgres(Hidden(url)) => explain::postgres(url),
            Self::Redis(Hidden(url)) => explain::redis(url),
        };
        problem.map_or(Ok(()), |problem| Err(SettingsError::bad("store", problem)))
    }

    /// Why the certificate of its server might never be asked for.
    pub(crate) fn unverified(&self) -> Option<&'static str> {
        match self {
            Self::Sqlite(_) => Some("only a store that is a server has it: leave it out"),
            Self::Postgres(Hidden(url)) if !explain::requires_tls(url) => Some(
                "a certificate is sure to be asked for only with sslmode=require in the address \
                 `store`: say so, or leave it out",
            ),
            Self::Redis(Hidden(url)) if !url.starts_with("rediss:") => Some(
                "redis:// in the address `store` asks for no certificate: say rediss://, or leave \
                 it out",
            ),
            _ => None,
        }
    }

    /// Whether a password stands in the text.
    pub(crate) fn has_password(text: &str) -> bool {
        let Some((_, rest)) = text.split_once("://") else { return false };
        let in_query = rest.split_once('?').is_some_and(|(_, query)| query.contains("password="));
        // What follows the last `@` can be no part of a name or password, but
        // a password may hold any other character.
        let user = rest.rsplit_once('@').map_or("", |(user, _)| user);
        in_query || user.split_once(':').is_some_and(|(_, password)| !password.is_empty())
    }
}

/// What other programs take in an address of SQLite, and would here be part of
/// a file's name.
fn path_problem(path: &str) -> Option<String> {
    let problem = if path == ":memory:" {
        "a store in memory would be gone with the command: name a file"
    } else if path.starts_with("//") {
        "behind sqlite: stands a path as it is, such as sqlite:tokens.db or sqlite:/var/lib/t.db"
    } else if path.split_once('?').is_some_and(|(_, query)| query.contains('=')) {
        "the path of a SQLite file has no parameters behind a ?"
    } else {
        return None;
    };
    Some(problem.to_owned())
}

/// The address without name, password and options.
impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(Hidden(url)) | Self::Redis(Hidden(url)) => {
                let (scheme, rest) = url.split_once("://").unwrap_or((url, ""));
                let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
                let place = place.split('?').next().unwrap_or_default();
                write!(f, "{scheme}://{place}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<StoreAddress, SettingsError> {
        let settings = Settings { store: Some(Hidden(text.to_owned())), ..Settings::default() };
        StoreAddress::of(&settings)
    }

    #[test]
    fn a_password_is_found_wherever_it_may_stand() {
        for with in [
            "postgres://api:s3cret@db/api",
            "postgres://api:s3c@ret@db/api",
            "postgres://api:a/b?c@db/api",
            "postgres://db/api?user=api&password=s3cret",
            "redis://:s3cret@cache",
        ] {
            assert!(StoreAddress::has_password(with), "{with}");
        }
        for without in ["sqlite:a:b@c", "postgres://api@db:5432/api", "redis://cache:6379", "x"] {
            assert!(!StoreAddress::has_password(without), "{without}");
        }
    }

    #[test]
    fn an_address_is_shown_without_what_could_be_secret() {
        let shown = of("postgres://api:s3c@ret@db:5432/api?password=s3cret").unwrap().to_string();
        assert_eq!(shown, "postgres://db:5432/api");
        assert_eq!(of("sqlite:a b.db").unwrap().to_string(), "sqlite:a b.db");
    }

    #[test]
    fn a_path_of_sqlite_is_a_path_and_nothing_else() {
        for bad in ["sqlite::memory:", "sqlite://tokens.db", "sqlite:tokens.db?mode=rwc"] {
            assert!(of(bad).unwrap().check().is_err(), "{bad}");
        }
        for good in ["sqlite:tokens.db", "sqlite:/var/lib/tokens.db", "sqlite:what?.db"] {
            assert!(of(good).unwrap().check().is_ok(), "{good}");
        }
    }

    #[test]
    fn nothing_else_is_a_store() {
        for bad in
            ["", "sqlite:", "tokens.db", "mysql://db", "memory:", "/tmp/tokens.db", "redis:x"]
        {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
