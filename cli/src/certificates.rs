//! Files with the certificates of authorities.

use std::path::Path;

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use crate::settings::SettingsError;

/// The certificates in the file that `setting` names, that a server's own must lead to.
pub(crate) fn trusted(setting: &'static str, path: &Path) -> Result<RootCertStore, SettingsError> {
    let wrong = |error: String| {
        SettingsError::bad(setting, format!("the file {}: {error}", path.display()))
    };
    let mut roots = RootCertStore::empty();
    let found = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
    for certificate in found {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("there is no certificate in it (PEM is expected)".to_owned()));
    }
    Ok(roots)
}
