//! `serve`.

use std::sync::Arc;

use clap::Args;

use crate::arguments::Common;
use crate::failure::Failure;
use crate::serve::{self, Inherited};
use crate::settings::Layers;

/// Answer a gateway for every request whether it may pass.
///
/// SIGTERM and SIGINT stop it in order: no new connections, running requests
/// are answered, last uses are written. A second one stops it at once.
/// SIGHUP makes it read its files of secrets and certificates anew.
///
/// Under systemd it takes Type=notify, WatchdogSec= and sockets: one is used
/// where `listen` names its address.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  \
    tower-api-token serve --listen 127.0.0.1:9180 --profile original-method \\\n      \
    --operations 127.0.0.1:9181")]
pub(crate) struct ServeArguments {
    /// Where gateways ask over HTTP: IP:PORT or unix:PATH. Any path is answered.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// How the gateway names its client's method: original-method (nginx,
    /// HAProxy, Apache), forwarded-method (Caddy, Traefik), method-header (NGINX
    /// Gateway Fabric), own-request-line (Envoy over HTTP). There is no default.
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// Where Envoy asks over gRPC.
    #[arg(long, value_name = "ADDRESS")]
    ext_authz: Option<String>,
    /// Where operators find /health, /ready and /metrics.
    #[arg(long, value_name = "ADDRESS")]
    operations: Option<String>,
}

pub(crate) fn run(arguments: ServeArguments, common: &Common) -> Result<(), Failure> {
    let mut layers = Layers::of(common)?;
    let flags = [
        ("--listen", "forward-auth.listen", arguments.listen),
        ("--profile", "forward-auth.profile", arguments.profile),
        ("--ext-authz", "ext-authz.listen", arguments.ext_authz),
        ("--operations", "operations.listen", arguments.operations),
    ];
    for (flag, key, value) in flags {
        if let Some(value) = value {
            layers.add_flag(flag, key, &value)?;
        }
    }
    let settings = Arc::new(layers.settings()?);
    // While this is the only thread: the environment is changed.
    let inherited = Inherited::from_environment()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::Runtime)?;
    let served = runtime.block_on(serve::run(&settings, inherited));
    // Connections that outlived the grace period end here.
    runtime.shutdown_background();
    served.map_err(|failure| failure.located(&settings.origins))
}
