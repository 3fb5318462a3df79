//! One bind to an SMSC: its connections, and what the SMSC sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use contracts::{BoxFuture, InboundMedia, InboundMessage, InboundOutcome, NotesError, Unavailable};
use smpp::long::{self, Leaving};
use smpp::pace::Backoff;
use smpp::pdu::{self, Mode, Sm};
use smpp::receipt;
use smpp::session::{INTERFACE_VERSION, Reason, Session};
use smpp::status::Status;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::Shared;
use crate::assembly::{Assembly, Said, join};
use crate::config::{self, ConfigError};
use crate::ledger::Verdict;
use crate::link::{self, Admission, Orders, Side};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Between attempts to bind, doubled up to the second.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

pub(crate) struct Bind {
    pub(crate) config: config::Bind,
    pub(crate) orders: Arc<Orders>,
    shared: Arc<Shared>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// Connections that may submit now.
    submitting: AtomicU32,
    assembly: Assembly<Said>,
}

impl Bind {
    pub(crate) fn new(
        config: config::Bind,
        path: &str,
        shared: Arc<Shared>,
    ) -> Result<Self, ConfigError> {
        let tls = config.tls.as_ref();
        let tls = tls.map(|tls| crate::tls::connector(tls, &config.host, path)).transpose()?;
        let prefix = format!("part/{}", config.name);
        let assembly = Assembly::new(Arc::clone(&shared.notes), prefix, shared.uptime);
        let submitting = AtomicU32::new(0);
        Ok(Self { config, orders: Arc::new(Orders::new()), shared, tls, submitting, assembly })
    }

    /// Connections that may submit now.
    pub(crate) fn connections_up(&self) -> u32 {
        self.submitting.load(Ordering::Relaxed)
    }

    pub(crate) fn is_up(&self) -> bool {
        self.connections_up() > 0
    }

    /// Digits of the longest prefix that `to` begins with; `None` when it goes elsewhere.
    pub(crate) fn matches(&self, to: &str) -> Option<usize> {
        let bare = |text: &str| text.trim_start_matches('+').to_owned();
        let to = bare(to);
        if self.config.to.is_empty() {
            return Some(0);
        }
        let prefixes = self.config.to.iter().map(|prefix| bare(prefix));
        prefixes.filter(|prefix| to.starts_with(prefix)).map(|prefix| prefix.len()).max()
    }

    pub(crate) async fn restore(&self) -> Result<(), NotesError> {
        for message in self.assembly.restore().await? {
            self.deliver_parts(message).await?;
        }
        Ok(())
    }

    /// Keeps one connection of `mode` bound until `stop`.
    pub(crate) async fn keep_bound(self: Arc<Self>, mode: Mode, mut stop: watch::Receiver<bool>) {
        let mut backoff = Backoff::new(RECONNECT.0, RECONNECT.1);
        while !*stop.borrow() {
            let began = self.shared.uptime.now();
            let name = &self.config.name;
            match self.connect(mode, &mut stop).await {
                Ok(Reason::Unbound) => return,
                Ok(reason) => tracing::warn!(bind = name, %reason, "smpp session ended"),
                Err(why) => tracing::warn!(bind = name, %why, "smpp connection failed"),
            }
            // A session that held for a while was no failure.
            if self.shared.uptime.now().since(began) > RECONNECT.1 {
                backoff.succeed();
            }
            let pause = backoff.fail_with_jitter(self.shared.random());
            let _ = tokio::time::timeout(pause, stop.wait_for(|stopped| *stopped)).await;
        }
    }

    async fn connect(
        self: &Arc<Self>,
        mode: Mode,
        stop: &mut watch::Receiver<bool>,
    ) -> std::io::Result<Reason> {
        let address = (self.config.host.as_str(), self.config.port);
        let connect = async {
            let tcp = TcpStream::connect(address).await?;
            tcp.set_nodelay(true)?;
            Ok(match &self.tls {
                Some((connector, name)) => {
                    let stream = connector.connect(name.clone(), tcp).await?;
                    Err(Box::new(stream))
                }
                None => Ok(tcp),
            })
        };
        let stream: Result<TcpStream, Box<_>> = tokio::select! {
            stream = tokio::time::timeout(CONNECT_TIMEOUT, connect) => {
                stream.map_err(std::io::Error::other).flatten()?
            }
            _ = async { stop.wait_for(|stopped| *stopped).await.is_ok() } => {
                return Ok(Reason::Unbound);
            }
        };
        let bind = pdu::Bind {
            mode,
            system_id: self.config.system_id.clone(),
            password: self.config.password.0.clone(),
            system_type: self.config.system_type.clone(),
            interface_version: INTERFACE_VERSION,
            address_range: Default::default(),
        };
        let session = Session::esme(self.shared.uptime.now(), bind, self.config.limits());
        let connection = Arc::new(Connection { bind: Arc::clone(self), mode, count: false.into() });
        let orders = mode.submits().then(|| Arc::clone(&self.orders));
        let uptime = self.shared.uptime;
        let side = Arc::clone(&connection);
        Ok(match stream {
            Ok(tcp) => link::run(tcp, session, side, orders, uptime, stop).await,
            Err(tls) => link::run(*tls, session, side, orders, uptime, stop).await,
        })
    }

