//! The authority as clients see it.

use std::sync::Arc;

use authority::Authority;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};

/// Shakes hands in memory; the error is the client's or, failing that, the server's.
fn handshake(authority: &Authority, name: &str, fallback: Option<&str>) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(authority.server_config(fallback))).unwrap();
    for _ in 0..8 {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        let served = server.process_new_packets().map(drop);
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets().map_err(|error| format!("client: {error}"))?;
        served.map_err(|error| format!("server: {error}"))?;
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(())
}

#[test]
fn intercepted_hosts_are_served_and_others_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::open(&dir.path().join("ca")).unwrap();
    for host in ["api.twilio.com", "verify.dublin.ie1.twilio.com", "API.SendGrid.com", "segment.io"]
    {
        assert_eq!(handshake(&authority, host, None), Ok(()), "{host}");
    }
    assert!(handshake(&authority, "example.org", None).is_err());
    assert!(handshake(&authority, "eviltwilio.com", None).is_err());
    // A client that dials an address names no host.
    assert!(handshake(&authority, "127.0.0.1", None).is_err());
    let wrong = handshake(&authority, "127.0.0.1", Some("api.twilio.com")).unwrap_err();
    assert!(wrong.contains("not valid for name"), "{wrong}");
}

/// What a thief of the key could do: sign for any name. Clients refuse it.
#[test]
fn the_authority_cannot_speak_for_other_names() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca");
    let authority = Authority::open(&path).unwrap();
    let key = std::fs::read_to_string(path.join("authority.key")).unwrap();
    let key = rcgen::KeyPair::from_pem(&key).unwrap();
    // The thief's issuer: same name, same key.
    let mut params = rcgen::CertificateParams::default();
    let parsed = webpki::anchor_from_trusted_cert(authority.certificate()).unwrap();
    params.key_identifier_method = rcgen::KeyIdMethod::Sha256;
    params.distinguished_name = rcgen::DistinguishedName::new();
    let text = String::from_utf8_lossy(&parsed.subject).into_owned();
    let at = text.find("Offhook on this machine").unwrap();
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "Offhook");
    params.distinguished_name.push(rcgen::DnType::CommonName, &text[at..]);
    let issuer = rcgen::Issuer::new(params, key);
    let verdict = |name: &str| {
        let leaf_key = rcgen::KeyPair::generate().unwrap();
        let mut leaf = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        leaf.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = leaf.signed_by(&leaf_key, &issuer).unwrap();
        let leaf = webpki::EndEntityCert::try_from(leaf.der()).unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &[webpki::anchor_from_trusted_cert(authority.certificate()).unwrap()],
            &[],
            tokio_rustls::rustls::pki_types::UnixTime::since_unix_epoch(now),
            webpki::KeyUsage::server_auth(),
            None,
            None,
        )
        .map(drop)
    };
    assert_eq!(verdict("api.twilio.com"), Ok(()));
    for foreign in ["example.org", "eviltwilio.com", "com", "127.0.0.1", "::1"] {
        assert_eq!(verdict(foreign), Err(webpki::Error::NameConstraintViolation), "{foreign}");
    }
}

#[test]
fn it_is_made_once_and_only_its_owner_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state").join("ca");
    let made: Vec<_> = std::thread::scope(|scope| {
        let makers: Vec<_> =
            (0..8).map(|_| scope.spawn(|| Authority::open(&path).unwrap())).collect();
        makers.into_iter().map(|maker| maker.join().unwrap().pem().to_owned()).collect()
    });
    assert!(made.iter().all(|pem| *pem == made[0]), "every process has the same authority");
    assert_eq!(
        std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
        1,
        "nothing is left over"
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join("authority.key")), 0o600);
    }
    std::fs::write(path.join("authority.key"), "nonsense").unwrap();
    assert!(Authority::open(&path).is_err(), "a broken key is not replaced behind one's back");
}
