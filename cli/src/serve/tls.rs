//! TLS by files, which are read anew when they change.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{Error as PemError, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{Error as TlsError, ServerConfig};
use zeroize::Zeroizing;

use super::ServeError;
use super::reload::{Current, Reloads};
use crate::failure::Failure;
use crate::secret;
use crate::settings::{SettingsError, TlsFiles};

/// No file with certificates or a key is longer.
const MOST_BYTES: u64 = 1 << 20;

/// The certificate of a listener, and its key.
pub(super) struct Tls(Current<ServerConfig>);

impl Tls {
    /// Reads both files, which are used only together, and anew when they change.
    pub(super) fn of(
        files: Option<TlsFiles>,
        protocols: &'static [&'static [u8]],
        reloads: &mut Reloads,
    ) -> Result<Option<Self>, Failure> {
        let Some(files) = files else { return Ok(None) };
        let paths = vec![files.certificate.clone(), files.key.clone()];
        let setting = files.certificate_setting;
        let config = reloads.read(setting, paths, move || config(&files, protocols))?;
        Ok(Some(Self(config)))
    }

    /// Accepts connections with the certificate that there is now.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.get())
    }
}

/// TLS 1.2 and 1.3, with these protocols on offer.
fn config(files: &TlsFiles, protocols: &[&[u8]]) -> Result<ServerConfig, Failure> {
    let of_certificate = |problem: String| ServeError::Tls {
        setting: files.certificate_setting,
        path: files.certificate.clone(),
        problem,
    };
    let of_key = |problem: String| ServeError::Tls {
        setting: files.key_setting,
        path: files.key.clone(),
        problem,
    };
    let certificates = certificates(&files.certificate).map_err(of_certificate)?;
    let key = File::open(&files.key).map_err(|error| of_key(error.to_string()))?;
    secret::refuse_if_public(files.key_setting, &files.key, &key).map_err(SettingsError::from)?;
    let key = read(key).and_then(|pem| private_key(&pem)).map_err(of_key)?;
    let provider = Arc::new(ring::default_provider());
    if provider.key_provider.load_private_key(key.clone_key()).is_err() {
        let problem = "it is no key of RSA, ECDSA or Ed25519 that can be used";
        return Err(of_key(problem.to_owned()).into());
    }
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(certificates, key));
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
