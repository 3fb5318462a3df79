//! Mail over SMTP (RFC 5321): to the servers of readers or to a smarthost, and from programs and
//! the Internet.
//!
//! Out, it tries once and says what came of it; the next attempt is Email's. In, a program that
//! signs in as `apikey` hands mail over to be sent; everybody else may only write to addresses that
//! somebody here takes mail for, so it is no open relay.
//!
//! Every server is connected to through the network policy. It deliberately keeps nothing.
//!
//! Bounds: connections per destination and of each listener, 30 MiB a message, 4 KiB a command.

mod client;
mod config;
mod dns;
mod listener;
mod session;
mod tls;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use contracts::{
    BoxFuture, ConfigError, MailAttempt, MailCarrier, MailDns, MailRelay, MailSink, OutboundMail,
    Unavailable,
};
use outbound::Policy;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::rustls::ServerConfig;

pub use config::{Config, Smarthost};

/// Destinations that are remembered; beyond, those at rest are forgotten.
const DESTINATIONS_MAX: usize = 10_000;
/// How long a mail waits for a connection: a server that is quick is kept busy, one that is slow
/// does not keep the others' mail waiting.
const SEAT_TIME: Duration = Duration::from_secs(1);
const READY: Duration = Duration::from_secs(1);

/// Who takes what comes in.
pub(crate) struct Ports {
    pub(crate) sink: Arc<dyn MailSink>,
    pub(crate) relay: Arc<dyn MailRelay>,
}

/// The carrier.
pub struct Smtp {
    pub(crate) config: Config,
    pub(crate) policy: Policy,
    pub(crate) dns: dns::Dns,
    /// Where servers that the DNS names listen: 25, but for tests.
    pub(crate) port: u16,
    pub(crate) tls: tls::Tls,
    pub(crate) ports: OnceLock<Ports>,
    /// Where the listeners listen.
    pub(crate) bound: watch::Sender<Vec<SocketAddr>>,
    destinations: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Smtp {
    /// `local` is the TLS of listeners that have no certificate of their own.
    ///
    /// # Errors
    /// The parameter that cannot be used.
    pub fn new(
        config: Config,
        policy: Policy,
        local: Option<ServerConfig>,
    ) -> Result<Arc<Self>, ConfigError> {
        config.validate()?;
        Ok(Arc::new(Self {
            tls: tls::Tls::new(&config, local)?,
            dns: dns::Dns::new(),
            port: 25,
            config,
            policy,
            ports: OnceLock::new(),
            bound: watch::Sender::new(Vec::new()),
            destinations: Mutex::default(),
        }))
    }

    /// A listener that this machine's programs reach by IPv4.
    pub fn local(&self) -> Option<SocketAddr> {
        let bound = self.bound.borrow();
        bound.iter().copied().find(|address| address.is_ipv4() && address.ip().is_loopback())
    }

    /// Waits until something listens, a second at most.
    pub async fn ready(&self) {
        let mut bound = self.bound.subscribe();
        if !self.config.listen.is_empty() {
            let listening = bound.wait_for(|all| !all.is_empty());
            let _ = tokio::time::timeout(READY, listening).await;
        }
    }

    /// Connects the carrier to the platform; once, before it runs.
    pub fn connect(&self, sink: Arc<dyn MailSink>, relay: Arc<dyn MailRelay>) {
        let connected = self.ports.set(Ports { sink, relay });
        assert!(connected.is_ok(), "the carrier is connected once");
    }

    /// Whether it carries mail out, or only takes it in.
    pub fn delivers(&self) -> bool {
        self.config.deliver
    }

    /// Listens until `stop` turns true.
    pub async fn run(self: Arc<Self>, stop: watch::Receiver<bool>) {
        listener::run(self, stop).await;
    }

    /// The connections of one destination.
    fn destination(&self, name: &str) -> Arc<Semaphore> {
        let mut all = self.destinations.lock().unwrap_or_else(|poison| poison.into_inner());
        if all.len() > DESTINATIONS_MAX {
            all.retain(|_, seats| Arc::strong_count(seats) > 1);
        }
        let seats = || Arc::new(Semaphore::new(self.config.connections_per_domain));
        all.entry(name.to_owned()).or_insert_with(seats).clone()
    }
}

impl MailCarrier for Smtp {
    fn deliver<'a>(&'a self, mail: &'a OutboundMail) -> BoxFuture<'a, MailAttempt> {
        Box::pin(async move {
            let domain = mail::domain_of(&mail.to);
            let name = self.config.smarthost.as_ref().map_or(domain.as_str(), |host| &host.host);
            let seats = self.destination(name);
            let Ok(Ok(_seat)) = tokio::time::timeout(SEAT_TIME, seats.acquire()).await else {
                return MailAttempt::Busy(Unavailable(format!("{name} has its connections")));
            };
            self.attempt(mail, &domain).await
        })
    }
}

impl MailDns for Smtp {
    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, Unavailable>> {
        Box::pin(self.dns.txt(name))
    }
}

#[cfg(test)]
mod tests;
