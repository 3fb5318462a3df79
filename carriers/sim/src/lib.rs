//! The simulated network: handsets and mailboxes that behave as told.
//!
//! A first-class carrier, not a mock: it keeps its handsets and their threads
//! durably, delivers late and only once, and fails in the ways real networks
//! fail. Every number is a handset that is on until it is told
//! otherwise. Delays and faults come from a seed.
//!
//! It deliberately knows no accounts, webhooks or products: it takes messages
//! through [`MessageCarrier`] and reports through [`contracts::MessageSink`].

mod away;
mod chance;
mod deliver;
mod handset;
mod leg;
mod line;
mod line_in;
mod mailbox;
mod sound;
mod subscriber;
mod tape;
mod voice;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use contracts::{
    BoxFuture, CarrierNotes, Homes, InboundMessage, InboundOutcome, MessageCarrier, MessageSink,
    NotesError, OutboundMessage, Receipt, ReceiptStatus, Submission, Unavailable, ValidationCalls,
    VoiceSink,
};
use jobs::{NewJob, Queue};
use media::Engine;
use sound::Sounds;

pub use away::TellOfRoom;
pub use deliver::DELIVER_QUEUE;
pub use handset::{Behaviour, Handset, ThreadEntry, WhenCalled};
pub use leg::{Heard, Leg, LegStatus, Sound};
pub use line_in::NoPage;
pub use mailbox::{Mail, MailBehaviour, MailFile, Mailbox, Mailboxes, Reaction};
pub use subscriber::Owner;
pub use voice::{HandsetCallError, LEG_QUEUE, Legs};

/// How the network as a whole behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Network {
    /// Where delays and faults come from: the same seed, the same story.
    pub seed: u64,
    /// Time between submission and the handset, in milliseconds.
    pub delay_ms: (u64, u64),
    /// Share of messages, 0 to 1, that the network loses with 30008.
    pub fault_rate: f64,
}

impl Default for Network {
    fn default() -> Self {
        Self { seed: 1, delay_ms: (40, 160), fault_rate: 0.0 }
    }
}

/// Messages that are marked as read at one look.
const READ_MAX: u32 = 1000;
/// How much later a slow handset gets its messages.
const SLOW: Duration = Duration::from_secs(30);

/// The carrier.
pub struct Sim {
    notes: Arc<dyn CarrierNotes>,
    queue: Queue,
    sink: OnceLock<Arc<dyn MessageSink>>,
    voice: OnceLock<Arc<dyn VoiceSink>>,
    sounds: OnceLock<Sounds>,
    /// Held while legs are read and written: what happens on them happens one after the other.
    legs: tokio::sync::Mutex<()>,
    network: Network,
    submissions: AtomicU64,
}

impl Sim {
    pub fn new(notes: Arc<dyn CarrierNotes>, queue: Queue, network: Network) -> Arc<Self> {
        let submissions = AtomicU64::new(0);
        let (sink, voice) = (OnceLock::new(), OnceLock::new());
        let sounds = OnceLock::new();
        let legs = tokio::sync::Mutex::default();
        Arc::new(Self { notes, queue, sink, voice, sounds, legs, network, submissions })
    }

    /// Connects the network to the platform; once, before anything is submitted.
    pub fn connect(&self, sink: Arc<dyn MessageSink>) {
        assert!(self.sink.set(sink).is_ok(), "the network is connected once");
    }

    /// Connects who is told what happens on calls; once, before the first call.
    pub fn connect_voice(&self, sink: Arc<dyn VoiceSink>) {
        assert!(self.voice.set(sink).is_ok(), "Voice is connected once");
    }

    /// Connects what makes sound, and where pages reach it; of a cluster, where a leg's sound is, and who
    /// tells the other nodes that a room has some. At most once.
    pub fn connect_sound(
        &self,
        engine: Arc<Engine>,
        addresses: Vec<IpAddr>,
        homes: Arc<dyn Homes>,
        tell: TellOfRoom,
    ) {
        let sounds = Sounds::new(engine, addresses, homes, tell);
        assert!(self.sounds.set(sounds).is_ok(), "sound is connected once");
    }

    fn sink(&self) -> &Arc<dyn MessageSink> {
        self.sink.get().expect("the binary connects the network before it starts")
    }

    /// The handset of a number: as it was set, or one that is on.
    pub async fn handset(&self, number: &str) -> Result<Handset, NotesError> {
        handset::load(&*self.notes, number).await
    }

    /// Handsets that were set or have a thread, by number, greatest first.
    pub async fn handsets(&self, limit: u32) -> Result<Vec<Handset>, NotesError> {
        handset::list(&*self.notes, limit).await
    }

    /// Keeps what a handset is told to be.
    pub async fn set_handset(&self, handset: &Handset) -> Result<(), NotesError> {
        handset::save(&*self.notes, handset).await
    }

