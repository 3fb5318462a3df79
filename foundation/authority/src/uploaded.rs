//! Certificates that somebody brings for a domain of theirs.

use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Certificates of one chain.
const CHAIN_MAX: usize = 10;

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// DNS names in lower case; one may begin with `*.`.
    pub names: Vec<String>,
    /// Seconds since 1970.
    pub not_before: i64,
    pub not_after: i64,
}

/// Why a certificate is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadFault {
    /// Certificate or key is not there.
    Missing,
    Unreadable,
    BadKey,
    Mismatch,
    SelfSigned,
}

/// Looks at a certificate, its chain and its private key, all PEM in one text; the first certificate
/// is that of the domain.
///
/// # Errors
/// What is wrong with it. Whether it is trusted is for its clients to say.
pub fn examine(pem: &str) -> Result<Uploaded, UploadFault> {
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| {
        match pem.contains("KEY-----") {
            true => UploadFault::BadKey,
            false => UploadFault::Missing,
        }
    })?;
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).take(CHAIN_MAX).collect();
    let chain = chain.map_err(|_| UploadFault::Unreadable)?;
    let first = chain.first().ok_or(UploadFault::Missing)?.clone();
    let (_, parsed) = X509Certificate::from_der(&first).map_err(|_| UploadFault::Unreadable)?;
    let signer = default_provider().key_provider.load_private_key(key);
    let signer = signer.map_err(|_| UploadFault::BadKey)?;
    let pair = CertifiedKey::new(chain, signer);
    pair.keys_match().map_err(|_| UploadFault::Mismatch)?;
    if parsed.issuer() == parsed.subject() {
        return Err(UploadFault::SelfSigned);
    }
    let alternatives = parsed.subject_alternative_name().map_err(|_| UploadFault::Unreadable)?;
    let names = alternatives.into_iter().flat_map(|extension| &extension.value.general_names);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    Ok(Uploaded {
        names: names.collect(),
        not_before: parsed.validity().not_before.timestamp(),
        not_after: parsed.validity().not_after.timestamp(),
    })
}

impl Uploaded {
    /// Whether it speaks for this host.
    pub fn covers(&self, host: &str) -> bool {
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(parent) => host.split_once('.').is_some_and(|(_, rest)| rest == parent),
            None => name == host,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, IsCa, Issuer, KeyPair};

    #[test]
    fn a_certificate_is_judged_with_its_key() {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        ca.distinguished_name.push(DnType::CommonName, "Test CA");
        let issuer = Issuer::new(ca, ca_key);
        let key = KeyPair::generate().unwrap();
        let names = vec!["go.example.com".to_owned(), "*.example.org".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "go.example.com");
        let signed = params.signed_by(&key, &issuer).unwrap().pem();
        let own = params.self_signed(&key).unwrap().pem();
        let other = KeyPair::generate().unwrap().serialize_pem();
        let key = key.serialize_pem();

        let fine = examine(&format!("{key}\n{signed}")).unwrap();
        for (host, covered) in [
            ("go.example.com", true),
            ("a.example.org", true),
            ("a.b.example.org", false),
            ("example.org", false),
            ("example.com", false),
        ] {
            assert_eq!(fine.covers(host), covered, "{host}");
        }
        assert!(fine.not_before < fine.not_after);
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
        for (pem, fault) in [
            (signed.clone(), UploadFault::Missing),
            (key.clone(), UploadFault::Missing),
            (String::new(), UploadFault::Missing),
            (format!("{signed}{other}"), UploadFault::Mismatch),
            (format!("{own}{key}"), UploadFault::SelfSigned),
            (format!("{broken}\n{key}"), UploadFault::Unreadable),
        ] {
            assert_eq!(examine(&pem), Err(fault));
        }
    }
}
