//! From a fresh connection to HTTP requests.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::Watcher;
use intercept::is_intercepted;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::server::Acceptor;
use tokio_rustls::rustls::{AlertDescription, Error, ServerConfig};

use crate::connect::{self, ESTABLISHED, HEAD_MAX};
use crate::dial::dial;
use crate::forward::{self, Answer};
use crate::socks::{self, Reply};
use crate::stream::Stream;
use crate::watch::{Client, Seen, TlsFault, Watch};
use crate::{Answers, Door};

const FIRST_BYTE_TIME: Duration = Duration::from_secs(60);
const HANDSHAKE_TIME: Duration = Duration::from_secs(15);
const HEADER_BYTES_MAX: usize = 64 * 1024;
const HEADER_TIME: Duration = Duration::from_secs(15);
/// `CONNECT` in SOCKS in TLS is still somebody's set-up; more is a game.
const LAYERS_MAX: u32 = 4;
/// Ports of an intercepted host behind which there is HTTP.
const HTTP_PORTS: [u16; 2] = [443, 80];
/// Whose certificate a client gets that names no host anywhere.
const FALLBACK_HOST: &str = "api.twilio.com";

/// A connection that carries HTTP now.
pub struct Ready {
    io: Http,
    client: Client,
}

/// The plain case keeps its own type: it is the hot one.
enum Http {
    Plain(TcpStream),
    Layered(Stream),
}

pub struct Entrance<S> {
    door: Door<S>,
    tls: Option<Arc<ServerConfig>>,
    http: auto::Builder<TokioExecutor>,
}

impl<S> Entrance<S> {
    pub fn new(door: Door<S>) -> Self {
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME)
            .max_buf_size(HEADER_BYTES_MAX);
        http.http2().timer(TokioTimer::new()).max_header_list_size(HEADER_BYTES_MAX as u32);
        let tls = door.authority.as_ref().map(|authority| Arc::new(authority.server_config(None)));
        Self { door, tls, http }
    }

    pub fn watch(&self) -> &dyn Watch {
        &*self.door.watch
    }

    /// Goes through the layers. `None`: the connection is over, or was a tunnel that is.
    pub async fn receive(&self, stream: TcpStream, peer: SocketAddr) -> Option<Ready> {
        let mut client = Client { peer, host: None, user_agent: None };
        let mut first = [0];
        match tokio::time::timeout(FIRST_BYTE_TIME, stream.peek(&mut first)).await {
            Ok(Ok(1)) => {}
            _ => return None,
        }
        if !matches!(first[0], 0x16 | 0x05 | b'C') {
            return Some(Ready { io: Http::Plain(stream), client });
        }
        let mut stream = Stream::new("", stream);
        for _ in 0..LAYERS_MAX {
            let byte = tokio::time::timeout(FIRST_BYTE_TIME, stream.first_byte()).await;
            let layer = match byte {
                Ok(Ok(Some(0x16))) => self.tls(stream, &mut client).await,
                Ok(Ok(Some(0x05))) => self.socks(stream, &mut client).await,
                Ok(Ok(Some(b'C'))) => self.connect(stream, &mut client).await,
                Ok(Ok(Some(_))) => return Some(Ready { io: Http::Layered(stream), client }),
                _ => return None,
            };
            match layer {
                Ok(Layer::Below(below)) => stream = below,
                Ok(Layer::Http(stream)) => {
                    return Some(Ready { io: Http::Layered(stream), client });
                }
                Ok(Layer::Over) => return None,
                // Whoever breaks off inside a layer is gone; the layers told the watch.
                Err(error) => {
                    tracing::debug!(%error, %peer, "a connection ended early");
                    return None;
                }
            }
        }
        None
    }

    async fn tls(&self, stream: Stream, client: &mut Client) -> io::Result<Layer> {
        let shaking = self.handshake(stream, client);
        let outcome = match tokio::time::timeout(HANDSHAKE_TIME, shaking).await {
            Ok(outcome) => outcome,
            Err(_) => Err(TlsFault::Other("the handshake took too long".into())),
        };
        match outcome {
            Ok(stream) => Ok(Layer::Below(stream)),
            Err(fault) => {
                tracing::debug!(?fault, ?client, "a TLS handshake failed");
                self.watch().saw(Seen::TlsFailed { client, fault: &fault });
                Ok(Layer::Over)
            }
        }
    }

    async fn handshake(&self, stream: Stream, client: &mut Client) -> Result<Stream, TlsFault> {
        let Some(shared) = &self.tls else {
            return Err(TlsFault::Other("this door has no certificates".into()));
        };
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await;
        let start = start.map_err(|error| TlsFault::Other(error.to_string()))?;
        let config = match start.client_hello().server_name() {
            Some(name) => {
                client.host = Some(name.to_ascii_lowercase());
                shared.clone()
            }
            None => {
                let fallback = client.host.as_deref().unwrap_or(FALLBACK_HOST);
                let authority = self.door.authority.as_ref().expect("it made the shared config");
                Arc::new(authority.server_config(Some(fallback)))
            }
        };
        let is_ours = client.host.as_deref().is_none_or(is_intercepted);
        match start.into_stream(config).await {
            Ok(stream) => Ok(Stream::new("", stream)),
            Err(_) if !is_ours => Err(TlsFault::ForeignName),
            Err(error) => Err(fault(&error)),
        }
    }

    async fn connect(&self, mut stream: Stream, client: &mut Client) -> io::Result<Layer> {
        let head = tokio::time::timeout(HANDSHAKE_TIME, stream.until(b"\r\n\r\n", HEAD_MAX)).await;
        let head = head.map_err(|_| io::Error::from(ErrorKind::TimedOut))??;
        let Some(head) = head else {
            // No CONNECT that we could read: let the HTTP server say what is wrong.
            return Ok(Layer::Http(stream));
        };
        let target = match connect::parse(&head) {
            Ok(Some(target)) => target,
            Ok(None) => return Ok(Layer::Http(Stream::new(head, stream))),
            Err(why) => {
                stream.write_all(&connect::refusal("400 Bad Request", &why)).await?;
                stream.shutdown().await?;
                return Ok(Layer::Over);
            }
        };
        client.user_agent = target.user_agent;
        match self.admit(&target.host, target.port).await {
            Ok(Admitted::Ours) => {
                stream.write_all(ESTABLISHED).await?;
                client.host = Some(target.host);
                Ok(Layer::Below(stream))
            }
            Ok(Admitted::Foreign(mut far)) => {
                stream.write_all(ESTABLISHED).await?;
                splice(&mut stream, &mut far).await;
                Ok(Layer::Over)
            }
            Err(error) => {
                let status = match error.kind() {
                    ErrorKind::PermissionDenied => "403 Forbidden",
                    ErrorKind::TimedOut => "504 Gateway Timeout",
                    _ => "502 Bad Gateway",
                };
                stream.write_all(&connect::refusal(status, &error.to_string())).await?;
                stream.shutdown().await?;
                Ok(Layer::Over)
            }
        }
    }

    async fn socks(&self, mut stream: Stream, client: &mut Client) -> io::Result<Layer> {
        let greeted = tokio::time::timeout(HANDSHAKE_TIME, socks::greet(&mut stream)).await;
        let (host, port) = greeted.map_err(|_| io::Error::from(ErrorKind::TimedOut))??;
        match self.admit(&host, port).await {
            Ok(Admitted::Ours) => {
                socks::reply(&mut stream, Reply::Succeeded).await?;
                client.host = Some(host);
                Ok(Layer::Below(stream))
            }
            Ok(Admitted::Foreign(mut far)) => {
                socks::reply(&mut stream, Reply::Succeeded).await?;
                splice(&mut stream, &mut far).await;
                Ok(Layer::Over)
            }
            Err(error) => {
                let refused = error.kind() == ErrorKind::PermissionDenied;
                let reply = if refused { Reply::Refused } else { Reply::Unreachable };
                socks::reply(&mut stream, reply).await?;
                Ok(Layer::Over)
            }
        }
    }

    /// Decides on a tunnel, and connects a foreign one.
    async fn admit(&self, host: &str, port: u16) -> io::Result<Admitted> {
        let outcome = match is_intercepted(host) {
            true if HTTP_PORTS.contains(&port) => return Ok(Admitted::Ours),
            true => Err(io::Error::new(
                ErrorKind::PermissionDenied,
                format!("nothing is served for {host} on port {port}; 443 and 80 are"),
            )),
            false => dial(&self.door.foreign, host, port).await,
        };
        match &outcome {
            Ok(_) => self.watch().saw(Seen::Passed { host, port }),
            Err(error) => {
                let why = &error.to_string();
                self.watch().saw(Seen::Refused { host, port, why });
            }
        }
        outcome.map(Admitted::Foreign)
    }

    /// Serves HTTP until the connection ends, or the watcher's owner shuts down.
    pub async fn serve(self: Arc<Self>, ready: Ready, watcher: Watcher)
    where
        S: Answers,
    {
        let requests = Requests { entrance: self.clone(), client: ready.client };
        // A client that breaks off is its own affair.
        let _ = match ready.io {
            Http::Plain(stream) => {
                let io = TokioIo::new(stream);
                let http = self.http.serve_connection_with_upgrades(io, requests);
                watcher.watch(http.into_owned()).await
            }
            Http::Layered(stream) => {
                let io = TokioIo::new(stream);
                let http = self.http.serve_connection_with_upgrades(io, requests);
                watcher.watch(http.into_owned()).await
            }
        };
    }
}

