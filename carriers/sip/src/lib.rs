//! Calls over SIP (RFC 3261) with RTP sound: trunks of the operator, SIP domains and trunks of
//! accounts, telephones that register.
//!
//! One agent owns all signalling and does one thing after the other ([`agent`]); who may call and
//! where a call goes is asked beside it ([`admission`], [`targets`]), so that nothing waits for a
//! database. Sound goes by [`session`] between sockets and the engine of `media`.
//!
//! It deliberately keeps little: bindings of telephones, and of each call what it takes to hang up
//! after a restart, since sound cannot outlive the process.
//!
//! Bounds: calls, transactions, connections, octets of messages, everything that waits.
//!
//! Differs: a caller that requires ringing to be acknowledged (RFC 3262) and offers nothing hears none.
//! Differs: of several telephones that ring at once none is heard before it answers.

mod admission;
mod agent;
mod call;
mod config;
mod health;
mod inbound;
mod input;
mod midcall;
mod outbound;
mod outcome;
mod redirect;
mod registrar;
mod replaces;
mod reports;
mod session;
mod siprec;
mod socket;
mod sound;
mod srtp;
mod state;
mod targets;
mod transfer;
mod trunks;
mod wires;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use ::outbound::Policy;
use contracts::{
    BoxFuture, CallNetwork, CarrierNotes, ConfigError, Order, OutboundCall, SipDirectory,
    Unavailable, VoiceCarrier, VoiceSink,
};
use kernel::{Sid, Timestamp};
use media::Engine;
use sip::digest::Challenger;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::{TlsAcceptor, TlsConnector};

pub use config::{Config, Recorder, Trunk};
pub use state::{Telephone, TrunkState};

/// What waits for the agent; datagrams beyond are dropped, everything else waits.
const INPUTS_MAX: usize = 4096;
const READY: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_secs(1);

/// What the carrier needs of others.
pub struct Parts {
    /// The platform's time, for reports.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    pub policy: Policy,
    pub notes: Arc<dyn CarrierNotes>,
    /// This node as a home, where there are others.
    pub home: Option<String>,
}

/// Who takes calls, who says where they go, and who renders them.
pub(crate) struct Ports {
    pub sink: Arc<dyn VoiceSink>,
    pub directory: Arc<dyn SipDirectory>,
    pub engine: Arc<Engine>,
}

/// The carrier.
pub struct Sip {
    pub(crate) config: Config,
    pub(crate) parts: Parts,
    pub(crate) ports: OnceLock<Ports>,
    pub(crate) challenger: Mutex<Challenger>,
    /// Calls that are here.
    pub(crate) legs: Mutex<HashSet<Sid>>,
    pub(crate) registrar: registrar::Registrar,
    /// Hosts of trunks that do not answer.
    pub(crate) silent: Mutex<HashSet<String>>,
    /// Of those that are registered at, by name.
    pub(crate) trunk_states: Mutex<HashMap<String, TrunkState>>,
    began: Instant,
    inputs: mpsc::Sender<input::Input>,
    queue: Mutex<Option<mpsc::Receiver<input::Input>>>,
    bound: watch::Sender<Vec<SocketAddr>>,
    sockets: watch::Sender<Vec<SocketAddr>>,
    acceptor: Option<TlsAcceptor>,
    connector: Option<TlsConnector>,
}

fn acceptor(config: &Config) -> Result<Option<TlsAcceptor>, ConfigError> {
    let (Some(chain), Some(key)) = (&config.certificate_file, &config.key_file) else {
        return Ok(None);
    };
    let wrong = |name: &str, why: String| ConfigError(format!("{name}: {why}"));
    let certificates = CertificateDer::pem_file_iter(chain).and_then(Iterator::collect);
    let certificates: Vec<_> =
        certificates.map_err(|error| wrong("certificate_file", error.to_string()))?;
    let key =
        PrivateKeyDer::from_pem_file(key).map_err(|error| wrong("key_file", error.to_string()))?;
    let server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider supports TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|error| wrong("key_file", error.to_string()))?;
    Ok(Some(TlsAcceptor::from(Arc::new(server))))
}

impl Sip {
    /// # Errors
    /// The parameter that cannot be used.
    pub fn new(config: Config, parts: Parts) -> Result<Arc<Self>, ConfigError> {
        config.validate()?;
        let acceptor = acceptor(&config)?;
        let connector = ::outbound::tls_connector()
            .map_err(|error| ConfigError(format!("trusted certificates: {error}")))?;
        let (inputs, queue) = mpsc::channel(INPUTS_MAX);
        Ok(Arc::new(Self {
            challenger: Mutex::new(Challenger::new(&config.realm, &rand::random())),
            registrar: registrar::Registrar::new(
                parts.notes.clone(),
                parts.now.clone(),
                parts.home.clone(),
            ),
            config,
            parts,
            ports: OnceLock::new(),
            legs: Mutex::default(),
            silent: Mutex::default(),
            trunk_states: Mutex::default(),
            began: Instant::now(),
            inputs,
            queue: Mutex::new(Some(queue)),
            bound: watch::Sender::new(Vec::new()),
            sockets: watch::Sender::new(Vec::new()),
            acceptor,
            connector: Some(connector),
        }))
    }

