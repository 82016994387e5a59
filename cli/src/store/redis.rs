//! How a Redis server is reached.

use std::path::Path;

use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsCertificates};
use tokio_rustls::rustls::crypto::ring;
use tower_api_token::store::{RedisOptions, RedisStore};

use super::OpenError;
use super::postgres::roots;
use crate::secret;
use crate::settings::{Settings, SettingsError};

pub(super) async fn open(url: &str, settings: &Settings) -> Result<RedisStore, OpenError> {
    let mut options = RedisOptions::new(client(url, settings)?);
    if let Some(name) = &settings.store_deployment {
        options = options.deployment(name);
    }
    if let Some(count) = settings.store_replicas {
        options = options.replicas(count);
    }
    Ok(options.open().await?)
}

fn client(url: &str, settings: &Settings) -> Result<Client, SettingsError> {
    // The driver's own words may repeat a part of the address.
    let bad = |_| SettingsError::bad("store", "a Redis store is redis://USER@HOST:PORT/NUMBER");
    let mut info: ConnectionInfo = url.into_connection_info().map_err(bad)?;
    if let Some(path) = &settings.store_password_file {
        let password = secret::password("store-password-file", path)?;
        let server = info.redis_settings().clone().set_password(password.as_str());
        info = info.set_redis_settings(server);
    }
    match info.addr() {
        ConnectionAddr::TcpTls { insecure: true, .. } => {
            let problem = "#insecure would trust any server: name its authority by store-ca-file";
            Err(SettingsError::bad("store", problem))
        }
        ConnectionAddr::TcpTls { .. } => over_tls(info, settings.store_ca_file.as_deref()),
        _ => Client::open(info).map_err(bad),
    }
}

/// A client that trusts the authorities of the file, or those that browsers do.
fn over_tls(info: ConnectionInfo, file: Option<&Path>) -> Result<Client, SettingsError> {
    // One that is there already is as good.
    let _ = ring::default_provider().install_default();
    let bad = |problem: String| SettingsError::bad("store-ca-file", problem);
    let root_cert = file.map(|path| {
        roots(Some(path))?;
        std::fs::read(path).map_err(|error| bad(format!("the file {}: {error}", path.display())))
    });
    let certificates = TlsCertificates { client_tls: None, root_cert: root_cert.transpose()? };
    // Its error may repeat a part of the address.
    Client::build_with_tls(info, certificates)
        .map_err(|_| bad("these certificates cannot be used".to_owned()))
}
