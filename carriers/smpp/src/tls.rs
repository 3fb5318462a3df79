//! TLS of both sides: 1.2 and 1.3, no client certificates.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::config::{ClientTls, ConfigError, ServerTls, wrong};

fn certificates(path: &Path, parameter: &str) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let found: Vec<_> =
        read.map_err(|error| wrong(parameter, format!("{}: {error}", path.display())))?;
    if found.is_empty() {
        return Err(wrong(parameter, format!("{}: no certificate in it", path.display())));
    }
    Ok(found)
}

/// The connector, and the name that the certificate must have.
pub(crate) fn connector(
    tls: &ClientTls,
    host: &str,
    path: &str,
) -> Result<(TlsConnector, ServerName<'static>), ConfigError> {
    let name = tls.server_name.as_deref().unwrap_or(host).to_owned();
    let name = ServerName::try_from(name)
        .map_err(|_| wrong(format!("{path}.tls.server_name"), "is no host name or address"))?;
    let mut roots = RootCertStore::empty();
    match &tls.ca_file {
        Some(file) => {
            let parameter = format!("{path}.tls.ca_file");
            for certificate in certificates(file, &parameter)? {
                roots.add(certificate).map_err(|error| wrong(&parameter, error.to_string()))?;
            }
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider supports TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((TlsConnector::from(Arc::new(config)), name))
}

pub(crate) fn acceptor(tls: &ServerTls, path: &str) -> Result<TlsAcceptor, ConfigError> {
    let chain = certificates(&tls.certificate_file, &format!("{path}.tls.certificate_file"))?;
    let key_parameter = format!("{path}.tls.key_file");
    let key = PrivateKeyDer::from_pem_file(&tls.key_file)
        .map_err(|error| wrong(&key_parameter, format!("{}: {error}", tls.key_file.display())))?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider supports TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| wrong(&key_parameter, error.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
