//! Trust: which certificates are accepted, and which code a refused one has.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error, RootCertStore};

use crate::fault::Fault;

/// TLS 1.2 and 1.3, the public roots, and those in the PEM file `extra_roots`.
/// No client certificate, no session shared between hosts, no ALPN (HTTP/1.1 only).
///
/// The second connector does not name the host (`sni=n`); the certificate is checked alike.
///
/// Errors: the file cannot be read or holds no certificate.
pub(crate) fn connectors(extra_roots: Option<&Path>) -> io::Result<(TlsConnector, TlsConnector)> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = extra_roots {
        let wrong = |why: String| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", path.display()))
        };
        let certificates =
            CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
        let certificates: Vec<_> =
            certificates.collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
        let (added, _) = roots.add_parsable_certificates(certificates);
        if added == 0 {
            return Err(wrong("no certificate in it".to_owned()));
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider supports TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut silent = config.clone();
    silent.enable_sni = false;
    Ok((TlsConnector::from(Arc::new(config)), TlsConnector::from(Arc::new(silent))))
}

/// The fault of a handshake that failed. A refused certificate stays refused, so it is
/// not tried again; everything else counts as a failed connection.
pub(crate) fn fault(error: &io::Error) -> Fault {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(why)) => {
            Fault::new(certificate_code(why), format!("the certificate is not accepted: {why}"))
        }
        Some(other) => Fault::connect(11220, format!("TLS handshake failed: {other}")),
        None => Fault::connect(11220, format!("TLS handshake failed: {error}")),
    }
}

fn certificate_code(why: &CertificateError) -> u32 {
    match why {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            11235
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => 11236,
        _ => 11237,
    }
}

/// A connector that trusts the public roots, and those in the PEM file that the environment
/// variable `SSL_CERT_FILE` names; for traffic that is passed on, not made on someone's word.
///
/// # Errors
/// That file cannot be read or holds no certificate.
pub fn connector() -> io::Result<TlsConnector> {
    let file = std::env::var_os("SSL_CERT_FILE").map(std::path::PathBuf::from);
    Ok(connectors(file.as_deref())?.0)
}
