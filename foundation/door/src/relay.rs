//! A service that hands requests to an instance elsewhere.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

const DIAL_TIME: Duration = Duration::from_secs(10);

/// Relays to `host:port`, over HTTP/1.1 in clear, with the `Host` that the client sent.
/// Upgrades are relayed as well.
#[derive(Clone)]
pub struct Relay {
    to: Arc<str>,
}

impl Relay {
    pub fn new(to: &str) -> Self {
        Self { to: to.into() }
    }

    async fn exchange(
        to: &str,
        mut request: Request<Incoming>,
    ) -> Result<Response<Incoming>, crate::BoxError> {
        if let Some(authority) = request.uri().authority() {
            let host = HeaderValue::from_str(authority.as_str())?;
            request.headers_mut().insert(HOST, host);
            let path = request.uri().path_and_query().cloned();
            *request.uri_mut() = path.map_or_else(|| Uri::from_static("/"), Uri::from);
        }
        *request.version_mut() = http::Version::HTTP_11;
        let stream = tokio::time::timeout(DIAL_TIME, TcpStream::connect(to)).await??;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection.with_upgrades());
        let near = hyper::upgrade::on(&mut request);
        let mut response = sender.send_request(request).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let far = hyper::upgrade::on(&mut response);
            tokio::spawn(async move {
                if let (Ok(near), Ok(far)) = (near.await, far.await) {
                    // Either end may break off; both are closed then.
                    let _ =
                        copy_bidirectional(&mut TokioIo::new(near), &mut TokioIo::new(far)).await;
                }
            });
        }
        Ok(response)
    }
}

impl Service<Request<Incoming>> for Relay {
    type Response = Response<Either<Incoming, Full<Bytes>>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let to = self.to.clone();
        Box::pin(async move {
            Ok(match Self::exchange(&to, request).await {
                Ok(response) => response.map(Either::Left),
                Err(error) => {
                    let text = format!("offhook: the instance at {to} does not answer: {error}\n");
                    let mut response = Response::new(Either::Right(Full::new(text.into())));
                    *response.status_mut() = StatusCode::BAD_GATEWAY;
                    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
                    response.headers_mut().insert(CONTENT_TYPE, plain);
                    response
                }
            })
        })
    }
}
