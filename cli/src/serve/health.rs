//! Health over gRPC (`grpc.health.v1`), for whoever asks Envoy's listener.

use std::pin::Pin;
use std::sync::Arc;

use futures_core::Stream;
use tonic::server::NamedService;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower_api_token::ext_authz::ExtAuthz;

use super::readiness::Readiness;

/// The service.
pub(super) type GrpcHealth = HealthServer<Answers>;

pub(super) fn service(readiness: Arc<Readiness>) -> GrpcHealth {
    HealthServer::new(Answers(readiness))
}

/// Whether the path is one of the service's.
pub(super) fn is_asked(path: &str) -> bool {
    let rest = path.strip_prefix('/').and_then(|path| path.strip_prefix(GrpcHealth::NAME));
    rest.is_some_and(|rest| rest.starts_with('/'))
}

/// Answers as `/ready` does, at most a second later.
pub(super) struct Answers(Arc<Readiness>);

#[tonic::async_trait]
impl Health for Answers {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        // The server as a whole has no name.
        if !["", ExtAuthz::NAME].contains(&request.get_ref().service.as_str()) {
            return Err(Status::not_found("there is no such service"));
        }
        let status = match self.0.recent().await {
            Ok(()) => ServingStatus::Serving,
            Err(_) => ServingStatus::NotServing,
        };
        Ok(Response::new(HealthCheckResponse { status: status.into() }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    /// The protocol lets a server leave it out: a response here has its time, and
    /// this one would never end.
    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("ask by Check from time to time"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_the_service_itself_are_its_own() {
        assert!(is_asked("/grpc.health.v1.Health/Check"));
        for other in [
            "/envoy.service.auth.v3.Authorization/Check",
            "/grpc.health.v1.Health",
            "/grpc.health.v1.HealthCheck/Check",
            "grpc.health.v1.Health/Check",
            "//grpc.health.v1.Health/Check",
        ] {
            assert!(!is_asked(other), "{other}");
        }
    }
}
