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
mod add_on;
mod along;
mod archive;
mod ask;
mod beside;
mod call;
mod call_recording;
mod conference;
mod conference_recording;
mod create;
mod deliver;
mod detect;
mod dial;
mod history;
mod insights;
mod letter;
mod lifecycle;
mod listen;
mod magic;
mod notice;
mod params;
mod participant;
mod pay;
mod price;
mod queue;
mod recording;
mod recording_change;
mod relay;
mod resource;
mod sip;
mod siprec;
mod speaker;
mod stream;
mod transfer;
mod user_message;

use std::sync::{Arc, OnceLock, Weak};

use clock::Clock;
use contracts::{
    AccountDirectory, DialingPermissions, Homes, MessageSubmission, NoticeSink, NumberDirectory,
    Recogniser, SipDirectory, SoundFiles, Speaker, VoiceCarrier,
};
use outbound::Client;
use rest::Router;
use store::{BlobStore, ByAccount, Sealer};
use webhooks::Webhooks;

pub use lifecycle::Status;
pub use pay::{PayConnector, PayConnectorKind};
pub use relay::VirtualAgent;

/// What the product stands on.
pub struct Parts {
    /// To reach the account a carrier's event or a job belongs to.
    pub store: ByAccount,
    pub clock: Clock,
    pub blobs: BlobStore,
    pub numbers: Arc<dyn NumberDirectory>,
    pub accounts: Arc<dyn AccountDirectory>,
    /// Where an account may call.
    pub permissions: Arc<dyn DialingPermissions>,
    pub webhooks: Arc<Webhooks>,
    /// Fetches what is to be played.
    pub client: Arc<Client>,
    /// Sends the texts of documents.
    pub texts: Arc<dyn MessageSubmission>,
    /// Says what simulated handsets said, for recordings.
    pub speaker: Arc<dyn Speaker>,
    /// Makes MP3 of recordings.
    pub files: Arc<dyn SoundFiles>,
    /// Understands recordings that are to be transcribed.
    pub recogniser: Arc<dyn Recogniser>,
    /// Domains and trunks.
    pub sip: Arc<dyn SipDirectory>,
    /// Recorders that `<Siprec>` may name.
    pub siprec_connectors: Vec<String>,
    /// For passwords and keys that rest with calls.
    pub sealer: Sealer,
    /// Who is asked for payments.
    pub connectors: Vec<PayConnector>,
    /// Who answers to `VirtualAgent`.
    pub agents: Vec<VirtualAgent>,
    /// Which node has a leg with sound, or a session.
    pub homes: Arc<dyn Homes>,
    /// Where applications reach this platform's recordings: `http://127.0.0.1:4010`.
    pub public_url: String,
    /// Unknown callers are adopted.
    pub development: bool,
    /// Who spoken notices come from where their asker does not say.
    pub notice_caller: Option<String>,
}

/// The product's state.
pub struct Voice {
    parts: Parts,
    carrier: OnceLock<Arc<dyn VoiceCarrier>>,
    sessions: relay::Sessions,
    streams: beside::Streams,
    /// Itself, for tasks that outlive a request.
    this: Weak<Self>,
    notices: OnceLock<Arc<dyn NoticeSink>>,
}

impl Voice {
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            parts,
            carrier: OnceLock::new(),
            notices: OnceLock::new(),
            sessions: relay::Sessions::default(),
            streams: beside::Streams::default(),
            this: this.clone(),
        })
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
                &conference_recording::CONFERENCE_RECORDING,
                &user_message::MESSAGE,
                &user_message::SUBSCRIPTION,
                &pay::PAYMENT,
                &siprec::SIPREC,
                &recording::RECORDING,
                &stream::STREAM,
                &listen::LIVE_TRANSCRIPTION,
                &recording::TRANSCRIPTIONS,
                &recording::RECORDING_TRANSCRIPTION,
                &add_on::RESULT,
                &add_on::PAYLOAD,
                &add_on::DATA,
                &archive::ARCHIVED_CALL,
                &participant::CONFERENCE,
                &participant::PARTICIPANTS,
                &insights::SETTINGS,
                &insights::SUMMARIES,
                &insights::SUMMARY,
                &insights::CALL,
                &insights::EVENTS,
                &insights::METRICS,
                &insights::ANNOTATION,
                &insights::CONFERENCES,
                &insights::PARTICIPANTS,
                &queue::QUEUES,
                &queue::MEMBERS,
            ],
        )
    }

    /// Adds this product's workers.
    pub fn work(self: &Arc<Self>, runner: jobs::Runner) -> jobs::Runner {
        runner
            .with(Arc::new(deliver::Postman(self.clone())))
            .with(Arc::new(deliver::Runner(self.clone())))
            .with(Arc::new(ask::Asker(self.clone())))
            .with(Arc::new(notice::Crier(self.clone())))
    }
}
