//! Log records of a command, on the standard error.

use tracing_subscriber::EnvFilter;

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
