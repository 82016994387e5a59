//! Flags over the environment over the file.

use std::ffi::OsString;
use std::path::PathBuf;

use toml::{Table, Value};

use super::environment::{self, CONFIG};
use super::origin::{Origin, Origins};
use super::{Key, Settings, SettingsError};
use crate::arguments::Common;
use crate::store::StoreAddress;

/// What the name of every variable begins with.
pub(super) const PREFIX: &str = "TOWER_API_TOKEN_";

/// What was set, and where.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    table: Table,
    origins: Origins,
}

impl Layers {
    /// The file, the environment over it, and the flags of every command over
    /// both.
    pub(crate) fn of(common: &Common) -> Result<Self, SettingsError> {
        let mut layers = Self::default();
        let variable = std::env::var_os(CONFIG).filter(|value| !value.is_empty());
        if let Some(path) = common.config.clone().or_else(|| variable.map(PathBuf::from)) {
            layers.add_file(&path)?;
        }
        layers.add_environment(std::env::vars_os())?;
        if let Some(store) = &common.store {
            if StoreAddress::has_password(store) {
                return Err(SettingsError::PasswordInFlag);
            }
            layers.add_flag("--store", "store", store)?;
        }
        Ok(layers)
    }

    pub(super) fn add_environment(
        &mut self,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(), SettingsError> {
        for variable in environment::settings(variables)? {
            let text = variable.value.and_then(|text| variable.kind.of_text(&text));
            let value = text.map_err(str::to_owned).and_then(|value| {
                variable.kind.fits(variable.key, &value)?;
                Ok(value)
            });
            let place = || Origin::Variable.of(variable.key);
            let value = value.map_err(|problem| SettingsError::At { place: place(), problem })?;
            self.add(variable.key, Origin::Variable, value);
        }
        Ok(())
    }

    /// Sets the key to what the flag says.
    pub(crate) fn add_flag(
        &mut self,
        flag: &'static str,
        key: &'static str,
        text: &str,
    ) -> Result<(), SettingsError> {
        let value = Value::from(text);
        let fits = Key::of(key).map_or(Ok(()), |known| known.kind.fits(key, &value));
        fits.map_err(|problem| SettingsError::At { place: flag.to_owned(), problem })?;
        self.add(key, Origin::Flag(flag), value);
        Ok(())
    }

    /// Sets the key, over whatever was there.
    pub(super) fn add(&mut self, key: &'static str, origin: Origin, value: Value) {
        put(&mut self.table, key, value);
        self.origins.set(key, origin);
    }

    /// The settings, each of which can be used.
    pub(crate) fn settings(self) -> Result<Settings, SettingsError> {
        let Self { table, origins } = self;
        let read: Result<Settings, toml::de::Error> = table.try_into();
        let read = read.map_err(|error| SettingsError::Merged(error.message().to_owned()))?;
        read.check().map_err(|error| error.located(&origins))?;
        Ok(Settings { origins, ..read })
    }
}

/// Sets the key in the table.
pub(super) fn put(table: &mut Table, key: &str, value: Value) {
    let Some((section, name)) = key.split_once('.') else {
        table.insert(key.to_owned(), value);
        return;
    };
    let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(section) = section {
        section.insert(name.to_owned(), value);
    }
}

/// `tokens.former-prefixes` is `TOWER_API_TOKEN_TOKENS_FORMER_PREFIXES`.
pub(super) fn variable(key: &str) -> String {
    PREFIX.to_owned() + &key.to_uppercase().replace(['.', '-'], "_")
}
