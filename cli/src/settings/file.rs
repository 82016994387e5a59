//! The configuration file.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};
use tower_api_token::notify::visible;

use super::error::suggestion;
use super::layers::Layers;
use super::origin::Origin;
use super::{KEYS, Key, Settings, SettingsError};
use crate::arguments::is_close;
use crate::store::StoreAddress;

impl Layers {
    /// Adds what the file says; what is no setting is refused with its line.
    pub(super) fn add_file(&mut self, path: &Path) -> Result<(), SettingsError> {
        let failed = |source| SettingsError::File { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let wrong = |error: toml::de::Error| {
            let line = line(&text, error.span().map_or(0, |span| span.start));
            let problem = match key_of(&text, line) {
                Some(key) => {
                    format!("{}: {}", key.name, key.kind.form().unwrap_or(error.message()))
                }
                None => error.message().to_owned(),
            };
            SettingsError::Line { path: path.to_owned(), line, problem }
        };
        let lines = lines(&text).map_err(wrong)?;
        let table: Table = text.parse().map_err(wrong)?;
        let at = |key: &str| Origin::File {
            path: path.to_owned(),
            line: lines.get(key).copied().unwrap_or(1),
        };
        for section in KEYS.iter().filter_map(|key| Some(key.name.split_once('.')?.0)) {
            if table.get(section).is_some_and(|value| !value.is_table()) {
                let problem = format!("a section is written as [{section}], with its keys below");
                return Err(SettingsError::At { place: at(section).of(section), problem });
            }
        }
        for &Key { name: key, kind, .. } in KEYS {
            if let Some(value) = get(&table, key) {
                let bad = |problem| SettingsError::At { place: at(key).of(key), problem };
                kind.check(key, value).map_err(bad)?;
                self.add(key, at(key), value.clone());
            }
        }
        if let Some((key, problem)) = unknown(&table) {
            let line = lines.get(&key).copied().unwrap_or(1);
            return Err(SettingsError::Line { path: path.to_owned(), line, problem });
        }
        let settings: Settings = toml::from_str(&text).map_err(wrong)?;
        if settings.store.is_some_and(|store| StoreAddress::has_password(&store.0)) {
            let file = std::fs::File::open(path).map_err(failed)?;
            crate::secret::refuse_if_public("--config", path, &file)?;
        }
        Ok(())
    }
}

fn get<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        Some((section, name)) => table.get(section)?.get(name),
        None => table.get(key),
    }
}

/// A key or section that does not exist, and what to say of it.
fn unknown(table: &Table) -> Option<(String, String)> {
    let sections = || KEYS.iter().filter_map(|key| Some(key.name.split_once('.')?.0));
    let keys = || KEYS.iter().map(|key| key.name);
    for (name, value) in table {
        match value {
            Value::Table(section) if sections().any(|known| known == name) => {
                let key = |below: &String| format!("{name}.{below}");
                let Some(below) = section.keys().find(|below| Key::of(&key(below)).is_none())
                else {
                    continue;
                };
                let hint = match Key::of(below) {
                    Some(_) => ": it stands above all sections".to_owned(),
                    None => meant(&key(below), keys()),
                };
                let problem = format!("unknown field `{}` in [{name}]{hint}", visible(below));
                return Some((key(below), problem));
            }
            _ if Key::of(name).is_none() => {
                let hint = meant(name, keys().chain(sections()));
                return Some((name.clone(), format!("unknown field `{}`{hint}", visible(name))));
            }
            _ => {}
        }
    }
    None
}

/// The suggestion of the name that was meant, if one is close.
fn meant<'a>(said: &str, mut known: impl Iterator<Item = &'a str>) -> String {
    let meant = known.find(|known| is_close(known, said)).map(|meant| format!("`{meant}`"));
    suggestion(meant.as_deref())
}

/// The line of each section and key.
fn lines(text: &str) -> Result<BTreeMap<String, usize>, toml::de::Error> {
    let table = DeTable::parse(text)?;
    let mut lines = BTreeMap::new();
    for (name, value) in table.get_ref() {
        if let DeValue::Table(section) = value.get_ref() {
            for below in section.keys() {
                let key = format!("{}.{}", name.get_ref(), below.get_ref());
                lines.insert(key, line(text, start(below)));
            }
        }
        lines.insert(name.get_ref().to_string(), line(text, start(name)));
    }
    Ok(lines)
}

fn start<T>(spanned: &Spanned<T>) -> usize {
    spanned.span().start
}

/// The key that is set in that line, of a text that may be no TOML.
fn key_of(text: &str, line: usize) -> Option<Key> {
    let above: Vec<_> = text.lines().take(line).map(str::trim).collect();
    let name = above.last()?.split_once('=')?.0.trim();
    let section = above.iter().rev().find_map(|line| line.strip_prefix('[')?.strip_suffix(']'));
    let key = section.map_or_else(|| name.to_owned(), |section| format!("{section}.{name}"));
    Key::of(&key)
}

/// The line in which the byte stands, counted from 1.
fn line(text: &str, byte: usize) -> usize {
    let before = &text.as_bytes()[..byte.min(text.len())];
    1 + before.iter().filter(|&&byte| byte == b'\n').count()
}
