//! Media Streams: a leg's sound as JSON over a WebSocket, and back (media §1).

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use audio::dtmf::Key;
use audio::g711::Law;
use audio::{FRAME, Frame};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contracts::{LegEvent, StreamNews, StreamSetup, Tracks};
use kernel::Sid;
use outbound::{Client, Received, SocketFault, SocketReceiver, SocketSender};
use serde_json::{Map, Value as Json, json};
use tokio::sync::mpsc::{self, Sender, error::TrySendError};

use crate::report::Reporter;

/// Sound of the application that waits to be heard: 10 minutes.
const QUEUE_SAMPLES_MAX: usize = 600 * audio::RATE as usize;
/// Messages that wait for the application: 20 s of two tracks.
const OUTBOX_MAX: usize = 2_000;
/// Marks that wait to be echoed.
const MARKS_MAX: usize = 10_000;

/// Opens streams.
pub(crate) struct Streams {
    client: Arc<Client>,
    reporter: Reporter,
}

/// The leg's end of a stream.
pub(crate) struct Tap {
    pub stream: Sid,
    tracks: Tracks,
    outbox: Sender<Out>,
    /// What the application lets the leg hear; of bidirectional streams.
    queue: Option<Arc<Mutex<Queue>>>,
    /// 20 ms each, since the beginning.
    ticks: u64,
}

/// What goes to the application.
enum Out {
    Sound { track: &'static str, tick: u64, octets: [u8; FRAME] },
    Key(Key),
    Mark(String),
}

/// What the application sent to be heard, and the marks between.
#[derive(Default)]
struct Queue {
    samples: VecDeque<i16>,
    /// Marks with the number of samples that are to be heard before them.
    marks: VecDeque<(String, usize)>,
    reached: Vec<String>,
}

impl Streams {
    pub fn new(client: Arc<Client>, reporter: Reporter) -> Self {
        Self { client, reporter }
    }

    /// Begins a stream; its end comes with the tap's, or with the application's.
    pub fn open(
        &self,
        account: Sid,
        leg: Sid,
        setup: StreamSetup,
        runtime: &tokio::runtime::Handle,
    ) -> Tap {
        let (outbox, inbox) = mpsc::channel(OUTBOX_MAX);
        let queue = setup.is_bidirectional.then(Arc::default);
        let (stream, tracks) = (setup.stream, setup.tracks);
        let session = Session {
            client: self.client.clone(),
            reporter: self.reporter.clone(),
            account,
            leg,
            setup,
            queue: queue.clone(),
            sequence: 0,
            chunks: HashMap::new(),
            has_complained: [false; 2],
        };
        runtime.spawn(session.run(inbox));
        Tap { stream, tracks, outbox, queue, ticks: 0 }
    }
}

impl Tap {
    /// What the application lets the leg hear in this tick.
    pub fn say(&mut self) -> Option<Frame> {
        let mut queue = lock(self.queue.as_ref()?);
        let count = queue.samples.len().min(FRAME);
        let frame = (count > 0).then(|| {
            let mut frame = audio::SILENCE;
            for (place, sample) in frame.iter_mut().zip(queue.samples.drain(..count)) {
                *place = sample;
            }
            frame
        });
        for mark in &mut queue.marks {
            mark.1 = mark.1.saturating_sub(count);
        }
        while queue.marks.front().is_some_and(|(_, left)| *left == 0) {
            let mark = queue.marks.pop_front();
            queue.reached.extend(mark.map(|(name, _)| name));
        }
        let reached = std::mem::take(&mut queue.reached);
        drop(queue);
        for name in reached {
            self.send(Out::Mark(name));
        }
        frame
    }

    pub fn key(&mut self, key: Key) {
        if self.queue.is_some() {
            self.send(Out::Key(key));
        }
    }

    /// What was heard and said in this tick; false when the stream is over.
    pub fn put(&mut self, inbound: &Frame, outbound: &Frame) -> bool {
        let tick = self.ticks;
        self.ticks += 1;
        let encode = |frame: &Frame| frame.map(|sample| Law::Mu.encode(sample));
        let both = matches!(self.tracks, Tracks::Both | Tracks::Dual);
        if both || self.tracks == Tracks::Inbound {
            self.send(Out::Sound { track: "inbound", tick, octets: encode(inbound) });
        }
        if both || self.tracks == Tracks::Outbound {
            self.send(Out::Sound { track: "outbound", tick, octets: encode(outbound) });
        }
        !self.outbox.is_closed()
    }

