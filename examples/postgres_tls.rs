//! `PostgresStore` over TLS: both the pool and the connection that listens for
//! changes check the server's certificate, here with rustls. The store knows
//! nothing of TLS; any connector of `tokio-postgres` will do.
//!
//! ```sh
//! cargo run --example postgres_tls --features postgres -- \
//!     "host=db.internal user=api dbname=api" ca.pem
//! ```
//!
//! It makes the tables, gives the user `example` access, and prints the change
//! when it has come back over the listening connection.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use deadpool_postgres::{Manager, Pool};
use futures_util::StreamExt;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tower_api_token::TokenManager;
use tower_api_token::manage::Confirmation;
use tower_api_token::method::MethodSet;
use tower_api_token::store::{ChangeFeed, FeedItem, PostgresStore};
use tower_api_token::user::{Actor, UserId};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(database), Some(authority)) = (arguments.next(), arguments.next()) else {
        return Err("usage: postgres_tls CONNECTION CERTIFICATE_AUTHORITY".into());
    };
    let mut config: Config = database.parse()?;
    // The default, `prefer`, would go on without TLS where a server, or whoever
    // answers in its place, offers none.
    config.ssl_mode(SslMode::Require);
    let tls = trusting(Path::new(&authority))?;

    let pool = Pool::builder(Manager::new(config.clone(), tls.clone())).max_size(4).build()?;
    show_encryption(&pool).await?;
    let store = Arc::new(PostgresStore::new(pool).listen_with(config, tls));
    store.migrate().await?;

    let mut changes = store.changes().await?;
    let manager = TokenManager::builder(Arc::clone(&store)).confirmation(Confirmation::ByCaller);
    let (manager, example) = (manager.build().await?, UserId::new("example")?);
    manager.revoke_access(&Actor::User, &example).await.ok();
    manager.grant(&Actor::User, &example, MethodSet::new(["GET"])?).await?;
    while let Some(item) = changes.next().await {
        if let FeedItem::Change(change) = item {
            println!("changed: {}", change.user);
            break;
        }
    }
    Ok(())
}

/// TLS with servers whose certificate comes from this authority.
fn trusting(authority: &Path) -> Result<MakeRustlsConnect, Box<dyn Error>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authority)? {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

async fn show_encryption(pool: &Pool) -> Result<(), Box<dyn Error>> {
    let question = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let row = pool.get().await?.query_one(question, &[]).await?;
    println!("connected by {}", row.get::<_, &str>(0));
    Ok(())
}
