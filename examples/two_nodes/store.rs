//! The database that all nodes share.

use std::error::Error;
use std::sync::Arc;

use deadpool_postgres::{Manager, Pool, Runtime};
use tokio_postgres::{Config, NoTls};
use tower_api_token::store::{AccountStore, PostgresStore, RedisOptions};

use crate::options::Options;

pub(crate) async fn open(options: &Options) -> Result<Arc<dyn AccountStore>, Box<dyn Error>> {
    let address = &*options.store;
    if address.starts_with("postgres://") {
        postgres(address, options.set_up).await
    } else if address.starts_with("redis://") {
        redis(address, options.set_up).await
    } else {
        Err("--store needs postgres://… or redis://…".into())
    }
}

/// On loopback without TLS; a host gives pool and listener what its server
/// wants.
async fn postgres(address: &str, set_up: bool) -> Result<Arc<dyn AccountStore>, Box<dyn Error>> {
    let config: Config = address.parse()?;
    let manager = Manager::new(config.clone(), NoTls);
    let pool = Pool::builder(manager).max_size(16).runtime(Runtime::Tokio1).build()?;
    let store = PostgresStore::new(pool).listen_with(config, NoTls);
    if set_up {
        store.migrate().await?;
    }
    Ok(Arc::new(store))
}

async fn redis(address: &str, set_up: bool) -> Result<Arc<dyn AccountStore>, Box<dyn Error>> {
    let client = redis::Client::open(address)?;
    let store = RedisOptions::new(client).open().await?;
    if set_up {
        store.create().await?;
    }
    Ok(Arc::new(store))
}