/// What is under a layer.
enum Layer {
    Below(Stream),
    /// HTTP, whatever its first byte.
    Http(Stream),
    Over,
}

enum Admitted {
    Ours,
    Foreign(Stream),
}

async fn splice(near: &mut Stream, far: &mut Stream) {
    // Either end may break off; both are closed then.
    let _ = copy_bidirectional(near, far).await;
}

/// The service of one connection.
struct Requests<S> {
    entrance: Arc<Entrance<S>>,
    client: Client,
}

impl<S: Answers> Service<Request<Incoming>> for Requests<S> {
    type Response = Response<Answer<S::Content>>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let entrance = self.entrance.clone();
        let host = forward::host(&request, self.client.host.as_deref()).to_owned();
        request.extensions_mut().insert(self.client.clone());
        Box::pin(async move {
            if !is_intercepted(&host) {
                if let Some(foreign) = forward::wanted(&request, &entrance.door.foreign) {
                    return Ok(foreign.forward(request, entrance.watch()).await);
                }
                return entrance.door.service.call(request).await.map(|r| r.map(Answer::Near));
            }
            let response = entrance.door.service.call(request).await?;
            let status = response.status().as_u16();
            entrance.watch().saw(Seen::Answered { host: &host, status });
            Ok(response.map(Answer::Near))
        })
    }
}

/// What a failed handshake means.
fn fault(error: &io::Error) -> TlsFault {
    let alert = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match alert {
        Some(Error::AlertReceived(alert)) => match alert {
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked => TlsFault::Untrusted(format!("{alert:?}")),
            _ => TlsFault::Other(format!("the client's alert {alert:?}")),
        },
        Some(other) => TlsFault::Other(other.to_string()),
        None if matches!(
            error.kind(),
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
        ) =>
        {
            TlsFault::BrokenOff
        }
        None => TlsFault::Other(error.to_string()),
    }
}
