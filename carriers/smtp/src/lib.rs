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
use std::sync::{Arc, Mutex, OnceLock};

use contracts::{
    BoxFuture, MailAttempt, MailCarrier, MailDns, MailRelay, MailSink, OutboundMail, Unavailable,
};
use outbound::Policy;
use tokio::sync::{Semaphore, watch};

pub use config::{Config, ConfigError, Smarthost};

/// Destinations that are remembered; beyond, those at rest are forgotten.
const DESTINATIONS_MAX: usize = 10_000;

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
    pub(crate) tls: tls::Tls,
    pub(crate) ports: OnceLock<Ports>,
    destinations: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Smtp {
    /// # Errors
    /// The parameter that cannot be used.
    pub fn new(config: Config, policy: Policy) -> Result<Arc<Self>, ConfigError> {
        config.validate()?;
        let tls = tls::Tls::new(&config)?;
        let dns = dns::Dns::new()?;
        let destinations = Mutex::default();
        Ok(Arc::new(Self { config, policy, dns, tls, ports: OnceLock::new(), destinations }))
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
            let Ok(_seat) = seats.try_acquire() else {
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
