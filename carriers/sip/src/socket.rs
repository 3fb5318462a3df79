//! SIP over WebSocket (RFC 7118): each message of the socket is one of SIP.

use futures_util::{SinkExt, StreamExt};
use sip::message;
use sip::transaction::Flow;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::input::Input;
use crate::wires::{CONNECT, IDLE, REST, Received};

const PROTOCOL: &str = "sip";
/// Of one message.
const OCTETS_MAX: usize = message::HEAD_OCTETS_MAX + message::BODY_OCTETS_MAX;

/// Who opens a socket has to speak SIP on it (§4.1).
#[expect(clippy::result_large_err, reason = "the library's own")]
fn agree(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let asked = request.headers().get_all("Sec-WebSocket-Protocol").iter();
    let mut names = asked.filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(','));
    if !names.any(|name| name.trim().eq_ignore_ascii_case(PROTOCOL)) {
        let mut refused = ErrorResponse::new(Some("the subprotocol is sip".to_owned()));
        *refused.status_mut() = StatusCode::BAD_REQUEST;
        return Err(refused);
    }
    response.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(PROTOCOL));
    Ok(response)
}

/// A connection that becomes a WebSocket, until either side is done with it.
pub(crate) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    flow: Flow,
    mut queue: mpsc::Receiver<Vec<u8>>,
    inputs: &mpsc::Sender<Input>,
) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(OCTETS_MAX))
        .max_frame_size(Some(OCTETS_MAX));
    let opening = tokio_tungstenite::accept_hdr_async_with_config(stream, agree, Some(config));
    let Ok(Ok(mut socket)) = tokio::time::timeout(CONNECT, opening).await else { return };
    loop {
        tokio::select! {
            next = queue.recv() => {
                let Some(octets) = next else { break };
                if !write(&mut socket, octets).await {
                    break;
                }
            }
            read = tokio::time::timeout(IDLE, socket.next()) => {
                let Ok(Some(Ok(read))) = read else { break };
                let octets = match &read {
                    Message::Text(text) => text.as_bytes(),
                    Message::Binary(octets) => octets,
                    Message::Close(_) => break,
                    // Pings are answered by the library.
                    _ => continue,
                };
                // What keeps the connection open is no message (RFC 5626 §3.5.1).
                if octets.iter().all(|c| matches!(c, b'\r' | b'\n')) {
                    continue;
                }
                let received = Received { flow, message: message::read(octets) };
                if inputs.send(Input::Message(received)).await.is_err() {
                    break;
                }
            }
        }
    }
}

async fn write<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    octets: Vec<u8>,
) -> bool {
    let message = match String::from_utf8(octets) {
        Ok(text) => Message::Text(text.into()),
        Err(error) => Message::Binary(error.into_bytes().into()),
    };
    matches!(tokio::time::timeout(REST, socket.send(message)).await, Ok(Ok(())))
}
