//! Making the authority, and certificates by it.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

use intercept::DOMAINS;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber,
};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use crate::files::Kept;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const AUTHORITY_LIFE: Duration = Duration::from_secs(3650 * 24 * 60 * 60);
/// Apple's platforms refuse certificates that are valid for longer than 825 days; the public
/// authorities' own limit is 398.
pub const LEAF_LIFE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// An authority that can issue.
pub struct Issued {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

/// A new authority: P-256, good for ten years.
pub fn make() -> io::Result<Kept> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let certificate = authority_params(&key).self_signed(&key).map_err(failed)?;
    Ok(Kept { key: key.serialize_pem(), certificate: certificate.pem() })
}

impl Issued {
    pub fn load(kept: &Kept) -> io::Result<Self> {
        let key = KeyPair::from_pem(&kept.key).map_err(failed)?;
        let certificate =
            CertificateDer::from_pem_slice(kept.certificate.as_bytes()).map_err(failed)?;
        let params = authority_params(&key);
        Ok(Self { issuer: Issuer::new(params, key), certificate, pem: kept.certificate.clone() })
    }

    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A server certificate for one DNS name. It is as good as the name: clients that
    /// check name constraints refuse it for hosts outside [`DOMAINS`].
    pub fn leaf(&self, name: &str, key: &KeyPair) -> io::Result<CertificateDer<'static>> {
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) = life(LEAF_LIFE);
        params.serial_number = Some(serial());
        params.distinguished_name = DistinguishedName::new();
        // RFC 5280 A.1: a common name has at most 64 characters; the name that counts is the SAN.
        let common = if name.len() <= 64 { name } else { "Offhook" };
        params.distinguished_name.push(DnType::CommonName, common);
        params.subject_alt_names = vec![SanType::DnsName(name.try_into().map_err(failed)?)];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        Ok(params.signed_by(key, &self.issuer).map_err(failed)?.der().clone())
    }
}

/// What the certificate of the authority with this key says. Its name carries the key's
/// digest, so that two machines' authorities in one trust store are told apart.
fn authority_params(key: &KeyPair) -> CertificateParams {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.der_bytes());
    let digest: String = digest.as_ref()[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = life(AUTHORITY_LIFE);
    params.serial_number = Some(serial());
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Offhook");
    params.distinguished_name.push(DnType::CommonName, format!("Offhook on this machine {digest}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: DOMAINS.map(|domain| GeneralSubtree::DnsName(domain.into())).into(),
        // A constraint on DNS names says nothing of addresses: those are excluded whole.
        excluded_subtrees: vec![
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(
                Ipv4Addr::UNSPECIFIED.into(),
                0,
            )),
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(
                Ipv6Addr::UNSPECIFIED.into(),
                0,
            )),
        ],
    });
    params
}

/// From yesterday, for clocks that run slow.
fn life<T: From<SystemTime>>(length: Duration) -> (T, T) {
    let now = SystemTime::now();
    ((now - DAY).into(), (now - DAY + length).into())
}

/// Positive, and never used twice.
fn serial() -> SerialNumber {
    let mut bytes = rand::random::<[u8; 16]>();
    bytes[0] = bytes[0] & 0x7f | 0x40;
    SerialNumber::from_slice(&bytes)
}

fn failed(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the certificate authority: {error}"))
}
