//! A WebSocket to an application (RFC 6455), through the same guard as every other connection.

use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::client::Client;
use crate::connect::{Stream, connect};
use crate::fault::Fault;
use crate::target::Target;

/// Name lookup, TCP, TLS and the handshake.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// One message, in bytes.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Why there is no connection any more, with the codes of Media Streams (media §1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketFault {
    /// 31901 to 31924.
    pub code: u32,
    pub message: String,
}

impl SocketFault {
    fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<Fault> for SocketFault {
    fn from(fault: Fault) -> Self {
        let code = match fault.code {
            11201 => 31901,
            11202 => 31902,
            11100 => 31922,
            11220..=11299 => 31910,
            _ => 31904,
        };
        Self::new(code, fault.message)
    }
}

/// What an application sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    Text(String),
    /// Bytes, which nobody here expects.
    Binary,
    /// The other side closes, with its code (1005 when it named none).
    Closed(u16),
}

/// The half that sends.
pub struct SocketSender(SplitSink<WebSocketStream<Stream>, Message>);

/// The half that receives. Pings are answered while it is asked.
pub struct SocketReceiver(SplitStream<WebSocketStream<Stream>>);

/// Checks an address such as `wss://app.example/stream`.
///
/// Differs: `ws://` is taken as well, for programs on the same machine.
///
/// # Errors
/// 31922.
pub fn check_socket_url(url: &str) -> Result<(), SocketFault> {
    target(url).map(|_| ())
}

/// In the form in which others are checked and connected to.
fn target(url: &str) -> Result<Target, SocketFault> {
    let url = url.trim();
    let http = match url.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("wss") => format!("https://{rest}"),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("ws") => format!("http://{rest}"),
        _ => return Err(SocketFault::new(31922, format!("'{url}' is no wss:// address"))),
    };
    Ok(Target::parse(&http)?)
}

impl Client {
    /// Opens a WebSocket. `headers` go with the handshake.
    ///
    /// # Errors
    /// 31901 timed out, 31902 refused, 31904 unreachable or not allowed, 31910 TLS, 31920 the server
    /// answered something else, 31922 no such address, 31924 it broke the protocol.
    pub async fn websocket(
        &self,
        url: &str,
        headers: &[(String, String)],
    ) -> Result<(SocketSender, SocketReceiver), SocketFault> {
        let target = target(url)?;
        let deadline = Instant::now() + CONNECT_MAX;
        let stream = connect(&target, &self.policy, &self.tls, deadline).await?;
        let address = format!("ws://{}{}", target.host_header(), target.request_target());
        let protocol = |why: String| SocketFault::new(31924, why);
        let mut request =
            address.into_client_request().map_err(|error| protocol(error.to_string()))?;
        if let Some(authorization) = target.basic_authorization() {
            let value = HeaderValue::from_str(&authorization);
            request
                .headers_mut()
                .insert("authorization", value.map_err(|error| protocol(error.to_string()))?);
        }
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            let value = HeaderValue::from_str(value);
            request.headers_mut().insert(
                name.map_err(|error| protocol(error.to_string()))?,
                value.map_err(|error| protocol(error.to_string()))?,
            );
        }
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let shaken = tokio_tungstenite::client_async_with_config(request, stream, Some(config));
        let (socket, _) = timeout_at(deadline, shaken)
            .await
            .map_err(|_| SocketFault::new(31901, "the WebSocket handshake timed out"))?
            .map_err(|error| fault(&error))?;
        let (sender, receiver) = socket.split();
        Ok((SocketSender(sender), SocketReceiver(receiver)))
    }
}

fn fault(error: &Error) -> SocketFault {
    let code = match error {
        Error::Http(_) => 31920,
        Error::ConnectionClosed | Error::AlreadyClosed => 31921,
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => 31921,
        Error::Io(_) => 31903,
        _ => 31924,
    };
    let message = match error {
        Error::Http(answer) => format!("the server answered {}", answer.status()),
        error => error.to_string(),
    };
    SocketFault::new(code, message)
}

impl SocketSender {
    /// Sends one text message, and waits until the network has taken it.
    ///
    /// # Errors
    /// 31903, 31921.
    pub async fn send(&mut self, text: String) -> Result<(), SocketFault> {
        self.0.send(Message::text(text)).await.map_err(|error| fault(&error))
    }

    /// Says goodbye.
    pub async fn close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
        // It may be gone already, which is as well.
        let _ = self.0.send(Message::Close(Some(frame))).await;
    }
}

impl SocketReceiver {
    /// The next message. After [`Received::Closed`] or an error there is none.
    ///
    /// # Errors
    /// 31903, 31921, 31924.
    pub async fn receive(&mut self) -> Result<Received, SocketFault> {
        loop {
            let Some(message) = self.0.next().await else { return Ok(Received::Closed(1006)) };
            return match message.map_err(|error| fault(&error))? {
                Message::Text(text) => Ok(Received::Text(text.as_str().to_owned())),
                Message::Binary(_) => Ok(Received::Binary),
                Message::Close(frame) => {
                    Ok(Received::Closed(frame.map_or(1005, |frame| frame.code.into())))
                }
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_web_sockets() {
        for (url, fine) in [
            ("wss://app.example/stream", true),
            ("WSS://app.example", true),
            ("ws://localhost:8080/a", true),
            ("https://app.example", false),
            ("app.example", false),
            ("wss://", false),
        ] {
            let checked = check_socket_url(url);
            assert_eq!(checked.is_ok(), fine, "{url}");
            assert!(checked.is_ok() || checked.is_err_and(|fault| fault.code == 31922), "{url}");
        }
    }
}
