//! Whether requests shall be sent to this server, as `/ready` and `grpc.health.v1`
//! tell.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use tower_api_token::store::AccountStore;
use tower_api_token::user::UserId;

use super::stop::Stop;

/// How old an answer may be that is recent.
const HOLDS: Duration = Duration::from_secs(1);

/// Whether requests shall be sent here.
pub(super) struct Readiness {
    store: Arc<dyn AccountStore>,
    /// Nobody needs to have this account; the store is asked for it.
    probe: Option<UserId>,
    /// What was said last, and when.
    last: Mutex<Option<(Instant, Result<(), String>)>>,
    leaving: Stop,
}

impl Readiness {
    pub(super) fn new(store: Arc<dyn AccountStore>, leaving: &Stop) -> Self {
        let probe = UserId::new("tower-api-token readiness probe").ok();
        Self { store, probe, last: Mutex::default(), leaving: leaving.clone() }
    }

    /// Why they shall not, if they shall not.
    pub(super) async fn ask(&self) -> Result<(), String> {
        if self.leaving.is_now() {
            return Err("stopping".to_owned());
        }
        let probe = self.probe.as_ref().ok_or("no probe")?;
        // The log has the rest.
        self.store.load(probe).await.map(drop).map_err(|error| error.to_string())
    }

    /// The same, of a moment ago: whoever reaches a gateway's listener may ask there
    /// without a secret, and must not make the store work by it.
    pub(super) async fn recent(&self) -> Result<(), String> {
        // Whoever asks meanwhile waits for the same answer.
        let mut last = self.last.lock().await;
        let recent = last.as_ref().filter(|(at, _)| at.elapsed() < HOLDS && !self.leaving.is_now());
        if let Some((_, said)) = recent {
            return said.clone();
        }
        let said = self.ask().await;
        *last = Some((Instant::now(), said.clone()));
        said
    }
}
