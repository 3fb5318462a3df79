//! Messages: accepted, delivered, received, answered.
//!
//! The behaviour reads along the life of a message: [`create`] decides whether
//! one is accepted, [`dispatch`] hands it to its carrier, [`lifecycle`] is the
//! state machine, [`inbound`] takes what handsets send, [`answer`] runs the
//! application's TwiML, [`content`] makes messages of templates. Media, feedback and opt-outs stand beside them.
//!
//! It deliberately knows no carrier, no other product and no account but the one
//! it works for.

mod answer;
mod application;
mod channel;
mod consent;
mod content;
mod create;
mod delivery_rate;
mod dispatch;
mod feedback;
mod guard;
mod inbound;
mod lifecycle;
mod limit;
mod links;
mod magic;
mod media;
mod message;
mod notice;
mod opt_out;
mod pace;
mod permission;
mod price;
mod quiet;
mod registration;
mod resource;
mod sandbox;
mod service;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use bus::Bus;
use clock::Clock;
use contracts::{
    AccountDirectory, ApplicationLink, ContentDirectory, MessageCarrier, NoticeSink,
    NumberDirectory, TrustDirectory,
};
use jobs::Runner;
use outbound::Client;
use rest::Router;
use store::{BlobStore, ByAccount, Sealer};
use webhooks::Webhooks;

pub use lifecycle::Status;
pub use limit::Caps;
pub use links::{Landing, PROBE_PATH, Visit};
pub use notice::NoticeSenders;
pub use pace::Rates;
pub use quiet::QuietHours;
pub use registration::{Grant, Standing};
pub use sandbox::{SANDBOX, Sandbox};

/// What the product stands on.
pub struct Parts {
    /// To reach the account a carrier's event or a job belongs to.
    pub store: ByAccount,
    pub clock: Clock,
    pub bus: Bus,
    pub blobs: BlobStore,
    pub numbers: Arc<dyn NumberDirectory>,
    pub accounts: Arc<dyn AccountDirectory>,
    pub content: Arc<dyn ContentDirectory>,
    /// The bundles that registrations build on.
    pub trust: Arc<dyn TrustDirectory>,
    pub webhooks: Arc<Webhooks>,
    /// Fetches the media of outbound messages.
    pub client: Arc<Client>,
    /// Where applications reach this platform's media: `http://127.0.0.1:4010`.
    pub public_url: String,
    /// Unknown senders are adopted.
    pub development: bool,
    pub rates: Rates,
    pub caps: Caps,
    /// Floods of one block of numbers are stopped (30450).
    pub guard_pumping: bool,
    /// Unregistered American senders are refused (30032, 30034 …).
    pub enforce_registration: bool,
    /// Seals the text of notices under way.
    pub sealer: Sealer,
    /// Who notices come from.
    pub notice_senders: NoticeSenders,
}

/// The product's state.
pub struct Messaging {
    parts: Parts,
    memory: Arc<service::Memory>,
    delivery_rates: delivery_rate::DeliveryRates,
    carrier: OnceLock<Arc<dyn MessageCarrier>>,
    applications: OnceLock<application::Applications>,
    notices: OnceLock<Arc<dyn NoticeSink>>,
}

impl Messaging {
    pub fn new(parts: Parts) -> Arc<Self> {
        let memory = service::Memory::new(&parts.bus);
        Arc::new(Self {
            parts,
            memory,
            delivery_rates: delivery_rate::DeliveryRates::default(),
            carrier: OnceLock::new(),
            applications: OnceLock::new(),
            notices: OnceLock::new(),
        })
    }

    /// Connects the carrier; once, before the runner starts.
    pub fn connect(&self, carrier: Arc<dyn MessageCarrier>) {
        assert!(self.carrier.set(carrier).is_ok(), "a carrier is connected once");
    }

    /// Connects applications that bind to a carrier; at most once, before the runner starts.
    /// `numbers` are those whose messages go to the application of that name.
    pub fn connect_applications(
        &self,
        link: Arc<dyn ApplicationLink>,
        numbers: HashMap<String, String>,
    ) {
        let connected = self.applications.set(application::Applications { link, numbers });
        assert!(connected.is_ok(), "applications are connected once");
    }

    /// Connects who is told what became of notices; at most once, before the runner starts.
    pub fn connect_notices(&self, sink: Arc<dyn NoticeSink>) {
        assert!(self.notices.set(sink).is_ok(), "who asks for notices is connected once");
    }

    fn carrier(&self) -> &Arc<dyn MessageCarrier> {
        self.carrier.get().expect("the binary connects the carrier before it starts")
    }

    /// Adds this product's resources.
    pub fn mount(self: &Arc<Self>, router: Router) -> Router {
        let router = router.mount(
            self,
            &[
                &resource::MESSAGE,
                &resource::LEGACY_MESSAGE,
                &media::MEDIA,
                &feedback::FEEDBACK,
                &channel::SENDER,
                &channel::TYPING,
                &channel::RCS_TYPING,
                &consent::CONSENT,
                &consent::CONTACT,
                &permission::GEO_PERMISSION,
                &permission::SAFE_LIST,
                &service::USECASE,
                &service::SERVICE,
                &service::PHONE_NUMBER,
                &service::SHORT_CODE,
                &service::ALPHA_SENDER,
                &service::DESTINATION_ALPHA_SENDER,
                &service::CHANNEL_SENDER,
            ],
        );
        registration::mount(self, links::mount(self, opt_out::mount(self, router)))
    }

    /// Adds this product's workers.
    pub fn work(self: &Arc<Self>, runner: Runner) -> Runner {
        let runner = runner
            .with(Arc::new(dispatch::Dispatcher(self.clone())))
            .with(Arc::new(answer::Answerer(self.clone())))
            .with(Arc::new(notice::Notifier(self.clone())))
            .with(Arc::new(application::Reporter(self.clone())));
        registration::work(self, links::work(self, runner))
    }
}
