//! Goal: a certificate that is not good enough has the code that says why.
//! Method: certificates made on the spot, one good authority, a local TLS server.

mod server;

use std::path::PathBuf;
use std::sync::Arc;

use clock::Clock;
use outbound::{Client, Fetch, Policy};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// The roots file of a client that trusts this authority.
    fn file(&self, test: &str) -> PathBuf {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.pem"));
        std::fs::write(&path, &self.pem).unwrap();
        path
    }

    /// Serves HTTPS under a certificate of this authority; the port.
    async fn serve(&self, params: CertificateParams) -> u16 {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                server::read_request(&mut stream).await;
                let name = stream.get_ref().1.server_name().unwrap_or("none").to_owned();
                let answer = format!("HTTP/1.1 200 OK\r\nX-Sni: {name}\r\n\r\n<Response/>");
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        port
    }
}

fn named(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).unwrap()
}

async fn code(client: &Client, url: String) -> u32 {
    client.fetch(Fetch::new(url)).await.map_or_else(|failure| failure.code, |_| 0)
}

#[tokio::test]
async fn a_good_certificate_is_accepted_with_and_without_sni() {
    let authority = Authority::new();
    let port = authority.serve(named("localhost")).await;
    let file = authority.file("good");
    let client = Client::with_roots(Policy::Open, Clock::fixed(), Some(&file)).unwrap();
    for (fragment, sni) in [("", "localhost"), ("#sni=y", "localhost"), ("#sni=n", "none")] {
        let url = format!("https://localhost:{port}/{fragment}");
        let answer = client.fetch(Fetch::new(url)).await.unwrap();
        assert_eq!(answer.header("x-sni"), Some(sni));
        assert_eq!(answer.body, b"<Response/>");
    }
}

#[tokio::test]
async fn each_bad_certificate_has_its_code() {
    let authority = Authority::new();
    let file = authority.file("bad");
    let client = Client::with_roots(Policy::Open, Clock::fixed(), Some(&file)).unwrap();
    let port = authority.serve(named("other.example")).await;
    assert_eq!(code(&client, format!("https://localhost:{port}/")).await, 11235);
    let mut expired = named("localhost");
    expired.not_after = date_time_ymd(2020, 1, 1);
    let port = authority.serve(expired).await;
    assert_eq!(code(&client, format!("https://localhost:{port}/")).await, 11236);
    let port = Authority::new().serve(named("localhost")).await;
    assert_eq!(code(&client, format!("https://localhost:{port}/")).await, 11237);
}

#[tokio::test]
async fn a_server_without_tls_is_11220_and_tried_again() {
    let plain = server::Server::start(vec![server::ok()]).await;
    let port = plain.port;
    let failure = server::client()
        .fetch(Fetch::new(format!("https://127.0.0.1:{port}/#ct=200")))
        .await
        .unwrap_err();
    assert_eq!((failure.code, failure.attempts.len()), (11220, 2), "{failure}");
}

#[test]
fn a_roots_file_without_roots_is_refused() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("empty.pem");
    std::fs::write(&path, "nothing here").unwrap();
    assert!(Client::with_roots(Policy::Open, Clock::fixed(), Some(&path)).is_err());
}
