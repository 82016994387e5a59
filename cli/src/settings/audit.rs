//! The section `[audit]`: where a record of every change is kept.

use std::path::PathBuf;

use serde::Deserialize;

/// The section `[audit]`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct AuditSettings {
    /// The file to which each change is appended; none by default.
    pub(crate) file: Option<PathBuf>,
}
