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
mod magic;
mod notice;
mod params;
mod participant;
mod price;
mod queue;
mod recording;
mod resource;
mod wav;

use std::sync::{Arc, OnceLock};

use clock::Clock;
use contracts::{
    AccountDirectory, MessageSubmission, NoticeSink, NumberDirectory, Speaker, VoiceCarrier,
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
    /// Where applications reach this platform's recordings: `http://127.0.0.1:4010`.
    pub public_url: String,
    /// Unknown callers are adopted.
    pub development: bool,
    pub sealer: Sealer,
    /// Who spoken notices come from where their asker does not say.
    pub notice_caller: Option<String>,
}

/// The product's state.
pub struct Voice {
    parts: Parts,
    carrier: OnceLock<Arc<dyn VoiceCarrier>>,
    notices: OnceLock<Arc<dyn NoticeSink>>,
}

impl Voice {
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self { parts, carrier: OnceLock::new(), notices: OnceLock::new() })
    }

    /// Connects the carrier; once, before the runner starts.
    pub fn connect(&self, carrier: Arc<dyn VoiceCarrier>) {
        assert!(self.carrier.set(carrier).is_ok(), "a carrier is connected once");
    }

    /// Connects who is told what became of spoken notices; at most once.
    pub fn connect_notices(&self, sink: Arc<dyn NoticeSink>) {
        assert!(self.notices.set(sink).is_ok(), "a sink of notices is connected once");
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
            .with(Arc::new(notice::Crier(self.clone())))
    }
}