    /// Delivers what waited too long for its missing parts.
    pub(crate) async fn sweep(&self) -> Result<(), NotesError> {
        for incomplete in self.assembly.expire().await {
            self.deliver_parts(incomplete).await?;
        }
        Ok(())
    }

    async fn receive(&self, sm: Sm) -> Result<Status, NotesError> {
        match receipt::read(&sm) {
            Some(receipt) => self.receive_receipt(&sm, &receipt).await,
            None => self.receive_message(&sm).await,
        }
    }

    async fn receive_receipt(
        &self,
        sm: &Sm,
        receipt: &receipt::Receipt,
    ) -> Result<Status, NotesError> {
        let vendor: Vec<_> = self.config.error_codes.clone().into_iter().collect();
        let Some(code) = Verdict::code_of(receipt.fate(&vendor)) else { return Ok(Status::OK) };
        if receipt.id.is_empty() {
            tracing::warn!(bind = self.config.name, "a receipt names no message");
            return Ok(Status::OK);
        }
        let now = self.shared.now();
        let offset = self.config.receipt_utc_offset_minutes;
        let verdict = Verdict {
            id: receipt.id.clone(),
            code,
            done_at: receipt.done_at.map_or(now, |at| receipt::to_utc(at, offset)),
            ends: [sm.source.digits.clone(), sm.destination.digits.clone()],
            came_at: now,
        };
        let form = self.config.receipt_ids.form();
        self.shared.ledger.settle(&self.config.name, verdict, form, &**self.shared.sink()).await?;
        Ok(Status::OK)
    }

    async fn receive_message(&self, sm: &Sm) -> Result<Status, NotesError> {
        let Ok(piece) = long::read(sm, self.config.alphabet.alphabet()) else {
            tracing::warn!(data_coding = sm.data_coding, "an inbound message cannot be read");
            return Ok(Status::RECEIVER_PERMANENT);
        };
        let (from, to) = (sm.source.to_text(), sm.destination.to_text());
        let content = Said::from(piece.content);
        let Some(place) = piece.place else {
            let (body, octets) = join([&content]);
            return Ok(answer_to(self.deliver(&from, &to, body, octets).await));
        };
        let mut status = Status::OK;
        for message in self.assembly.add(&from, &to, place, content).await? {
            if !message.is_whole() {
                self.deliver_parts(message).await?;
                continue;
            }
            let (body, octets) = join(message.parts.values());
            let outcome = self.deliver(&from, &to, body, octets).await;
            match &outcome {
                Ok(_) => self.assembly.done(&message).await?,
                Err(_) => self.assembly.not_done(message, Some(place.number)).await?,
            }
            status = answer_to(outcome);
        }
        Ok(status)
    }

    /// Differs: a long inbound message whose parts do not all come within ten minutes is
    /// delivered with those that came.
    async fn deliver_parts(&self, message: Leaving<Said>) -> Result<(), NotesError> {
        let (body, octets) = join(message.parts.values());
        match self.deliver(&message.key.from, &message.key.to, body, octets).await {
            Ok(_) => self.assembly.done(&message).await,
            Err(_) => self.assembly.not_done(message, None).await,
        }
    }

    /// Differs: 8-bit data from a handset becomes media of type application/octet-stream.
    async fn deliver(
        &self,
        from: &str,
        to: &str,
        body: String,
        octets: Vec<u8>,
    ) -> Result<InboundOutcome, Unavailable> {
        let content_type = "application/octet-stream".to_owned();
        let media = (!octets.is_empty()).then_some(InboundMedia { content_type, bytes: octets });
        let (from, to, media) = (from.to_owned(), to.to_owned(), media.into_iter().collect());
        self.shared
            .sink()
            .inbound(&InboundMessage { from, to, body, media, ..InboundMessage::default() })
            .await
    }
}

/// One connection of a bind.
struct Connection {
    bind: Arc<Bind>,
    mode: Mode,
    /// Counted among those that may submit.
    count: std::sync::atomic::AtomicBool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if *self.count.get_mut() {
            self.bind.submitting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Side for Connection {
    fn admit(self: Arc<Self>, _: pdu::Bind) -> BoxFuture<'static, Result<Admission, Status>> {
        // The session does not let an SMSC bind to us.
        Box::pin(async { Err(Status::INVALID_BIND_STATUS) })
    }

    fn request(self: Arc<Self>, sm: Sm) -> BoxFuture<'static, (Status, String)> {
        Box::pin(async move {
            let status = self.bind.receive(sm).await.unwrap_or_else(|error| {
                tracing::warn!(bind = self.bind.config.name, %error, "notes fail");
                Status::RECEIVER_TEMPORARY
            });
            (status, String::new())
        })
    }

    fn bound(&self, mode: Mode) {
        tracing::info!(bind = self.bind.config.name, ?mode, "smpp bound");
        if self.mode.submits() && !self.count.swap(true, Ordering::Relaxed) {
            self.bind.submitting.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A number that nobody owns stays so: the SMSC need not try again.
fn answer_to(outcome: Result<InboundOutcome, Unavailable>) -> Status {
    match outcome {
        Ok(InboundOutcome::Received { .. }) => Status::OK,
        Ok(InboundOutcome::NoSuchNumber) => Status::RECEIVER_PERMANENT,
        Err(_) => Status::RECEIVER_TEMPORARY,
    }
}