    /// What a handset shows, newest first.
    pub async fn thread(&self, number: &str, limit: u32) -> Result<Vec<ThreadEntry>, NotesError> {
        handset::thread(&*self.notes, number, limit).await
    }

    /// The owner of a handset looks at it: what came by a channel with read receipts is read.
    /// How many messages were.
    pub async fn read(&self, number: &str) -> Result<usize, Unavailable> {
        let failed = |error: NotesError| Unavailable(error.to_string());
        let mut count = 0;
        for mut entry in self.thread(number, READ_MAX).await.map_err(failed)? {
            let (Some(account), Ok(sid)) = (entry.account, entry.sid.parse()) else { continue };
            if entry.outgoing || entry.read || !entry.peer.contains(':') {
                continue;
            }
            let done_at = self.queue.clock().now();
            let receipt = Receipt { account, sid, status: ReceiptStatus::Read, done_at };
            self.sink().receipt(&receipt).await?;
            entry.read = true;
            handset::remember(&*self.notes, number, sid, &entry).await.map_err(failed)?;
            count += 1;
        }
        Ok(count)
    }

    /// Somebody types on a handset; whose it is, and what it is called, is added.
    pub async fn send_from(
        &self,
        from: &str,
        mut message: InboundMessage,
    ) -> Result<InboundOutcome, Unavailable> {
        // A handset writes to an address on the channel of that address.
        message.from = match message.to.split_once(':') {
            Some((channel, _)) => format!("{channel}:{from}"),
            None => from.to_owned(),
        };
        let handset = handset::load(&*self.notes, from).await;
        let name = handset.map_err(|error| Unavailable(error.to_string()))?.name;
        message.profile_name = Some(name).filter(|name| !name.is_empty());
        let media = message.media.iter().map(|item| item.content_type.clone()).collect();
        let outcome = self.sink().inbound(&message).await?;
        let (sid, account) = match &outcome {
            InboundOutcome::Received { sid, account } => (*sid, Some(*account)),
            InboundOutcome::NoSuchNumber => (self.queue.clock().sid("SM"), None),
        };
        let entry = ThreadEntry {
            sid: sid.to_string(),
            outgoing: true,
            peer: message.to,
            body: message.body,
            media,
            at: self.queue.clock().now(),
            failed: matches!(outcome, InboundOutcome::NoSuchNumber),
            rich: None,
            account,
            read: false,
        };
        let kept = handset::remember(&*self.notes, from, sid, &entry).await;
        kept.map_err(|error| Unavailable(error.to_string()))?;
        Ok(outcome)
    }
}

impl MessageCarrier for Sim {
    fn submit<'a>(&'a self, message: &'a OutboundMessage) -> BoxFuture<'a, Submission> {
        Box::pin(async move {
            let handset = match self.handset(handset::number_of(&message.to)).await {
                Ok(handset) => handset,
                Err(error) => return Submission::Busy(Unavailable(error.to_string())),
            };
            let turn = self.submissions.fetch_add(1, Ordering::Relaxed);
            let mut delay = chance::delay(&self.network, turn);
            if handset.behaviour == Behaviour::Slow {
                delay += SLOW;
            }
            let fault = chance::happens(&self.network, turn);
            let delivery = deliver::Delivery::of(message, fault);
            // Named by the message: a second submission of it is the same promise.
            let job = NewJob::now(DELIVER_QUEUE, self.queue.clock(), &delivery)
                .named(format!("sim-{}", message.sid))
                .after(delay);
            match self.queue.add(message.account, job).await {
                Ok(()) => Submission::Accepted,
                Err(error) => Submission::Busy(Unavailable(error.0)),
            }
        })
    }
}

impl ValidationCalls for Sim {
    /// A handset that is on picks up, and its owner keys in the code.
    fn place<'a>(
        &'a self,
        number: &'a str,
        code: &'a str,
    ) -> BoxFuture<'a, Result<bool, Unavailable>> {
        Box::pin(async move {
            let unavailable = |error: NotesError| Unavailable(error.to_string());
            let handset = self.handset(number).await.map_err(unavailable)?;
            let answers = handset.behaviour.picks_up();
            if answers {
                let sid = self.queue.clock().sid("CA");
                let entry = ThreadEntry {
                    sid: sid.to_string(),
                    outgoing: false,
                    peer: "validation call".to_owned(),
                    body: format!("Call: \u{201c}enter {code}\u{201d}; the code was keyed in"),
                    media: Vec::new(),
                    at: self.queue.clock().now(),
                    failed: false,
                    rich: None,
                    account: None,
                    read: false,
                };
                handset::remember(&*self.notes, number, sid, &entry).await.map_err(unavailable)?;
            }
            Ok(answers)
        })
    }
}
