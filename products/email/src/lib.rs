//! SendGrid-compatible mail: accepted, delivered, tracked, told of.
//!
//! The behaviour reads along the life of a mail: [`check`] reads a request, [`send`] accepts it,
//! [`dispatch`] decides who gets it and hands it to its carrier, [`compose`] makes the message,
//! [`lifecycle`] is the state machine, [`reader`] tells what happened and [`webhook`] posts it.
//! [`track`] serves the links of mails; [`parse`] is mail that comes in. The rest is settings.
//!
//! It deliberately knows no carrier, no other product and no account but the one it works for.

mod activity;
mod check;
mod comms;
mod compose;
mod dispatch;
mod dkim;
mod fault;
mod group;
mod identity;
mod key;
mod letter;
mod lifecycle;
mod notice;
mod parse;
mod reader;
mod relay;
mod retention;
mod schedule;
mod send;
mod setting;
mod shelf;
mod stats;
mod suppression;
mod template;
mod track;
mod webhook;
mod wire;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clock::Clock;
use contracts::{AccountDirectory, MailCarrier, MailDns, MailNames, NoticeSink};
use jobs::Runner;
use outbound::Client;
use rest::Gate;
use store::{BlobStore, ByAccount, Sealer};
use webhooks::Webhooks;

pub use wire::refuse;

use wire::Routes;

/// What the product stands on.
pub struct Parts {
    /// To reach the account that a key, a job or a link belongs to.
    pub store: ByAccount,
    pub clock: Clock,
    pub blobs: BlobStore,
    pub sealer: Sealer,
    pub names: Arc<dyn MailNames>,
    pub accounts: Arc<dyn AccountDirectory>,
    /// Checks Twilio credentials.
    pub gate: Arc<dyn Gate>,
    pub webhooks: Arc<Webhooks>,
    /// Posts to Event Webhooks and Inbound Parse.
    pub client: Arc<Client>,
    /// Where the links of mails lead: `http://127.0.0.1:4010`.
    pub public_url: String,
    /// Unknown keys and senders are adopted.
    pub development: bool,
    /// How long events are collected before they are posted.
    pub webhook_delay: Duration,
}

/// The product's state.
pub struct Email {
    parts: Parts,
    routes: Routes,
    carrier: OnceLock<Arc<dyn MailCarrier>>,
    notices: OnceLock<Arc<dyn NoticeSink>>,
    dns: OnceLock<Arc<dyn MailDns>>,
}

impl Email {
    pub fn new(parts: Parts) -> Arc<Self> {
        let routes = Routes::new(&[
            send::ROUTES,
            key::ROUTES,
            schedule::ROUTES,
            template::ROUTES,
            suppression::ROUTES,
            group::ROUTES,
            setting::ROUTES,
            webhook::ROUTES,
            parse::ROUTES,
            identity::ROUTES,
            stats::ROUTES,
            activity::ROUTES,
        ]);
        Arc::new(Self {
            parts,
            routes,
            carrier: OnceLock::new(),
            notices: OnceLock::new(),
            dns: OnceLock::new(),
        })
    }

    /// Connects the carrier; once, before the runner starts.
    pub fn connect(&self, carrier: Arc<dyn MailCarrier>) {
        assert!(self.carrier.set(carrier).is_ok(), "a carrier is connected once");
    }

    /// Connects who wants to know what became of notices; at most once.
    pub fn connect_notices(&self, sink: Arc<dyn NoticeSink>) {
        assert!(self.notices.set(sink).is_ok(), "a sink of notices is connected once");
    }

    /// Connects the resolver by which domains are validated; at most once.
    pub fn connect_dns(&self, dns: Arc<dyn MailDns>) {
        assert!(self.dns.set(dns).is_ok(), "a resolver is connected once");
    }

    fn carrier(&self) -> &Arc<dyn MailCarrier> {
        self.carrier.get().expect("the binary connects the carrier before it starts")
    }

    /// Adds the resources of Twilio's own Email API.
    pub fn mount(self: &Arc<Self>, router: rest::Router) -> rest::Router {
        router.mount(self, &[&comms::EMAIL, &comms::OPERATION])
    }

    /// Adds this product's workers.
    pub fn work(self: &Arc<Self>, runner: Runner) -> Runner {
        runner
            .with(Arc::new(dispatch::Processor(self.clone())))
            .with(Arc::new(dispatch::Deliverer(self.clone())))
            .with(Arc::new(webhook::Poster(self.clone())))
            .with(Arc::new(parse::Poster(self.clone())))
            .with(Arc::new(comms::Usher(self.clone())))
    }

    /// `bytes` of randomness in URL-safe letters: 16 make 22 of them, 32 make 43.
    fn token(&self, bytes: usize) -> String {
        let mut random = vec![0; bytes];
        SystemRandom::new().fill(&mut random).expect("the system has randomness");
        URL_SAFE_NO_PAD.encode(random)
    }

    /// A random UUID (RFC 9562 §5.4).
    fn uuid(&self) -> String {
        let hex = self.parts.clock.hex_token(32);
        format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }
}
