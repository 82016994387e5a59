//! Log records, on the standard error.

use tracing_subscriber::EnvFilter;

use super::ServeError;
use crate::settings::{LogFormat, LogSettings};

pub(super) fn start(settings: &LogSettings) -> Result<(), ServeError> {
    let filter = settings.filter.as_deref().unwrap_or("info");
    let filter = EnvFilter::try_new(filter).map_err(|error| ServeError::Log(error.to_string()))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match settings.format {
        LogFormat::Text => {
            use std::io::IsTerminal;
            log.with_ansi(std::io::stderr().is_terminal()).try_init()
        }
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| ServeError::Log(error.to_string()))
}
