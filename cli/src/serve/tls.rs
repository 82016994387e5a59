//! TLS by files, which are read anew when they change.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{Error as PemError, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::{Error as TlsError, ServerConfig};
use zeroize::Zeroizing;

use super::io::Stream;
use super::reload::{Current, Reloads};
use super::seldom::Seldom;
use super::{ServeError, clients};
use crate::failure::Failure;
use crate::secret;
use crate::settings::{ClientFiles, ListenerConfig, SettingsError, TlsFiles};

/// No file with certificates or a key is longer.
const MOST_BYTES: u64 = 1 << 20;

/// How often refused clients are logged.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// The certificate of a listener, its key, and who vouches for its clients.
pub(super) struct Tls {
    /// The listener.
    name: &'static str,
    config: Current<ServerConfig>,
    log: Seldom,
}

impl Tls {
    /// Reads the files, which are used only together, and anew when they change.
    pub(super) fn of(
        listener: &ListenerConfig,
        protocols: &'static [&'static [u8]],
        reloads: &mut Reloads,
    ) -> Result<Option<Self>, Failure> {
        let Some(files) = listener.tls.clone() else { return Ok(None) };
        let mut paths = vec![files.certificate.clone(), files.key.clone()];
        paths.extend(files.clients.iter().map(|clients| clients.authorities.clone()));
        let setting = files.certificate_setting;
        let config = reloads.read(setting, paths, move || config(&files, protocols))?;
        Ok(Some(Self { name: listener.name, config, log: Seldom::every(LOG_INTERVAL) }))
    }

    /// Accepts one connection with the certificate that there is now.
    pub(super) fn acceptor(&self) -> Acceptor {
        let acceptor = TlsAcceptor::from(self.config.get());
        Acceptor { name: self.name, acceptor, log: self.log.clone() }
    }
}

/// Accepts one connection.
pub(super) struct Acceptor {
    name: &'static str,
    acceptor: TlsAcceptor,
    log: Seldom,
}

impl Acceptor {
    /// The stream after the handshake; nothing where that has failed.
    pub(super) async fn accept(&self, stream: Box<dyn Stream>) -> Option<Box<dyn Stream>> {
        match self.acceptor.accept(stream).await {
            Ok(stream) => Some(Box::new(stream)),
            Err(error) => {
                let listener = self.name;
                if is_of_a_client(&error) && self.log.is_time() {
                    tracing::error!(
                        listener, %error,
                        "the gateway is not recognised by its certificate: its connection is refused"
                    );
                } else {
                    tracing::debug!(listener, %error, "no TLS");
                }
                None
            }
        }
    }
}

/// Whether the handshake has failed for what the client presents.
fn is_of_a_client(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    matches!(cause, Some(TlsError::NoCertificatesPresented | TlsError::InvalidCertificate(_)))
}

/// TLS 1.2 and 1.3, with these protocols on offer.
fn config(files: &TlsFiles, protocols: &[&[u8]]) -> Result<ServerConfig, Failure> {
    let of_certificate = |problem: String| ServeError::Tls {
        setting: files.certificate_setting,
        path: files.certificate.clone(),
        problem,
    };
    let certificates = certificates(&files.certificate).map_err(of_certificate)?;
    let provider = Arc::new(ring::default_provider());
    let key = key(files, &provider)?;
    let clients = client_verifier(files.clients.as_ref(), Arc::clone(&provider))?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| {
            config.with_client_cert_verifier(clients).with_single_cert(certificates, key)
        });
    let mut config = config.map_err(|error| {
        of_certificate(match error {
            TlsError::InconsistentKeys(_) => {
                format!("it does not belong to the key in {}", files.key.display())
            }
            other => other.to_string(),
        })
    })?;
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

fn key(files: &TlsFiles, provider: &CryptoProvider) -> Result<PrivateKeyDer<'static>, Failure> {
    let of_key = |problem: String| ServeError::Tls {
        setting: files.key_setting,
        path: files.key.clone(),
        problem,
    };
    let key = File::open(&files.key).map_err(|error| of_key(error.to_string()))?;
    secret::refuse_if_public(files.key_setting, &files.key, &key).map_err(SettingsError::from)?;
    let key = read(key).and_then(|pem| private_key(&pem)).map_err(of_key)?;
    if provider.key_provider.load_private_key(key.clone_key()).is_err() {
        let problem = "it is no key of RSA, ECDSA or Ed25519 that can be used";
        return Err(of_key(problem.to_owned()).into());
    }
    Ok(key)
}

/// Asks for a certificate, if there is somebody to vouch for it.
fn client_verifier(
    files: Option<&ClientFiles>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, ServeError> {
    let Some(files) = files else { return Ok(WebPkiClientVerifier::no_client_auth()) };
    let verifier = certificates(&files.authorities)
        .and_then(|authorities| clients::verifier(authorities, &files.names, provider));
    verifier.map_err(|problem| {
        let (setting, path) = (files.setting, files.authorities.clone());
        ServeError::Tls { setting, path, problem }
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(File::open(path).map_err(|error| error.to_string())?)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|_| "its text is not PEM that can be read".to_owned())?;
    if found.is_empty() {
        Err("there is no certificate in it (PEM is expected)".to_owned())
    } else {
        Ok(found)
    }
}

/// The content of the file that was opened, and of no other.
fn read(file: File) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut content = Zeroizing::new(Vec::new());
    let read = file.take(MOST_BYTES + 1).read_to_end(&mut content);
    match read {
        Ok(_) if content.len() as u64 > MOST_BYTES => {
            Err("it is longer than a megabyte".to_owned())
        }
        Ok(_) => Ok(content),
        Err(error) => Err(error.to_string()),
    }
}

/// The first key. Errors say nothing of what stands in the file.
fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    let holds = |text: &str| pem.windows(text.len()).any(|part| part == text.as_bytes());
    if holds("BEGIN ENCRYPTED PRIVATE KEY") || holds("Proc-Type: 4,ENCRYPTED") {
        return Err("the key is encrypted: write it without its passphrase, for example with \
                    `openssl pkey -in KEY -out PLAIN`, into a file of mode 600"
            .to_owned());
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
        let problem = match error {
            PemError::NoItemsFound => "there is no private key in it (PEM is expected)",
            _ => "its text is not PEM that can be read",
        };
        problem.to_owned()
    })
}
