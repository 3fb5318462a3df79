//! Absolute-form requests (RFC 9112 §3.2.2) for foreign hosts: what a client sends to a
//! proxy for a URL in clear, and some also for one that is not.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, PROXY_AUTHORIZATION};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::dial::dial;
use crate::stream::Stream;
use crate::upstream::Upstream;
use crate::watch::{Seen, Watch};
use crate::{BoxError, Content, Foreign};

/// A body of ours, one from afar, or a line of text.
pub enum Answer<B> {
    Near(B),
    Far(Incoming),
    Text(Full<Bytes>),
}

impl<B: Content> Body for Answer<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Near(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
            Self::Far(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
            Self::Text(body) => Pin::new(body).poll_frame(context).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Near(body) => body.is_end_stream(),
            Self::Far(body) => body.is_end_stream(),
            Self::Text(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Near(body) => body.size_hint(),
            Self::Far(body) => body.size_hint(),
            Self::Text(body) => body.size_hint(),
        }
    }
}

/// The host that a request is for: its URI's, else its `Host`, else the connection's.
pub fn host<'a>(request: &'a Request<Incoming>, connection: Option<&'a str>) -> &'a str {
    let header = || request.headers().get(HOST)?.to_str().ok();
    let text = match request.uri().authority() {
        Some(authority) => authority.host(),
        None => header().or(connection).unwrap_or_default(),
    };
    match text.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => text,
    }
}

/// A foreign request, where it goes, and how.
pub struct Forward {
    authority: Authority,
    is_secure: bool,
    foreign: Foreign,
}

/// `None`: the request is not in absolute form, or this door forwards nothing.
pub fn wanted(request: &Request<Incoming>, foreign: &Foreign) -> Option<Forward> {
    // HTTP/2 has an authority in every request.
    if request.version() > Version::HTTP_11 || matches!(foreign, Foreign::Refuse) {
        return None;
    }
    let authority = request.uri().authority()?.clone();
    let is_secure = request.uri().scheme_str() == Some("https");
    Some(Forward { authority, is_secure, foreign: foreign.clone() })
}

impl Forward {
    pub async fn forward<B>(
        self,
        request: Request<Incoming>,
        watch: &dyn Watch,
    ) -> Response<Answer<B>> {
        let host = self.authority.host().trim_matches(['[', ']']).to_owned();
        let port = self.authority.port_u16().unwrap_or(if self.is_secure { 443 } else { 80 });
        match self.exchange(request, &host, port).await {
            Ok(response) => {
                watch.saw(Seen::Passed { host: &host, port });
                response.map(Answer::Far)
            }
            Err(error) => {
                let why = &error.to_string();
                watch.saw(Seen::Refused { host: &host, port, why });
                let denied = error.kind() == io::ErrorKind::PermissionDenied;
                let text = format!("offhook: {why}\n");
                let mut response = Response::new(Answer::Text(Full::new(text.into())));
                *response.status_mut() =
                    if denied { StatusCode::FORBIDDEN } else { StatusCode::BAD_GATEWAY };
                let plain = HeaderValue::from_static("text/plain; charset=utf-8");
                response.headers_mut().insert(CONTENT_TYPE, plain);
                response
            }
        }
    }

    async fn exchange(
        &self,
        mut request: Request<Incoming>,
        host: &str,
        port: u16,
    ) -> io::Result<Response<Incoming>> {
        strip_hops(request.headers_mut());
        let stream = match self.proxy(host) {
            // A request in clear goes to the next proxy as it came to this one.
            Some(proxy) if !self.is_secure => {
                if let Some(authorization) = proxy.authorization() {
                    let value = HeaderValue::from_str(authorization).map_err(io::Error::other)?;
                    request.headers_mut().insert(PROXY_AUTHORIZATION, value);
                }
                Stream::new("", proxy.dial().await?)
            }
            _ => {
                let path = request.uri().path_and_query().cloned();
                *request.uri_mut() = path.map_or_else(|| Uri::from_static("/"), Uri::from);
                let stream = dial(&self.foreign, host, port).await?;
                if self.is_secure { secure(stream, host).await? } else { stream }
            }
        };
        let value = HeaderValue::from_str(self.authority.as_str()).map_err(io::Error::other)?;
        request.headers_mut().insert(HOST, value);
        *request.version_mut() = Version::HTTP_11;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        let mut response = sender.send_request(request).await.map_err(io::Error::other)?;
        strip_hops(response.headers_mut());
        Ok(response)
    }

    fn proxy(&self, host: &str) -> Option<&Arc<Upstream>> {
        match &self.foreign {
            Foreign::Pass { upstream: Some(proxy), offline: false } => {
                proxy.carries(host).then_some(proxy)
            }
            _ => None,
        }
    }
}

/// RFC 9110 §7.6.1: what concerns one hop only.
fn strip_hops(headers: &mut HeaderMap) {
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(|name| name.trim().to_owned()))
        .collect();
    for name in named.iter().map(String::as_str).chain([
        "connection",
        "proxy-connection",
        "keep-alive",
        "proxy-authorization",
        "te",
        "upgrade",
    ]) {
        headers.remove(name);
    }
}

async fn secure(stream: Stream, host: &str) -> io::Result<Stream> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    Ok(Stream::new("", outbound::tls_connector()?.connect(name, stream).await?))
}