    /// An application that does not read loses sound.
    fn send(&self, out: Out) {
        if let Err(TrySendError::Full(_)) = self.outbox.try_send(out) {
            tracing::debug!(stream = %self.stream, "the application does not keep up");
        }
    }
}

/// Why a stream ended.
enum Over {
    /// The tap is gone: the order to stop, or the leg's end.
    Here,
    /// The application closed it.
    There,
    Broken(SocketFault),
}

struct Session {
    client: Arc<Client>,
    reporter: Reporter,
    account: Sid,
    leg: Sid,
    setup: StreamSetup,
    queue: Option<Arc<Mutex<Queue>>>,
    /// Of everything after `connected`.
    sequence: u64,
    chunks: HashMap<&'static str, u64>,
    /// 31951 and 31931 are told once.
    has_complained: [bool; 2],
}

impl Session {
    async fn run(mut self, mut inbox: mpsc::Receiver<Out>) {
        let headers = [("X-Twilio-Signature".to_owned(), self.setup.signature.clone())];
        let opened = tokio::select! {
            opened = self.client.websocket(&self.setup.url, &headers) => opened,
            () = gone(&mut inbox) => return self.tell(StreamNews::Stopped),
        };
        let over = match opened {
            Err(fault) => Over::Broken(fault),
            Ok((sender, receiver)) => self.talk(sender, receiver, &mut inbox).await,
        };
        inbox.close();
        self.tell(match over {
            Over::Here | Over::There => StreamNews::Stopped,
            Over::Broken(SocketFault { code, message: why }) => {
                StreamNews::Failed { code, why, is_over: true }
            }
        });
    }

    fn tell(&self, news: StreamNews) {
        let stream = self.setup.stream;
        self.reporter.report(self.account, self.leg, LegEvent::Stream { stream, news });
    }

    async fn talk(
        &mut self,
        mut sender: SocketSender,
        mut receiver: SocketReceiver,
        inbox: &mut mpsc::Receiver<Out>,
    ) -> Over {
        let connected = json!({ "event": "connected", "protocol": "Call", "version": "1.0.0" });
        let start = self.start();
        for message in [connected, start] {
            if let Err(fault) = sender.send(message.to_string()).await {
                return Over::Broken(fault);
            }
        }
        self.tell(StreamNews::Started);
        loop {
            let sent = tokio::select! {
                out = inbox.recv() => match out {
                    None => {
                        let ids = json!({ "accountSid": self.account, "callSid": self.leg });
                        let stop = self.message("stop", [("stop", ids)]);
                        // It may be gone already, which is as well.
                        let _ = sender.send(stop.to_string()).await;
                        sender.close(1000, "").await;
                        return Over::Here;
                    }
                    Some(out) => {
                        let message = self.outgoing(out);
                        sender.send(message.to_string()).await
                    }
                },
                received = receiver.receive() => match received {
                    Ok(Received::Text(text)) => {
                        self.incoming(&text);
                        Ok(())
                    }
                    Ok(Received::Binary) => Err(SocketFault {
                        code: 31950,
                        message: "the application sent bytes; messages are text".to_owned(),
                    }),
                    Ok(Received::Closed(1000 | 1001 | 1005)) => return Over::There,
                    Ok(Received::Closed(code)) => Err(SocketFault {
                        code: 31921,
                        message: format!("the application closed with {code}"),
                    }),
                    Err(fault) => Err(fault),
                },
            };
            if let Err(fault) = sent {
                sender.close(1002, "").await;
                return Over::Broken(fault);
            }
        }
    }

    fn message<const N: usize>(&mut self, event: &str, parts: [(&str, Json); N]) -> Json {
        self.sequence += 1;
        let mut message = Map::new();
        message.insert("event".into(), event.into());
        message.insert("sequenceNumber".into(), self.sequence.to_string().into());
        for (name, value) in parts {
            message.insert(name.into(), value);
        }
        message.insert("streamSid".into(), self.setup.stream.to_string().into());
        Json::Object(message)
    }

