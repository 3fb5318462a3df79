//! The certificate authority of this machine.
//!
//! Made once per machine and user, kept in a directory that only its owner may
//! read, and constrained by name (RFC 5280 §4.2.1.10): whoever steals the key
//! can speak for the hosts that Offhook intercepts, and for nobody else.

mod files;
mod issue;
mod leaf;
mod uploaded;

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::CertificateDer;

use issue::Issued;
use leaf::Leaves;

pub use uploaded::{UploadFault, Uploaded, examine};

/// The authority, loaded.
pub struct Authority {
    issued: Arc<Issued>,
}

impl Authority {
    /// Loads the authority kept in `dir`, or makes it. Of several processes that
    /// make it at once, one wins and the others load what it made.
    ///
    /// # Errors
    /// When `dir` cannot be read or written, or does not hold an authority.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let kept = match files::load(dir)? {
            Some(kept) => kept,
            None => {
                let made = issue::make()?;
                files::store(dir, &made)?;
                files::load(dir)?
                    .ok_or_else(|| io::Error::other(format!("{} was removed", dir.display())))?
            }
        };
        Ok(Self { issued: Arc::new(Issued::load(&kept)?) })
    }

    /// The authority's certificate, as PEM.
    pub fn pem(&self) -> &str {
        self.issued.pem()
    }

    /// The authority's certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        self.issued.certificate()
    }

    /// When the certificate expires, in seconds since 1970; `None` when it cannot be read.
    pub fn expires(&self) -> Option<i64> {
        let (_, parsed) = x509_parser::parse_x509_certificate(self.certificate()).ok()?;
        Some(parsed.validity().not_after.timestamp())
    }

    /// TLS 1.2 and 1.3, HTTP/1.1, with a certificate for each intercepted host that a client
    /// names; `fallback` is the host of a client that names none. For a host that is not
    /// intercepted there is no certificate, and the handshake fails.
    pub fn server_config(&self, fallback: Option<&str>) -> ServerConfig {
        let leaves = Leaves::new(self.issued.clone(), fallback.map(str::to_owned));
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider supports TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(leaves));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    }
}
