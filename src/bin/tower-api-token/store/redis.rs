//! How a Redis server is reached.

use redis::{Client, ConnectionInfo, IntoConnectionInfo};
use tower_api_token::store::{RedisOptions, RedisStore};

use super::OpenError;
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
    if url.starts_with("rediss:") {
        let problem = "Redis over TLS is not built in: put a tunnel on this machine in front";
        return Err(SettingsError::bad("store", problem));
    }
    // The driver's own words may repeat a part of the address.
    let bad = |_| SettingsError::bad("store", "a Redis store is redis://USER@HOST:PORT/NUMBER");
    let mut info: ConnectionInfo = url.into_connection_info().map_err(bad)?;
    if let Some(path) = &settings.store_password_file {
        let password = secret::password("store-password-file", path)?;
        let server = info.redis_settings().clone().set_password(password.as_str());
        info = info.set_redis_settings(server);
    }
    Client::open(info).map_err(bad)
}
