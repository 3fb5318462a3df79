//! What is said on a call, for documents that listen and for transcriptions that run along
//! (voice-api §4.10, §12).

use contracts::{Listening, Order};
use jobs::Failure;
use kernel::{ApiError, Sid};
use rest::{Access, Ctx, Op, Param, Reply, Resource, Table};
use serde::{Deserialize, Serialize};
use serde_json::json;
use twiml::voice::{Element, Params};
use webhooks::Callback;

use crate::act::Act;
use crate::call::{Call, Hook};
use crate::conference::method;
use crate::letter::What;
use crate::{Voice, along};

const KIND: &str = "LiveTranscription";
const TRACKS: &[&str] = &["inbound_track", "outbound_track", "both_tracks"];
const ENGINES: [&str; 2] = ["google", "deepgram"];

/// Who listens to a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ears {
    /// The document's own: a Gather, a Record, a relay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<twiml::voice::Listening>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transcriptions: Vec<Transcribing>,
    /// A conference that tells who speaks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub speaker: bool,
}

/// A transcription that runs along with a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transcribing {
    pub sid: Sid,
    pub name: String,
    track: String,
    engine: String,
    language: String,
    hints: Vec<String>,
    partial: bool,
    callback: Option<Hook>,
    /// Of callbacks.
    sequence: u32,
}

impl Act<'_> {
    /// Says whether the leg is to be listened to, and how.
    pub fn listen(&mut self) {
        let of_document = self.live.ears.document.as_ref().map(|how| Listening {
            words: how.words,
            language: how.language.clone(),
            hints: how.hints.clone(),
        });
        let of_transcription = self.live.ears.transcriptions.first().map(|running| Listening {
            words: true,
            language: running.language.clone(),
            hints: running.hints.clone(),
        });
        let how = match (of_document, of_transcription) {
            (Some(how), other) => Some(Listening { words: how.words || other.is_some(), ..how }),
            (None, None) if self.live.ears.speaker => {
                Some(Listening { words: false, language: "en-US".to_owned(), hints: Vec::new() })
            }
            (None, other) => other,
        };
        self.order(Order::Listen(how));
    }

    /// A `Transcription` of a document.
    pub fn start_transcription(&mut self, noun: &Element) {
        let sid = self.voice.parts.clock.sid("GT");
        let text = |name: &str| noun.get(name).map(str::to_owned);
        let plan = Transcribing {
            sid,
            name: text("name").unwrap_or_else(|| sid.to_string()),
            track: text("track").unwrap_or_else(|| "both_tracks".to_owned()),
            engine: text("transcriptionEngine").unwrap_or_else(|| "google".to_owned()),
            language: text("languageCode").unwrap_or_else(|| "en-US".to_owned()),
            hints: hints_of(noun.get("hints")),
            partial: noun.flag("partialResults", false),
            callback: noun.get("statusCallbackUrl").map(|url| Hook {
                url: url.to_owned(),
                method: noun.method("statusCallbackMethod"),
                events: Vec::new(),
            }),
            sequence: 0,
        };
        let (call, at) = (self.call.sid, self.at);
        along::write(&mut self.batch, KIND, call, (sid, &plan.name), at);
        self.transcribe_along(plan);
    }

    pub fn transcribe_along(&mut self, mut plan: Transcribing) {
        if !ENGINES.contains(&plan.engine.as_str()) {
            let why =
                format!("transcriptionEngine '{}' is neither google nor deepgram", plan.engine);
            self.alert(32650, &why);
            let params = vec![
                ("TranscriptionErrorCode".to_owned(), "32650".to_owned()),
                ("TranscriptionError".to_owned(), why),
            ];
            return self.tell_transcription(&mut plan, "transcription-error", params);
        }
        let params = vec![
            ("TranscriptionEngine".to_owned(), plan.engine.clone()),
            ("ProviderConfiguration".to_owned(), "{}".to_owned()),
            ("LanguageCode".to_owned(), plan.language.clone()),
            ("PartialResults".to_owned(), plan.partial.to_string()),
            ("Track".to_owned(), plan.track.clone()),
        ];
        self.tell_transcription(&mut plan, "transcription-started", params);
        self.live.ears.transcriptions.push(plan);
        self.listen();
    }

    /// Ends those that are `wanted`.
    pub async fn stop_transcriptions(
        &mut self,
        wanted: impl Fn(&Transcribing) -> bool,
    ) -> Result<(), Failure> {
        let running = std::mem::take(&mut self.live.ears.transcriptions);
        let (ended, left): (Vec<_>, Vec<_>) = running.into_iter().partition(wanted);
        self.live.ears.transcriptions = left;
        let now = self.voice.parts.clock.now();
        for mut plan in ended {
            along::mark_stopped(self.store, &mut self.batch, KIND, plan.sid, now).await?;
            self.tell_transcription(&mut plan, "transcription-stopped", Params::new());
        }
        if !self.is_over() {
            self.listen();
        }
        Ok(())
    }

    /// Words on one side of the call.
    ///
    /// Differs: what the other party of a Dial says is on the inbound track of its own call alone, and
    /// there are no partial results.
    pub fn transcribe_live(&mut self, track: &str, words: &str) {
        if words.is_empty() || self.live.ears.transcriptions.is_empty() {
            return;
        }
        let mut running = std::mem::take(&mut self.live.ears.transcriptions);
        for plan in &mut running {
            if plan.track != "both_tracks" && plan.track != track {
                continue;
            }
            let data = json!({ "transcript": words, "confidence": 1.0 });
            let params = vec![
                ("TranscriptionData".to_owned(), data.to_string()),
                ("Final".to_owned(), "true".to_owned()),
                ("Track".to_owned(), track.to_owned()),
                ("LanguageCode".to_owned(), plan.language.clone()),
            ];
            self.tell_transcription(plan, "transcription-content", params);
        }
        self.live.ears.transcriptions = running;
    }

    fn tell_transcription(&mut self, plan: &mut Transcribing, event: &str, more: Params) {
        plan.sequence += 1;
        let Some(hook) = plan.callback.clone() else { return };
        let mut params: Params = vec![
            ("AccountSid".to_owned(), self.store.account().to_string()),
            ("CallSid".to_owned(), self.call.sid.to_string()),
            ("TranscriptionSid".to_owned(), plan.sid.to_string()),
            ("TranscriptionEvent".to_owned(), event.to_owned()),
        ];
        params.extend(more);
        params.push(("SequenceId".to_owned(), plan.sequence.to_string()));
        params.push(("Timestamp".to_owned(), self.at.iso8601()));
        let callback = Callback {
            url: hook.url,
            method: hook.method.as_str().to_owned(),
            params,
            resource: plan.sid.to_string(),
        };
        webhooks::promise(&mut self.batch, &self.voice.parts.clock, callback);
    }
}

