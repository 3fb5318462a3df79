//! TLS of both sides.

use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use contracts::ConfigError;

use crate::config::Config;

pub(crate) struct Tls {
    /// For servers that the DNS names: encrypted, whoever they are (RFC 7435).
    pub(crate) opportunistic: TlsConnector,
    /// For a smarthost: its certificate counts.
    pub(crate) verified: TlsConnector,
    pub(crate) acceptor: Option<TlsAcceptor>,
}

impl Tls {
    pub(crate) fn new(config: &Config, local: Option<ServerConfig>) -> Result<Self, ConfigError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let client = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("the provider supports TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth();
        let verified = outbound::tls_connector()
            .map_err(|error| ConfigError(format!("trusted certificates: {error}")))?;
        let local = || local.map(|local| TlsAcceptor::from(Arc::new(local)));
        let acceptor = acceptor(config)?.or_else(local);
        let opportunistic = TlsConnector::from(Arc::new(client));
        Ok(Self { opportunistic, verified, acceptor })
    }
}

fn acceptor(config: &Config) -> Result<Option<TlsAcceptor>, ConfigError> {
    let (Some(chain), Some(key)) = (&config.certificate_file, &config.key_file) else {
        return Ok(None);
    };
    let wrong = |name: &str, why: String| ConfigError(format!("{name}: {why}"));
    let certificates = CertificateDer::pem_file_iter(chain).and_then(Iterator::collect);
    let certificates: Vec<_> =
        certificates.map_err(|error| wrong("certificate_file", error.to_string()))?;
    let key =
        PrivateKeyDer::from_pem_file(key).map_err(|error| wrong("key_file", error.to_string()))?;
    let server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider supports TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|error| wrong("key_file", error.to_string()))?;
    Ok(Some(TlsAcceptor::from(Arc::new(server))))
}

/// Takes every certificate: a mail server's name came from a DNS that anybody could have changed,
/// and the alternative is no encryption at all.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
