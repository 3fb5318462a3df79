//! A certificate per host, made when a client first names it.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use intercept::is_intercepted;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::issue::{Issued, LEAF_LIFE};

/// Hosts remembered; a client that names more makes the door work, not grow.
const HOSTS_MAX: usize = 1024;

/// Finds or makes the certificate for the host that a client names.
pub struct Leaves {
    issued: Arc<Issued>,
    fallback: Option<String>,
    made: Mutex<HashMap<String, (Instant, Arc<CertifiedKey>)>>,
}

impl Leaves {
    pub fn new(issued: Arc<Issued>, fallback: Option<String>) -> Self {
        Self { issued, fallback, made: Mutex::default() }
    }

    fn certified(&self, host: &str) -> io::Result<Arc<CertifiedKey>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, known)) = made.get(host)
            && since.elapsed() < LEAF_LIFE / 2
        {
            return Ok(known.clone());
        }
        let fresh = Arc::new(self.make(host)?);
        if made.len() >= HOSTS_MAX {
            made.clear();
        }
        made.insert(host.to_owned(), (Instant::now(), fresh.clone()));
        Ok(fresh)
    }

    fn make(&self, host: &str) -> io::Result<CertifiedKey> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(io::Error::other)?;
        let leaf = self.issued.leaf(host, &key)?;
        let signer = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let signer =
            default_provider().key_provider.load_private_key(signer).map_err(io::Error::other)?;
        Ok(CertifiedKey::new(vec![leaf, self.issued.certificate().clone()], signer))
    }
}

impl ResolvesServerCert for Leaves {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let host = hello.server_name().or(self.fallback.as_deref())?.to_ascii_lowercase();
        if !is_intercepted(&host) {
            return None;
        }
        self.certified(&host)
            .inspect_err(|error| tracing::error!(%error, %host, "no certificate can be made"))
            .ok()
    }
}

impl fmt::Debug for Leaves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaves").field("fallback", &self.fallback).finish_non_exhaustive()
    }
}
