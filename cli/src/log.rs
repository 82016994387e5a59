//! Log records, on the standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, LogSettings};

/// Shows what nobody is told otherwise: warnings of this program and its library.
pub(crate) fn of_command(json: bool) {
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("tower_api_token=warn"))
        .with_writer(std::io::stderr)
        .with_ansi(false);
    // It fails where there is a log already.
    drop(if json {
        log.json().flatten_event(true).try_init()
    } else {
        log.without_time().with_target(false).try_init()
    });
}

/// Shows what the settings ask for, until the program ends.
pub(crate) fn of_server(settings: &LogSettings) -> Result<(), String> {
    let filter = settings.filter.as_deref().unwrap_or("info");
    let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match settings.format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| error.to_string())
}
