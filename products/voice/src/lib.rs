//! Calls: placed, answered, run by documents, ended.
//!
//! The behaviour reads along the life of a call: [`create`] decides whether one is placed and takes
//! those that come in, [`act`] is where everything that happens to a call happens, one thing after
//! the other, [`lifecycle`] is its state machine, [`dial`], [`queue`] and [`conference`] are what
//! calls do with each other, [`recording`] is what is kept of them.
//!
//! What documents mean is `twiml::voice`; what is heard is the carrier's. The product deliberately
//! knows no sound: it says what is to be played, and puts legs that hear each other into one room.

mod act;
mod ask;
mod call;
mod call_recording;
mod conference;
mod create;
mod dial;
mod history;
mod lifecycle;
mod listen;
mod magic;
mod params;
mod participant;
mod price;
mod queue;
mod recording;
mod relay;
mod resource;
mod sip;
mod stream;
mod wav;

use std::sync::{Arc, OnceLock, Weak};

use clock::Clock;
use contracts::{
    AccountDirectory, Homes, MessageSubmission, NumberDirectory, Recogniser, SipDirectory, Speaker,
    VoiceCarrier,
};
use outbound::Client;
use rest::Router;
use store::{BlobStore, ByAccount, Sealer};
use webhooks::Webhooks;

pub use lifecycle::Status;

/// What the product stands on.
pub struct Parts {
    /// To reach the account a carrier's event or a job belongs to.
    pub store: ByAccount,
    pub clock: Clock,
    pub blobs: BlobStore,
    pub numbers: Arc<dyn NumberDirectory>,
    pub accounts: Arc<dyn AccountDirectory>,
    pub webhooks: Arc<Webhooks>,
    /// Fetches what is to be played.
    pub client: Arc<Client>,
    /// Sends the texts of documents.
    pub texts: Arc<dyn MessageSubmission>,
    /// Says what simulated handsets said, for recordings.
    pub speaker: Arc<dyn Speaker>,
    /// Understands recordings that are to be transcribed.
    pub recogniser: Arc<dyn Recogniser>,
    /// Domains and trunks.
    pub sip: Arc<dyn SipDirectory>,
    /// For passwords that rest with calls.
    pub sealer: Sealer,
    /// Which node has a leg with sound, or a session.
    pub homes: Arc<dyn Homes>,
    /// Where applications reach this platform's recordings: `http://127.0.0.1:4010`.
    pub public_url: String,
    /// Unknown callers are adopted.
    pub development: bool,
}

/// The product's state.
pub struct Voice {
    parts: Parts,
    carrier: OnceLock<Arc<dyn VoiceCarrier>>,
    sessions: relay::Sessions,
    /// Itself, for tasks that outlive a request.
    this: Weak<Self>,
}

impl Voice {
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            parts,
            carrier: OnceLock::new(),
            sessions: relay::Sessions::default(),
            this: this.clone(),
        })
    }

    /// Connects the carrier; once, before the runner starts.
    pub fn connect(&self, carrier: Arc<dyn VoiceCarrier>) {
        assert!(self.carrier.set(carrier).is_ok(), "a carrier is connected once");
    }

    fn carrier(&self) -> &Arc<dyn VoiceCarrier> {
        self.carrier.get().expect("the binary connects the carrier before it starts")
    }

    /// Adds this product's resources.
    pub fn mount(self: &Arc<Self>, router: Router) -> Router {
        router.mount(
            self,
            &[
                &resource::CALL,
                &history::EVENT,
                &history::CALL_NOTIFICATION,
                &history::NOTIFICATION,
                &call_recording::CALL_RECORDING,
                &recording::RECORDING,
                &stream::STREAM,
                &listen::LIVE_TRANSCRIPTION,
                &recording::TRANSCRIPTIONS,
                &recording::RECORDING_TRANSCRIPTION,
                &participant::CONFERENCE,
                &participant::PARTICIPANTS,
                &queue::QUEUES,
                &queue::MEMBERS,
            ],
        )
    }

    /// Adds this product's workers.
    pub fn work(self: &Arc<Self>, runner: jobs::Runner) -> jobs::Runner {
        runner
            .with(Arc::new(act::Postman(self.clone())))
            .with(Arc::new(act::Runner(self.clone())))
            .with(Arc::new(ask::Asker(self.clone())))
    }
}