pub static LIVE_TRANSCRIPTION: Resource<Voice> = Resource {
    table: Table::v2010(
        "RealtimeTranscription",
        "/2010-04-01/Accounts/{AccountSid}/Calls/{CallSid}/Transcriptions",
        "/2010-04-01/Accounts/{AccountSid}/Calls/{CallSid}/Transcriptions/{Sid}",
    )
    .key("transcriptions")
    .sid("GT")
    .fields(&const { along::fields(&["GT"]) })
    .access(Access::Keys("voice/calls")),
    ops: &[
        Op::create(&[
            Param::text("Name", 255),
            Param::one_of("Track", TRACKS),
            Param::url("StatusCallbackUrl").code(21205),
            Param::method("StatusCallbackMethod").code(21209),
            Param::text("InboundTrackLabel", 255),
            Param::text("OutboundTrackLabel", 255),
            Param::boolean("PartialResults"),
            Param::text("LanguageCode", 32),
            Param::text("TranscriptionEngine", 64),
            Param::boolean("ProfanityFilter"),
            Param::text("SpeechModel", 64),
            Param::text("Hints", 50_000),
            Param::boolean("EnableAutomaticPunctuation"),
            Param::text("IntelligenceService", 64),
            Param::text("ConversationConfiguration", 255),
            Param::text("ConversationId", 255),
            Param::boolean("EnableProviderData"),
        ])
        .status(200)
        .by(|voice, ctx| Box::pin(create(voice, ctx))),
        Op::update(along::STOP).by(|voice, ctx| Box::pin(update(voice, ctx))),
    ],
};

/// Begins to transcribe a running call.
async fn create(voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    let call = along::running_call(ctx).await?.sid;
    let form = &ctx.form;
    let sid = ctx.clock.sid("GT");
    let text = |name: &str, default: &str| form.text(name).unwrap_or(default).to_owned();
    let name = form.text("Name").map_or_else(|| sid.to_string(), str::to_owned);
    let plan = Transcribing {
        sid,
        name: name.clone(),
        track: text("Track", "both_tracks"),
        engine: text("TranscriptionEngine", "google"),
        language: text("LanguageCode", "en-US"),
        hints: hints_of(form.text("Hints")),
        partial: form.boolean("PartialResults").unwrap_or(false),
        callback: form.text("StatusCallbackUrl").map(|url| Hook {
            url: url.to_owned(),
            method: method(form.text("StatusCallbackMethod")),
            events: Vec::new(),
        }),
        sequence: 0,
    };
    let what = What::StartTranscription(Box::new(plan));
    along::begin(voice, ctx, KIND, (call, sid, &name), what).await
}

/// Stops a transcription by its SID or name.
async fn update(voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    let named = |call: &Call, name: &str| {
        let running = &call.live.as_ref()?.ears.transcriptions;
        running.iter().find(|plan| plan.name == name).map(|plan| plan.sid)
    };
    along::stop(voice, ctx, KIND, named, |sid| What::StopTranscription { sid }).await
}

/// A list that is written with commas.
fn hints_of(text: Option<&str>) -> Vec<String> {
    let words = text.unwrap_or_default().split(',').map(str::trim);
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
