//! From a host name to an open, permitted connection.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::fault::Fault;
use crate::policy::Policy;
use crate::target::Target;
use crate::tls;

/// Addresses of one name that are tried; more are ignored.
const ADDRESSES_MAX: usize = 8;

pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects to the first address of `target` that the policy allows and that answers.
///
/// Name, TCP and TLS share the time until `deadline`; each address gets an equal share of
/// what is left. There is no proxy: the environment is never asked.
pub(crate) async fn connect(
    target: &Target,
    policy: &Policy,
    tls: &TlsConnector,
    deadline: Instant,
) -> Result<Stream, Fault> {
    let addresses = permitted(target, policy, deadline).await?;
    let tcp = connect_tcp(&addresses, deadline).await?;
    // A webhook is one small request: waiting to fill a packet only costs.
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY not set");
    }
    if !target.is_tls() {
        return Ok(Stream::Plain(tcp));
    }
    let name = ServerName::try_from(target.host_name())
        .map_err(|error| Fault::new(11100, format!("host: {error}")))?;
    match timeout_at(deadline, tls.connect(name, tcp)).await {
        Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
        Ok(Err(error)) => Err(tls::fault(&error)),
        Err(_) => Err(Fault::connect(11220, "TLS handshake timed out")),
    }
}

// Differs: an address the policy refuses is 11205; what Twilio reports for a private host is
// not documented.
async fn permitted(
    target: &Target,
    policy: &Policy,
    deadline: Instant,
) -> Result<Vec<SocketAddr>, Fault> {
    let host = target.host_name();
    let found = match target.host() {
        url::Host::Ipv4(v4) => vec![SocketAddr::new(IpAddr::V4(v4), target.port())],
        url::Host::Ipv6(v6) => vec![SocketAddr::new(IpAddr::V6(v6), target.port())],
        url::Host::Domain(name) => {
            let lookup = tokio::net::lookup_host((name, target.port()));
            match timeout_at(deadline, lookup).await {
                Ok(Ok(addresses)) => addresses.take(ADDRESSES_MAX).collect(),
                Ok(Err(error)) => {
                    return Err(Fault::connect(11210, format!("host name {name}: {error}")));
                }
                Err(_) => {
                    return Err(Fault::connect(11210, format!("looking up {name} timed out")));
                }
            }
        }
    };
    if found.is_empty() {
        return Err(Fault::connect(11210, format!("host name {host} has no address")));
    }
    let allowed: Vec<_> =
        found.into_iter().filter(|address| policy.allows(&host, address.ip())).collect();
    if allowed.is_empty() {
        let why = format!("the network policy allows no connection to {host}");
        return Err(Fault::new(11205, why));
    }
    Ok(allowed)
}

async fn connect_tcp(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, Fault> {
    let mut last = Fault::connect(11201, "connecting timed out");
    for (tried, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - tried).unwrap_or(1);
        last = match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => Fault::from_tcp(&error),
            Err(_) => Fault::connect(11201, "connecting timed out"),
        };
    }
    Err(last)
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
