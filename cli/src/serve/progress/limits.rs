//! How long peers may take.

use std::time::Duration;

use crate::settings::{Settings, Time};

/// How long a peer may take.
#[derive(Clone, Copy, Debug)]
pub(in crate::serve) struct Limits {
    /// From the first byte to a whole head of a request; for the first request
    /// from when the connection was accepted, so that a TLS handshake and the
    /// preface of HTTP/2 count.
    pub(in crate::serve) head: Duration,
    /// From the last response to the next request.
    pub(in crate::serve) idle: Duration,
    /// From a whole head until the response is made and taken.
    pub(in crate::serve) response: Duration,
}

/// Unless the settings say otherwise.
pub(crate) const HEAD: Duration = Duration::from_secs(30);

/// Longer than gateways keep a connection open, so that it is they who close it.
const IDLE: Duration = Duration::from_secs(120);

impl Limits {
    pub(in crate::serve) fn of(settings: &Settings) -> Self {
        let head = settings.head_timeout.map_or(HEAD, |Time(time)| time);
        // The store may be waited for more than once, and the network has its time, too.
        let store = settings.store_timeout.map_or(Duration::ZERO, |Time(time)| time);
        Self { head, idle: IDLE, response: IDLE + 2 * store }
    }
}
