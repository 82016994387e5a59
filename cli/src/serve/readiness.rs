//! Whether requests shall be sent to this server, as `/ready` and `grpc.health.v1`
//! tell.

use std::sync::Arc;

use tower_api_token::store::AccountStore;
use tower_api_token::user::UserId;

use super::stop::Stop;

/// Whether requests shall be sent here.
pub(super) struct Readiness {
    store: Arc<dyn AccountStore>,
    /// Nobody needs to have this account; the store is asked for it.
    probe: Option<UserId>,
    leaving: Stop,
}

impl Readiness {
    pub(super) fn new(store: Arc<dyn AccountStore>, leaving: &Stop) -> Self {
        let probe = UserId::new("tower-api-token readiness probe").ok();
        Self { store, probe, leaving: leaving.clone() }
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
}
