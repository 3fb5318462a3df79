//! The door, spoken to byte by byte.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use authority::Authority;
use bytes::Bytes;
use door::{Client, Door, Foreign, Relay, Seen, Upstream, Watch};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch as signal;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Watch for Log {
    fn saw(&self, seen: Seen<'_>) {
        let line = match seen {
            Seen::Opened | Seen::Closed => return,
            Seen::Answered { host, status } => format!("answered {host} {status}"),
            Seen::Passed { host, port } => format!("passed {host}:{port}"),
            Seen::Refused { host, port, .. } => format!("refused {host}:{port}"),
            Seen::TlsFailed { client, fault } => format!("tls {:?} {fault:?}", client.host),
        };
        self.0.lock().unwrap().push(line);
    }
}

struct Fixture {
    address: SocketAddr,
    authority: Arc<Authority>,
    log: Arc<Log>,
    _stop: signal::Sender<bool>,
    _dir: tempfile::TempDir,
}

impl Fixture {
    fn seen(&self) -> Vec<String> {
        self.log.0.lock().unwrap().clone()
    }

    async fn dial(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A TLS client on top of a stream; `trusting` our authority or nothing.
    async fn tls<S>(
        &self,
        stream: S,
        name: &str,
        trusting: bool,
    ) -> std::io::Result<impl AsyncRead + AsyncWrite + Unpin + use<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut roots = RootCertStore::empty();
        if trusting {
            roots.add(self.authority.certificate().clone()).unwrap();
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

/// Answers with the request as it saw it.
async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let client = request.extensions().get::<Client>().cloned();
    let host = request.headers().get("host").map(|host| host.to_str().unwrap().to_owned());
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let text = format!(
        "{} {} host={} via={} body={}",
        parts.method,
        parts.uri,
        host.unwrap_or_default(),
        client.and_then(|client| client.host).unwrap_or_default(),
        String::from_utf8_lossy(&body)
    );
    Ok(Response::new(Full::new(text.into())))
}

async fn fixture(foreign: Foreign) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let authority = Arc::new(Authority::open(&dir.path().join("ca")).unwrap());
    let log = Arc::new(Log::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = signal::channel(false);
    let door = Door {
        service: hyper::service::service_fn(echo),
        authority: Some(authority.clone()),
        foreign,
        watch: log.clone(),
    };
    tokio::spawn(door::serve(listener, door, stopped));
    Fixture { address, authority, log, _stop: stop, _dir: dir }
}

fn pass() -> Foreign {
    Foreign::Pass { upstream: None, offline: false }
}

/// Reads until `end` bytes of text are there.
async fn read_until(stream: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut seen = Vec::new();
    loop {
        let mut some = [0; 512];
        let read = stream.read(&mut some).await.unwrap();
        seen.extend_from_slice(&some[..read]);
        let text = String::from_utf8_lossy(&seen).into_owned();
        if read == 0 || text.ends_with(end) {
            return text;
        }
    }
}

const GET: &str = "GET /x HTTP/1.1\r\nHost: api.twilio.com\r\n\r\n";

#[tokio::test]
async fn tls_by_name_with_keep_alive_and_100_continue() {
    let door = fixture(Foreign::Refuse).await;
    let mut tls = door.tls(door.dial().await, "api.twilio.com", true).await.unwrap();
    for _ in 0..2 {
        tls.write_all(GET.as_bytes()).await.unwrap();
        let answer = read_until(&mut tls, "body=").await;
        assert!(
            answer.ends_with("GET /x host=api.twilio.com via=api.twilio.com body="),
            "{answer}"
        );
    }
    let expecting = "POST /y HTTP/1.1\r\nHost: api.twilio.com\r\nContent-Length: 2\r\n\
                     Expect: 100-continue\r\n\r\n";
    tls.write_all(expecting.as_bytes()).await.unwrap();
    assert_eq!(read_until(&mut tls, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    tls.write_all(b"ok").await.unwrap();
    assert!(read_until(&mut tls, "body=ok").await.contains("POST /y"));
    assert_eq!(door.seen(), ["answered api.twilio.com 200"; 3]);
}

#[tokio::test]
async fn connect_is_granted_byte_for_byte_and_then_anything_goes() {
    let door = fixture(Foreign::Refuse).await;
    for secure in [true, false] {
        let mut stream = door.dial().await;
        let connect = "CONNECT verify.twilio.com:443 HTTP/1.1\r\nHost: verify.twilio.com:443\r\n\
                       User-Agent: test\r\n\r\n";
        // In pieces, as a slow client sends it.
        for piece in connect.as_bytes().chunks(7) {
            stream.write_all(piece).await.unwrap();
            stream.flush().await.unwrap();
        }
        let mut reply = vec![0; door::ESTABLISHED.len()];
        stream.read_exact(&mut reply).await.unwrap();
        assert_eq!(reply, b"HTTP/1.1 200 Connection established\r\n\r\n");
        let request = "GET / HTTP/1.1\r\nHost: verify.twilio.com\r\n\r\n".as_bytes();
        let answer = if secure {
            let mut tls = door.tls(stream, "verify.twilio.com", true).await.unwrap();
            tls.write_all(request).await.unwrap();
            read_until(&mut tls, "body=").await
        } else {
            stream.write_all(request).await.unwrap();
            read_until(&mut stream, "body=").await
        };
        assert!(answer.contains("via=verify.twilio.com"), "{answer}");
    }
}

#[tokio::test]
async fn absolute_form_is_ours_for_intercepted_hosts_also_in_clear() {
    let door = fixture(pass()).await;
    let mut stream = door.dial().await;
    let request =
        "GET https://api.twilio.com/2010-04-01/A.json?b=c HTTP/1.1\r\nHost: api.twilio.com\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = read_until(&mut stream, "body=").await;
    assert!(answer.contains("https://api.twilio.com/2010-04-01/A.json?b=c"), "{answer}");
    assert_eq!(door.seen(), ["answered api.twilio.com 200"]);
}

#[tokio::test]
async fn socks5_with_a_name() {
    let door = fixture(Foreign::Refuse).await;
    let mut stream = door.dial().await;
    stream.write_all(&[5, 1, 0]).await.unwrap();
    let mut reply = [0; 2];
    stream.read_exact(&mut reply).await.unwrap();
    assert_eq!(reply, [5, 0]);
    let name = b"api.twilio.com";
    let mut request = vec![5, 1, 0, 3, name.len() as u8];
    request.extend_from_slice(name);
    request.extend_from_slice(&443_u16.to_be_bytes());
    stream.write_all(&request).await.unwrap();
    let mut reply = [0; 10];
    stream.read_exact(&mut reply).await.unwrap();
    assert_eq!(reply[..2], [5, 0]);
    let mut tls = door.tls(stream, "api.twilio.com", true).await.unwrap();
    tls.write_all(GET.as_bytes()).await.unwrap();
    assert!(read_until(&mut tls, "body=").await.contains("via=api.twilio.com"));
}

/// A foreign server that says what it was sent.
async fn foreign_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let head = read_until(&mut stream, "\r\n\r\n").await;
                let line = head.lines().next().unwrap_or_default().to_owned();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{line}",
                    line.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    address
}

#[tokio::test]
async fn foreign_hosts_are_passed_on() {
    let far = foreign_server().await;
    let door = fixture(pass()).await;
    let mut stream = door.dial().await;
    stream.write_all(format!("CONNECT {far} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
    read_until(&mut stream, "\r\n\r\n").await;
    stream.write_all(b"GET /tunnel HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(read_until(&mut stream, "HTTP/1.1").await.contains("GET /tunnel"));

    let mut stream = door.dial().await;
    let request = format!(
        "GET http://{far}/clear?a=b HTTP/1.1\r\nHost: {far}\r\nProxy-Connection: keep-alive\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = read_until(&mut stream, "HTTP/1.1").await;
    assert!(answer.ends_with("GET /clear?a=b HTTP/1.1"), "{answer}");
    let passed = format!("passed {far}");
    assert_eq!(door.seen(), [passed.clone(), passed]);
}

#[tokio::test]
async fn what_is_refused_is_refused_with_a_reason() {
    let public = Foreign::Pass { upstream: None, offline: true };
    for (foreign, target, why) in [
        (Foreign::Refuse, "example.org:443", "leads to Offhook only"),
        (public, "93.184.216.34:443", "--offline"),
        (pass(), "smtp.sendgrid.net:587", "443 and 80 are"),
    ] {
        let door = fixture(foreign).await;
        let mut stream = door.dial().await;
        stream.write_all(format!("CONNECT {target} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains(why), "{answer}");
        assert_eq!(door.seen(), [format!("refused {target}")]);
    }
}

#[tokio::test]
async fn the_proxy_that_was_there_before_is_chained() {
    // The corporate proxy is a door of its own, and says so by its log.
    let far = foreign_server().await;
    let corporate = fixture(pass()).await;
    let proxy = format!("http://user:pass@{}", corporate.address);
    let upstream = Some(Arc::new(Upstream::parse(&proxy, "").unwrap()));
    let door = fixture(Foreign::Pass { upstream, offline: false }).await;
    // A name, because loopback addresses never go through a proxy.
    let host = format!("localhost.localdomain.:{}", far.port());
    let mut stream = door.dial().await;
    stream.write_all(format!("CONNECT {host} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
    let answer = read_until(&mut stream, "\r\n").await;
    // Whether that name resolves is the machine's affair; who was asked is ours.
    assert!(answer.starts_with("HTTP/1.1 200") || answer.contains("the proxy"), "{answer}");
    assert_eq!(corporate.seen().len(), 1, "{:?}", corporate.seen());
}

#[tokio::test]
async fn failed_handshakes_name_their_cause() {
    let door = fixture(Foreign::Refuse).await;
    assert!(door.tls(door.dial().await, "api.twilio.com", false).await.is_err());
    assert!(door.tls(door.dial().await, "example.org", true).await.is_err());
    let mut stream = door.dial().await;
    stream.write_all(&[0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5]).await.unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    let seen = loop {
        let seen = door.seen();
        if seen.len() == 3 {
            break seen;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(seen[0], "tls Some(\"api.twilio.com\") Untrusted(\"UnknownCA\")");
    assert_eq!(seen[1], "tls Some(\"example.org\") ForeignName");
    assert!(seen[2].starts_with("tls None Other"), "{}", seen[2]);
}

#[tokio::test]
async fn a_relay_is_a_door_to_an_instance_elsewhere() {
    let instance = fixture(Foreign::Refuse).await;
    let dir = tempfile::tempdir().unwrap();
    let authority = Arc::new(Authority::open(&dir.path().join("ca")).unwrap());
    let log = Arc::new(Log::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = signal::channel(false);
    let door = Door {
        service: Relay::new(&instance.address.to_string()),
        authority: Some(authority.clone()),
        foreign: pass(),
        watch: log.clone(),
    };
    tokio::spawn(door::serve(listener, door, stopped));
    let near = Fixture { address, authority, log, _stop: stop, _dir: dir };
    let mut tls = near.tls(near.dial().await, "api.twilio.com", true).await.unwrap();
    tls.write_all(b"POST /z HTTP/1.1\r\nHost: api.twilio.com\r\nContent-Length: 3\r\n\r\nabc")
        .await
        .unwrap();
    let answer = read_until(&mut tls, "body=abc").await;
    assert!(answer.contains("POST /z host=api.twilio.com"), "{answer}");
    assert_eq!(near.seen(), ["answered api.twilio.com 200"]);
}
