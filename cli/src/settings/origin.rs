//! Where each setting was set, so that an error can name the place.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::layers::variable;

/// Where a setting was set.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    File { path: PathBuf, line: usize },
    Variable,
    Flag(&'static str),
}

impl Origin {
    /// The place where `key` was set, in words.
    pub(super) fn of(&self, key: &str) -> String {
        match self {
            Self::File { path, line } => {
                format!("the configuration file {}, line {line}: {key}", path.display())
            }
            Self::Variable => format!("the variable {}", variable(key)),
            Self::Flag(flag) => (*flag).to_owned(),
        }
    }
}

/// The origin of each setting that was set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins(BTreeMap<&'static str, Origin>);

impl Origins {
    pub(super) fn set(&mut self, key: &'static str, origin: Origin) {
        self.0.insert(key, origin);
    }

    /// The place where `key` was set, or the key where nobody has set it.
    pub(super) fn place(&self, key: &str) -> String {
        self.0.get(key).map_or_else(|| key.to_owned(), |origin| origin.of(key))
    }
}
