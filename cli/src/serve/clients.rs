//! The certificates by which gateways identify themselves.

use std::sync::Arc;

use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error as TlsError, OtherError,
    RootCertStore, SignatureScheme,
};
use webpki::EndEntityCert;

/// Verifies what clients present by these authorities; their certificates have one
/// of the names, or any where there are none.
pub(super) fn verifier(
    authorities: Vec<CertificateDer<'static>>,
    names: &[String],
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority).map_err(|error| format!("a certificate in it: {error}"))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let verifier = verifier.build().map_err(|error| error.to_string())?;
    Ok(if names.is_empty() { verifier } else { Arc::new(Named { names: names.into(), verifier }) })
}

/// Verifies the names of certificates that are valid.
#[derive(Debug)]
struct Named {
    names: Vec<String>,
    verifier: Arc<dyn ClientCertVerifier>,
}

#[derive(Debug, thiserror::Error)]
#[error("none of its names is in `client-names`")]
struct NotNamed;

impl Named {
    fn has_name(&self, certificate: &EndEntityCert<'_>) -> bool {
        // The case of a host's name means nothing, that of a URI does.
        let is_host = |name: &str| self.names.iter().any(|own| own.eq_ignore_ascii_case(name));
        let is_uri = |name: &str| self.names.iter().any(|own| own == name);
        certificate.valid_dns_names().any(is_host) || certificate.valid_uri_names().any(is_uri)
    }
}

impl ClientCertVerifier for Named {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        let verified = self.verifier.verify_client_cert(certificate, intermediates, now)?;
        let certificate = EndEntityCert::try_from(certificate)
            .map_err(|_| TlsError::InvalidCertificate(CertificateError::BadEncoding))?;
        if self.has_name(&certificate) {
            return Ok(verified);
        }
        let other = CertificateError::Other(OtherError(Arc::new(NotNamed)));
        Err(TlsError::InvalidCertificate(other))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
