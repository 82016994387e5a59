//! A gateway between its client, the endpoint and the API.

use std::time::{Duration, Instant};

use http::Request;
use tower_api_token::authenticate::Authenticator;

use crate::api::{Api, Reached};
use crate::client::{Answer, Connection, request};
use crate::endpoint::Endpoint;
use crate::gateway::{Gateway, Running};

pub(crate) struct Scene {
    pub(crate) gateway: Running,
    pub(crate) endpoint: Endpoint,
    pub(crate) api: Api,
}

impl Scene {
    pub(crate) async fn set(gateway: Gateway) -> Self {
        Self::before(Endpoint::start(gateway.asks).await, gateway).await
    }

    /// With an endpoint that lets CORS preflights pass.
    pub(crate) async fn set_for_preflights(gateway: Gateway) -> Self {
        Self::deciding(gateway, |authenticator| authenticator.allow_preflight(true)).await
    }

    /// With an endpoint whose authenticator is set so.
    pub(crate) async fn deciding(
        gateway: Gateway,
        set: impl FnOnce(Authenticator) -> Authenticator,
    ) -> Self {
        Self::before(Endpoint::deciding(gateway.asks, set).await, gateway).await
    }

    async fn before(endpoint: Endpoint, gateway: Gateway) -> Self {
        let api = Api::start().await;
        let (endpoint_address, api_address) = (endpoint.address, api.address);
        let start = move || gateway.start(endpoint_address, api_address);
        let gateway = tokio::task::spawn_blocking(start).await.unwrap();
        let scene = Self { gateway, endpoint, api };
        scene.wait_until_it_asks().await;
        scene
    }

    /// Some gateways listen before they know their routes.
    async fn wait_until_it_asks(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.send(request("GET", &[])).await.status != 401 {
            assert!(Instant::now() < deadline, "the gateway does not ask");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(self.api.reached().is_empty());
    }

    /// Sends a request on a connection of its own.
    pub(crate) async fn send(&self, request: Request<String>) -> Answer {
        Connection::open(self.gateway.address).await.send(request).await
    }

    /// Sends a request with that token and these headers.
    pub(crate) async fn ask(&self, method: &str, token: &str, more: &[(&str, &str)]) -> Answer {
        let credential = format!("Bearer {token}");
        let headers = [&[("authorization", credential.as_str())], more].concat();
        self.send(request(method, &headers)).await
    }

    /// The one request that has reached the API, let pass by this answer.
    #[track_caller]
    pub(crate) fn passed(&self, answer: &Answer) -> Reached {
        assert_eq!(answer.status, 200, "{answer:?}");
        let mut reached = self.api.reached();
        assert_eq!(reached.len(), 1, "{reached:?}");
        reached.remove(0)
    }

    /// Checks that the answer is a denial with one of these statuses, which
    /// tells nothing of a user nor of a token, and that nothing has reached the API.
    #[track_caller]
    pub(crate) fn denied(&self, answer: &Answer, statuses: &[u16]) {
        assert!(statuses.contains(&answer.status.as_u16()), "not in {statuses:?}: {answer:?}");
        let reached = self.api.reached();
        assert!(reached.is_empty(), "{answer:?} {reached:?}");
        for told in ["x-auth-user", "api-token-slot", "api-token-expires"] {
            assert!(!answer.headers.contains_key(told), "{answer:?}");
        }
        assert!(!format!("{answer:?}").contains("rest_"), "{answer:?}");
    }
}
