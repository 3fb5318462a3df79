//! The doors of browser phones: the Voice SDK's socket, its reports and its sounds
//! (realtime-protocols §3).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ::client::Device;
use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, options, post};
use serde::Deserialize;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::Settings;
use super::api::App;

/// The client gives a socket up after 15 s without a word.
const HEARTBEAT: Duration = Duration::from_secs(8);
/// Messages that wait for one socket.
const OUTBOX_MAX: usize = 256;
/// What a program may send at once, in bytes.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Sounds that the SDK asks for.
const SOUNDS: [&str; 15] = [
    "incoming",
    "outgoing",
    "disconnect",
    "dtmf-0",
    "dtmf-1",
    "dtmf-2",
    "dtmf-3",
    "dtmf-4",
    "dtmf-5",
    "dtmf-6",
    "dtmf-7",
    "dtmf-8",
    "dtmf-9",
    "dtmf-star",
    "dtmf-hash",
];

/// `[carriers.client]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The address of this machine that browsers send their sound to.
    pub address: IpAddr,
}

/// Where browsers send their sound: as configured, or where the listener is.
pub(super) fn addresses(settings: &Settings, local: SocketAddr) -> Vec<IpAddr> {
    let configured = settings.config.carriers.client.as_ref().map(|config| config.address);
    vec![configured.unwrap_or(match local.ip() {
        ip if ip.is_unspecified() => outward().unwrap_or(Ipv4Addr::LOCALHOST.into()),
        ip => ip,
    })]
}

/// The address by which this machine would send to the outside; nothing is sent.
fn outward() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified())
}

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/signal", get(signal))
        .route("/v4/EndpointEvents", post(noted).merge(options(allowed)))
        .route("/v4/EndpointMetrics", post(noted).merge(options(allowed)))
        .route("/js/client/sounds/releases/1.0.0/{name}", get(sound))
}

/// The socket of one program.
async fn signal(State(app): State<App>, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    // The label by which it came is where it comes back to.
    let edge = host.strip_prefix("voice-js.").and_then(|rest| rest.split('.').next());
    let edge = edge.unwrap_or("roaming").to_owned();
    let upgrade = upgrade.max_message_size(MESSAGE_BYTES_MAX);
    upgrade.on_upgrade(move |socket| serve(app, edge, socket))
}

async fn serve(app: App, edge: String, mut socket: WebSocket) {
    let (outbox, mut inbox) = mpsc::channel(OUTBOX_MAX);
    let mut device = Device::new(app.clients.clone(), &edge, outbox);
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop = app.stop.subscribe();
    loop {
        let sent = tokio::select! {
            text = inbox.recv() => match text {
                Some(text) => socket.send(Message::text(text)).await,
                None => break,
            },
            _ = heartbeat.tick() => socket.send(Message::text("\n")).await,
            received = socket.recv() => match received {
                Some(Ok(Message::Text(text))) => {
                    let goes_on = device.receive(text.as_str()).await;
                    if goes_on {
                        continue;
                    }
                    // What was answered goes out before the end.
                    while let Ok(text) = inbox.try_recv() {
                        let _ = socket.send(Message::text(text)).await;
                    }
                    break;
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_))) => continue,
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
            },
            () = stopped(&mut stop) => break,
        };
        if sent.is_err() {
            break;
        }
    }
    device.close().await;
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An end of the channel is the platform's end, too.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// How programs say they are; nobody reads it yet.
///
/// Differs: reports of browsers are not kept, so Voice Insights has none of their metrics.
async fn noted(headers: HeaderMap) -> Response {
    (StatusCode::OK, shared(&headers)).into_response()
}

async fn allowed(headers: HeaderMap) -> Response {
    (StatusCode::NO_CONTENT, shared(&headers)).into_response()
}

/// Pages of every origin may ask.
fn shared(headers: &HeaderMap) -> [(HeaderName, HeaderValue); 3] {
    let wanted = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS")),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            wanted.unwrap_or(HeaderValue::from_static("content-type, x-twilio-token")),
        ),
    ]
}

/// A short silence in place of Twilio's sounds, so that nothing waits for them.
async fn sound(headers: HeaderMap, Path(name): Path<String>) -> Response {
    let stem = name.split('.').next().unwrap_or_default();
    if !SOUNDS.contains(&stem) {
        return (StatusCode::NOT_FOUND, shared(&headers)).into_response();
    }
    let silence = [0; audio::FRAME];
    let file = audio::wav::write(audio::wav::Encoding::Pcm16, audio::RATE, 1, &silence);
    match file {
        Ok(file) => {
            let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("audio/wav"))];
            (StatusCode::OK, shared(&headers), kind, file).into_response()
        }
        Err(_) => (StatusCode::NOT_FOUND, shared(&headers)).into_response(),
    }
}