    fn start(&mut self) -> Json {
        let tracks: &[&str] = match self.setup.tracks {
            Tracks::Inbound => &["inbound"],
            Tracks::Outbound => &["outbound"],
            Tracks::Both | Tracks::Dual => &["inbound", "outbound"],
        };
        let parameters: Map<String, Json> = self
            .setup
            .parameters
            .iter()
            .map(|(name, value)| (name.clone(), value.clone().into()))
            .collect();
        let start = json!({
            "accountSid": self.account,
            "streamSid": self.setup.stream,
            "callSid": self.leg,
            "tracks": tracks,
            "mediaFormat": { "encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1 },
            "customParameters": parameters,
        });
        self.message("start", [("start", start)])
    }

    fn outgoing(&mut self, out: Out) -> Json {
        match out {
            Out::Sound { track, tick, octets } => {
                let chunk = self.chunks.entry(track).or_default();
                *chunk += 1;
                let media = json!({
                    "track": track,
                    "chunk": chunk.to_string(),
                    "timestamp": (tick * 20).to_string(),
                    "payload": STANDARD.encode(octets),
                });
                self.message("media", [("media", media)])
            }
            Out::Key(key) => {
                let digit = key.as_char().to_string();
                let dtmf = json!({ "track": "inbound_track", "digit": digit });
                self.message("dtmf", [("dtmf", dtmf)])
            }
            Out::Mark(name) => self.message("mark", [("mark", json!({ "name": name }))]),
        }
    }

    fn incoming(&mut self, text: &str) {
        let Some(queue) = self.queue.clone() else { return };
        match read(text, self.setup.stream) {
            Ok(In::Sound(octets)) => {
                let mut samples = Vec::with_capacity(octets.len());
                Law::Mu.decode_to(&octets, &mut samples);
                let mut queue = lock(&queue);
                let room = QUEUE_SAMPLES_MAX - queue.samples.len().min(QUEUE_SAMPLES_MAX);
                let is_too_much = samples.len() > room;
                samples.truncate(room);
                queue.samples.extend(samples);
                drop(queue);
                if is_too_much {
                    self.complain(
                        1,
                        31931,
                        "more than ten minutes of sound wait; the rest is lost",
                    );
                }
            }
            Ok(In::Mark(name)) => {
                let mut queue = lock(&queue);
                let before = queue.samples.len();
                if queue.marks.len() < MARKS_MAX {
                    queue.marks.push_back((name, before));
                }
            }
            Ok(In::Clear) => {
                let mut queue = lock(&queue);
                queue.samples.clear();
                for mark in &mut queue.marks {
                    mark.1 = 0;
                }
            }
            Err(why) => self.complain(0, 31951, &why),
        }
    }

    fn complain(&mut self, at: usize, code: u32, why: &str) {
        if !std::mem::replace(&mut self.has_complained[at], true) {
            let why = why.to_owned();
            self.tell(StreamNews::Failed { code, why, is_over: false });
        }
    }
}

/// The tap is gone before the application was reached; what it said is dropped.
async fn gone(inbox: &mut mpsc::Receiver<Out>) {
    while inbox.recv().await.is_some() {}
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What an application may send.
#[derive(Debug, PartialEq, Eq)]
enum In {
    Sound(Vec<u8>),
    Mark(String),
    Clear,
}

/// Reads one message of the application; the error says what is wrong (31951).
fn read(text: &str, stream: Sid) -> Result<In, String> {
    let message: Json = serde_json::from_str(text).map_err(|_| "a message is not JSON")?;
    let event = message["event"].as_str().ok_or("a message has no event")?;
    if message["streamSid"].as_str() != Some(&stream.to_string()) {
        return Err(format!("'{event}' does not name this stream by its streamSid"));
    }
    match event {
        "media" => {
            let payload = message["media"]["payload"].as_str();
            let payload = payload.ok_or("'media' has no media.payload")?;
            let octets = STANDARD.decode(payload).map_err(|_| "media.payload is not base64")?;
            Ok(In::Sound(octets))
        }
        "mark" => {
            let name = message["mark"]["name"].as_str().ok_or("'mark' has no mark.name")?;
            Ok(In::Mark(name.to_owned()))
        }
        "clear" => Ok(In::Clear),
        other => Err(format!("'{other}' is no event of a stream")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_applications_are_checked() {
        let stream: Sid = "MZ00000000000000000000000000000001".parse().unwrap();
        let of = |event: &str, more: &str| {
            read(&format!(r#"{{"event":"{event}","streamSid":"{stream}"{more}}}"#), stream)
        };
        assert_eq!(of("media", r#","media":{"payload":"/38="}"#), Ok(In::Sound(vec![0xff, 0x7f])));
        assert_eq!(of("mark", r#","mark":{"name":"a"}"#), Ok(In::Mark("a".into())));
        assert_eq!(of("clear", ""), Ok(In::Clear));
        for wrong in [
            of("media", ""),
            of("media", r#","media":{"payload":"?"}"#),
            of("mark", ""),
            of("dance", ""),
            read("hello", stream),
            read(r#"{"event":"clear","streamSid":"MZ00000000000000000000000000000002"}"#, stream),
        ] {
            assert!(wrong.is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn marks_come_back_when_what_was_before_them_is_heard() {
        let (outbox, mut inbox) = mpsc::channel(100);
        let queue: Arc<Mutex<Queue>> = Arc::default();
        let stream = "MZ00000000000000000000000000000001".parse().unwrap();
        let queue_too = Some(queue.clone());
        let mut tap = Tap { stream, tracks: Tracks::Inbound, outbox, queue: queue_too, ticks: 0 };
        {
            let mut queue = lock(&queue);
            queue.marks.push_back(("at once".into(), 0));
            queue.samples.extend([1; 200]);
            queue.marks.push_back(("then".into(), 200));
        }
        let mut echoed = |tap: &mut Tap| {
            let heard = tap.say().is_some();
            let mut names = Vec::new();
            while let Ok(Out::Mark(name)) = inbox.try_recv() {
                names.push(name);
            }
            (heard, names)
        };
        assert_eq!(echoed(&mut tap), (true, vec!["at once".to_owned()]));
        assert_eq!(echoed(&mut tap), (true, vec!["then".to_owned()]));
        assert_eq!(echoed(&mut tap), (false, vec![]));
    }
}