    /// Connects the carrier to the platform; once, before it runs.
    pub fn connect(
        &self,
        sink: Arc<dyn VoiceSink>,
        directory: Arc<dyn SipDirectory>,
        engine: Arc<Engine>,
    ) {
        let connected = self.ports.set(Ports { sink, directory, engine });
        assert!(connected.is_ok(), "the carrier is connected once");
    }

    pub(crate) fn ports(&self) -> &Ports {
        self.ports.get().expect("the binary connects the carrier before it runs")
    }

    /// Time for transactions.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.parts.now)()
    }

    /// A listener that this machine's programs reach by IPv4.
    pub fn local(&self) -> Option<SocketAddr> {
        let bound = self.bound.borrow();
        bound.iter().copied().find(|address| address.is_ipv4() && address.ip().is_loopback())
    }

    /// A WebSocket listener that this machine's programs reach.
    pub fn local_ws(&self) -> Option<SocketAddr> {
        self.sockets.borrow().iter().copied().find(|address| address.ip().is_loopback())
    }

    /// Everything that is listened on.
    pub fn listening(&self) -> Vec<SocketAddr> {
        self.bound.borrow().clone()
    }

    /// Waits until it listens, a second at most.
    pub async fn ready(&self) {
        let mut bound = self.bound.subscribe();
        let listening = bound.wait_for(|all| !all.is_empty());
        let _ = tokio::time::timeout(READY, listening).await;
    }

    /// Listens, and carries calls until `stop` turns true.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let queue = self.queue.lock().unwrap_or_else(|poison| poison.into_inner()).take();
        let Some(queue) = queue else { return };
        let bound = loop {
            match wires::Bound::bind(&self.config).await {
                Ok(bound) => break bound,
                Err(error) => tracing::error!(%error, "SIP cannot listen"),
            }
            tokio::select! {
                _ = stop.changed() => return,
                () = tokio::time::sleep(RETRY) => {}
            }
        };
        let local = bound.local();
        self.sockets.send_replace(bound.local_ws());
        let wires = wires::Wires::serve(
            bound,
            self.config.external_address,
            self.config.connections_max,
            self.acceptor.clone(),
            self.connector.clone(),
            self.inputs.clone(),
            &stop,
        );
        for address in &local {
            tracing::info!(%address, "SIP listens");
        }
        self.bound.send_replace(local);
        agent::Agent::new(self.clone(), wires).run(queue, stop).await;
    }

    async fn ask(
        &self,
        input: impl FnOnce(oneshot::Sender<Result<(), Unavailable>>) -> input::Input,
    ) -> Result<(), Unavailable> {
        let gone = || Unavailable("SIP has stopped".to_owned());
        let (done, answer) = oneshot::channel();
        self.inputs.send(input(done)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// Whether somebody is called by SIP and not by a number.
pub fn is_address(to: &str) -> bool {
    let scheme = to.split(':').next().unwrap_or_default();
    to.contains(':') && (scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips"))
}

impl CallNetwork for Sip {
    /// To SIP addresses, by a trunk that the call names, and to numbers of a trunk of the operator.
    fn reaches(&self, call: &OutboundCall) -> bool {
        is_address(&call.to)
            || call.extras.trunk.is_some()
            || self.config.trunk_to(&call.to).is_some()
    }

    fn has(&self, leg: Sid) -> bool {
        self.legs.lock().unwrap_or_else(|poison| poison.into_inner()).contains(&leg)
    }
}

impl VoiceCarrier for Sip {
    fn place<'a>(&'a self, call: &'a OutboundCall) -> BoxFuture<'a, Result<(), Unavailable>> {
        let call = Box::new(call.clone());
        Box::pin(self.ask(move |done| input::Input::Place { call, done }))
    }

    /// A telephone is reached by the node where it registered last: a connection is that node's
    /// alone, and so is the way through a NAT.
    ///
    /// Differs: of telephones of one address that are connected to several nodes, those ring that share a
    /// node with the one that registered last, and those that any node reaches by UDP.
    fn home_of<'a>(
        &'a self,
        call: &'a OutboundCall,
    ) -> BoxFuture<'a, Result<Option<String>, Unavailable>> {
        Box::pin(targets::home(self, call))
    }

    fn order<'a>(
        &'a self,
        account: Sid,
        leg: Sid,
        at: Timestamp,
        order: &'a Order,
    ) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async move {
            // A leg of any network may be recorded.
            match order {
                Order::Siprec(setup) => {
                    let setup = setup.clone();
                    let input = move |done| input::Input::Siprec { account, leg, setup, done };
                    return self.ask(input).await;
                }
                Order::StopSiprec { siprec } => {
                    let stop = input::Input::StopSiprec { siprec: *siprec };
                    let sent = self.inputs.send(stop).await;
                    return sent.map_err(|_| Unavailable("SIP has stopped".to_owned()));
                }
                _ => {}
            }
            if !self.has(leg) || self.ports().engine.order(leg, at, order) {
                return Ok(());
            }
            let order = order.clone();
            self.ask(move |done| input::Input::Order { leg, order, done }).await
        })
    }
}
