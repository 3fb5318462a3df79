//! Recordings: begun by verbs, the API or a call's own wish; made when they end (voice-api §10).

use contracts::{Listening, Order, Tracks, Utterance};
use jobs::Failure;
use kernel::{ApiError, Sid, SidGenerator, Timestamp};
use rest::{Access, Ctx, Doc, Field, Op, Param, Reply, Resource, Table, Wire};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use store::{AccountBatch, AccountStore, StoreError};
use twiml::Method;
use twiml::voice::{Element, Input, Params, RecordPlan};
use webhooks::Callback;

use crate::Voice;
use crate::act::Act;
use crate::ask::Ask;
use crate::call::{Call, Hook};

pub(crate) const KIND: &str = "Recording";
const TRANSCRIPTION: &str = "Transcription";
/// Samples of a recording that is made here: above four hours.
const SAMPLES_MAX: usize = 128 << 20;

/// What is recorded, and who is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordSetup {
    /// As the wire names it: `RecordVerb`, `OutboundAPI` …
    pub source: String,
    pub dual: bool,
    pub track: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<Hook>,
    /// Who is told the words; the words are wanted when it is there, or `transcribe`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcribe_callback: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub transcribe: bool,
    /// What is recorded, where it is not a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conference: Option<Sid>,
}

impl RecordSetup {
    /// What of the leg is recorded: of the verb what the caller says, else as the track says.
    fn tracks(&self) -> Tracks {
        match (self.source.as_str(), self.track.as_str(), self.dual) {
            ("RecordVerb", _, _) | (_, "inbound", false) => Tracks::Inbound,
            (_, "outbound", false) => Tracks::Outbound,
            (_, _, true) => Tracks::Dual,
            _ => Tracks::Both,
        }
    }

    pub fn of_verb(verb: &Element, source: &str, dual: bool) -> Self {
        let callback = verb.get("recordingStatusCallback").map(|url| Hook {
            url: url.to_owned(),
            method: verb.method("recordingStatusCallbackMethod"),
            events: verb
                .words("recordingStatusCallbackEvent")
                .into_iter()
                .map(String::from)
                .collect(),
        });
        Self {
            source: source.to_owned(),
            dual,
            track: verb.get("recordingTrack").or(verb.get("track")).unwrap_or("both").to_owned(),
            callback,
            transcribe_callback: None,
            transcribe: false,
            conference: None,
        }
    }
}

fn setup_of(doc: &Doc) -> Option<RecordSetup> {
    serde_json::from_value(doc.fields.get("setup")?.clone()).ok()
}

/// A recording that runs on a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Running {
    pub sid: Sid,
    pub setup: RecordSetup,
    pub since: Timestamp,
}

impl Act<'_> {
    pub fn record_verb(&mut self, plan: &RecordPlan) {
        let mut setup = RecordSetup::of_verb(&plan.verb, "RecordVerb", false);
        setup.transcribe = plan.transcribe;
        setup.transcribe_callback = plan.verb.get("transcribeCallback").map(str::to_owned);
        self.live.awaits = Some(self.start_recording(setup));
    }

    pub fn record_noun(&mut self, noun: &Element) {
        let dual = noun.get("channels") != Some("mono");
        let setup = RecordSetup::of_verb(noun, "StartCallRecordingTwiML", dual);
        self.start_recording(setup);
    }

    pub fn start_recording(&mut self, setup: RecordSetup) -> Sid {
        let sid = self.voice.parts.clock.sid("RE");
        start(&mut self.batch, self.voice, &self.call, sid, &setup, self.at);
        self.follow_recording(sid, setup);
        sid
    }

    /// A recording that is written down begins.
    pub fn follow_recording(&mut self, sid: Sid, setup: RecordSetup) {
        self.order(match setup.conference {
            Some(_) => Order::RecordRoom { recording: sid },
            None => Order::Record { recording: sid, tracks: setup.tracks() },
        });
        if setup
            .callback
            .as_ref()
            .is_some_and(|hook| hook.events.iter().any(|e| e == "in-progress"))
        {
            let facts = Facts { sid, setup: &setup, call: Some(self.call.sid), since: self.at };
            tell(self.voice, &mut self.batch, &facts, "in-progress", 0, None);
        }
        self.live.recordings.push(Running { sid, setup, since: self.at });
    }

    pub fn pause_recording(&mut self, recording: Sid, skip: bool) {
        if self.tell_of_running(recording, "paused") {
            self.order(Order::PauseRecording { recording, skip });
        }
    }

    pub fn resume_recording(&mut self, recording: Sid) {
        if self.tell_of_running(recording, "resumed") {
            self.order(Order::ResumeRecording { recording });
        }
    }

    /// Whoever asked for it is told what became of a recording; false when it does not run.
    fn tell_of_running(&mut self, sid: Sid, status: &str) -> bool {
        let Some(running) = self.live.recordings.iter().find(|known| known.sid == sid) else {
            return false;
        };
        let Running { setup, since, .. } = running.clone();
        let facts = Facts { sid, setup: &setup, call: Some(self.call.sid), since };
        let so_far = u64::try_from(self.at.since(since).as_millis()).unwrap_or(u64::MAX);
        tell(self.voice, &mut self.batch, &facts, status, seconds(so_far), None);
        true
    }

    pub fn stop_recordings(&mut self, source: &str) {
        let sids: Vec<Sid> = self
            .live
            .recordings
            .iter()
            .filter(|running| running.setup.source == source)
            .map(|running| running.sid)
            .collect();
        for recording in sids {
            self.order(Order::StopRecording { recording });
        }
    }

    /// Ends the recording of a Dial; what its action is told.
    pub fn stop_dial_recording(&mut self) -> Params {
        let found = self.live.recordings.iter().find(|known| known.setup.source == "DialVerb");
        let Some(sid) = found.map(|running| running.sid) else { return Params::new() };
        self.order(Order::StopRecording { recording: sid });
        let url = url(self.voice, self.store.account(), sid);
        vec![("RecordingUrl".to_owned(), url), ("RecordingSid".to_owned(), sid.to_string())]
    }

    /// A recording has ended.
    pub async fn recorded(
        &mut self,
        sid: Sid,
        millis: u64,
        spoken: &str,
        sound: Option<String>,
    ) -> Result<(), Failure> {
        let Some(at) = self.live.recordings.iter().position(|known| known.sid == sid) else {
            return Ok(());
        };
        let Running { setup, .. } = self.live.recordings.remove(at);
        let Some(doc) = rest::load(self.store, KIND, "", &sid.to_string()).await? else {
            return Ok(());
        };
        let is_verb = setup.source == "RecordVerb";
        let is_awaited = is_verb && self.live.awaits == Some(sid);
        // Of silence there is no recording.
        let is_absent = is_verb && spoken.is_empty() && sound.is_none();
        let mut fields = doc.fields.clone();
        fields.insert("status".into(), if is_absent { "absent" } else { "processing" }.into());
        fields.insert("millis".into(), millis.into());
        fields.insert("duration".into(), seconds(millis).to_string().into());
        fields.insert("spoken".into(), spoken.into());
        fields.insert("blob".into(), sound.into());
        if is_absent {
            fields.insert("error_code".into(), 16102.into());
            fields.insert("duration".into(), "-1".into());
        }
        let now = self.voice.parts.clock.now();
        rest::revise(&mut self.batch, KIND, "", &doc, &fields, now);
        if is_absent {
            let facts = Facts { sid, setup: &setup, call: Some(self.call.sid), since: self.at };
            tell(self.voice, &mut self.batch, &facts, "absent", -1, Some(16102));
        } else {
            self.ask(Ask::Recording { sid });
        }
        if is_awaited {
            self.live.awaits = None;
            let params = (!is_absent).then(|| {
                vec![
                    ("RecordingUrl".to_owned(), url(self.voice, self.store.account(), sid)),
                    ("RecordingSid".to_owned(), sid.to_string()),
                    ("RecordingDuration".to_owned(), seconds(millis).to_string()),
                ]
            });
            self.tell(Input::Recorded(params));
        }
        Ok(())
    }
}

/// The recordings of a call that run or are paused, also those that have only just been asked for.
pub(crate) async fn running(store: &AccountStore, call: &Call) -> Result<Vec<Sid>, StoreError> {
    // Recordings are younger than their call, and SIDs tell how young.
    let oldest = format!("RE{:032x}", SidGenerator::lower_bound(call.created));
    let sql = "SELECT sid, body FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = ''
               AND sid >= $3 AND body LIKE $4 ORDER BY sid";
    let params = vec![KIND.into(), oldest.into(), format!("%{}%", call.sid).into()];
    let rows = store.query(sql, params).await?;
    let runs = |body: &str| {
        let body: Json = serde_json::from_str(body).unwrap_or_default();
        body["call_sid"] == call.sid.to_string()
            && matches!(body["status"].as_str(), Some("in-progress" | "paused"))
    };
    Ok(rows.iter().filter(|row| runs(row.text(1))).map(|row| row.sid(0)).collect())
}

fn seconds(millis: u64) -> i64 {
    i64::try_from(millis.div_ceil(1000)).unwrap_or(i64::MAX)
}

/// Where a recording's sound is.
pub(crate) fn url(voice: &Voice, account: Sid, sid: Sid) -> String {
    let base = &voice.parts.public_url;
    format!("{base}/2010-04-01/Accounts/{account}/Recordings/{sid}")
}

/// Adds the document of a recording that begins.
pub(crate) fn start(
    batch: &mut AccountBatch,
    voice: &Voice,
    call: &Call,
    sid: Sid,
    setup: &RecordSetup,
    at: Timestamp,
) {
    let fields = json!({
        "call_sid": setup.conference.is_none().then_some(call.sid),
        "conference_sid": setup.conference,
        "status": "in-progress",
        "source": if setup.source == "StartCallRecordingTwiML" {
            "StartCallRecordingAPI"
        } else {
            setup.source.as_str()
        },
        "channels": if setup.dual { 2 } else { 1 },
        "track": setup.track,
        "start_time": at.rfc2822(),
        "began": at.as_micros(),
        "media_url": url(voice, batch.account(), sid),
        "setup": setup,
    });
    let Json::Object(fields) = fields else { return };
    rest::insert(batch, KIND, "", &sid.to_string(), &fields, at);
}

/// What the recording callback tells.
struct Facts<'a> {
    sid: Sid,
    setup: &'a RecordSetup,
    call: Option<Sid>,
    since: Timestamp,
}

fn tell(
    voice: &Voice,
    batch: &mut AccountBatch,
    facts: &Facts<'_>,
    status: &str,
    seconds: i64,
    error: Option<u32>,
) {
    let Some(hook) = &facts.setup.callback else { return };
    let is_wanted = match hook.events.is_empty() {
        true => status == "completed",
        false => hook.events.iter().any(|event| event == status),
    };
    if !is_wanted {
        return;
    }
    let mut params = Params::new();
    let mut add = |name: &str, value: String| params.push((name.to_owned(), value));
    add("AccountSid", batch.account().to_string());
    add("RecordingSid", facts.sid.to_string());
    add("RecordingUrl", url(voice, batch.account(), facts.sid));
    add("RecordingStatus", status.to_owned());
    match (facts.setup.conference, facts.call) {
        (Some(conference), _) => add("ConferenceSid", conference.to_string()),
        (None, Some(call)) => add("CallSid", call.to_string()),
        (None, None) => {}
    }
    add("RecordingDuration", seconds.to_string());
    add("RecordingChannels", if facts.setup.dual { "2" } else { "1" }.to_owned());
    add("RecordingTrack", facts.setup.track.clone());
    add("RecordingStartTime", facts.since.rfc2822());
    add("RecordingSource", facts.setup.source.clone());
    add("ErrorCode", error.unwrap_or(0).to_string());
    let callback = Callback {
        url: hook.url.clone(),
        method: hook.method.as_str().to_owned(),
        params,
        resource: facts.sid.to_string(),
    };
    webhooks::promise(batch, &voice.parts.clock, callback);
}

impl Voice {
    /// Makes the sound of a recording: what was said, spoken by the machine's own voice if it has
    /// one, and silence for the rest.
    ///
    /// Differs: a simulated handset has no sound of its own, unless a page listens to its call or a party
    /// with sound is in it. What was said on it is spoken by `espeak-ng` where that is installed, from
    /// the beginning of the recording; else the recording is silence of the right length.
    pub(crate) async fn make_recording(
        &self,
        store: &AccountStore,
        sid: Sid,
        batch: &mut AccountBatch,
    ) -> Result<(), Failure> {
        let Some(doc) = rest::load(store, KIND, "", &sid.to_string()).await? else {
            return Ok(());
        };
        if doc.text("status") != Some("processing") {
            return Ok(());
        }
        let millis = doc.fields.get("millis").and_then(Json::as_u64).unwrap_or(0);
        let spoken = doc.text("spoken").unwrap_or_default().to_owned();
        let blob = match doc.text("blob") {
            Some(kept) => kept.to_owned(),
            None => {
                let utterance = Utterance { text: spoken.clone(), ..Utterance::default() };
                let sound = match spoken.is_empty() {
                    true => None,
                    false => self.parts.speaker.speak(&utterance).await,
                };
                self.parts.blobs.put(&padded(sound.as_deref(), millis)).await?
            }
        };
        let spoken = match setup_of(&doc).is_some_and(|setup| setup.transcribe) {
            true if spoken.is_empty() => self.understood(&blob).await?,
            _ => spoken,
        };
        let mut fields = doc.fields.clone();
        fields.insert("status".into(), "completed".into());
        fields.insert("blob".into(), blob.into());
        let now = self.parts.clock.now();
        rest::revise(batch, KIND, "", &doc, &fields, now);
        let Some(setup) = setup_of(&doc) else { return Ok(()) };
        let call = doc.text("call_sid").and_then(|sid| sid.parse().ok());
        let since = Timestamp::from_micros(
            doc.fields.get("began").and_then(Json::as_i64).unwrap_or_default(),
        );
        let facts = Facts { sid, setup: &setup, call, since };
        tell(self, batch, &facts, "completed", seconds(millis), None);
        if setup.transcribe {
            self.transcribe(store, &facts, millis, &spoken, batch).await?;
        }
        Ok(())
    }

    /// The words of a sound that is kept; none when nobody understands it.
    async fn understood(&self, blob: &str) -> Result<String, Failure> {
        let Some(file) = self.parts.blobs.get(blob).await? else { return Ok(String::new()) };
        let how = Listening { words: true, language: "en-US".to_owned(), hints: Vec::new() };
        Ok(self.parts.recogniser.recognise(file, &how).await.unwrap_or_default())
    }

    /// The words of a recording, which a simulated handset knows exactly.
    async fn transcribe(
        &self,
        store: &AccountStore,
        facts: &Facts<'_>,
        millis: u64,
        spoken: &str,
        batch: &mut AccountBatch,
    ) -> Result<(), Failure> {
        let is_fit = (2000..120_000).contains(&millis);
        let sid = self.parts.clock.sid("TR");
        let now = self.parts.clock.now();
        let status = if is_fit { "completed" } else { "failed" };
        let text = if is_fit { spoken } else { "" };
        if !is_fit {
            let why = "only recordings of 2 to 120 seconds are transcribed";
            let about = facts.call.unwrap_or(facts.sid).to_string();
            self.parts.webhooks.alert(batch, &about, 13617, why, "");
        }
        let mut fields = Map::new();
        fields.insert("recording_sid".into(), facts.sid.to_string().into());
        fields.insert("status".into(), status.into());
        fields.insert("transcription_text".into(), text.into());
        fields.insert("type".into(), "fast".into());
        fields.insert("duration".into(), seconds(millis).to_string().into());
        rest::insert(batch, TRANSCRIPTION, "", &sid.to_string(), &fields, now);
        let Some(callback) = &facts.setup.transcribe_callback else { return Ok(()) };
        let mut params = Params::new();
        if let Some(call) = facts.call
            && let Some(call) = Call::load(store, call).await?
        {
            params = crate::params::standard(store.account(), &call, call.status.as_str());
        }
        let base = &self.parts.public_url;
        let account = store.account();
        for (name, value) in [
            ("TranscriptionSid", sid.to_string()),
            ("TranscriptionText", text.to_owned()),
            ("TranscriptionStatus", status.to_owned()),
            ("TranscriptionType", "fast".to_owned()),
            (
                "TranscriptionUrl",
                format!("{base}/2010-04-01/Accounts/{account}/Transcriptions/{sid}"),
            ),
            ("RecordingSid", facts.sid.to_string()),
            ("RecordingUrl", url(self, account, facts.sid)),
        ] {
            params.push((name.to_owned(), value));
        }
        let callback = Callback {
            url: callback.clone(),
            method: Method::Post.as_str().to_owned(),
            params,
            resource: sid.to_string(),
        };
        webhooks::promise(batch, &self.parts.clock, callback);
        Ok(())
    }
}

const FIELDS: &[Field] = &[
    Field::sid("account_sid", &["AC"]),
    Field::text("api_version").empty("\"2010-04-01\""),
    Field::sid("call_sid", &["CA"]),
    Field::sid("conference_sid", &["CF"]),
    Field::new("date_created", Wire::Rfc2822),
    Field::new("date_updated", Wire::Rfc2822),
    Field::new("start_time", Wire::Rfc2822),
    Field::text("duration"),
    Field::sid("sid", &["RE"]),
    Field::text("price"),
    Field::text("price_unit").empty("\"USD\""),
    Field::new(
        "status",
        Wire::Enum(&[
            "in-progress",
            "paused",
            "stopped",
            "processing",
            "completed",
            "absent",
            "deleted",
        ]),
    ),
    Field::new("channels", Wire::Integer(0, i64::MAX)),
    Field::new(
        "source",
        Wire::Enum(&[
            "DialVerb",
            "Conference",
            "OutboundAPI",
            "Trunking",
            "RecordVerb",
            "StartCallRecordingAPI",
            "StartConferenceRecordingAPI",
        ]),
    ),
    Field::new("error_code", Wire::Integer(0, i64::MAX)),
    Field::text("uri"),
    Field::new("encryption_details", Wire::Json),
    Field::new("subresource_uris", Wire::UriMap),
    Field::new("media_url", Wire::Url),
];

pub static RECORDING: Resource<Voice> = Resource {
    table: Table::v2010(
        KIND,
        "/2010-04-01/Accounts/{AccountSid}/Recordings",
        "/2010-04-01/Accounts/{AccountSid}/Recordings/{Sid}",
    )
    .key("recordings")
    .sid("RE")
    .fields(FIELDS)
    .links(&[("transcriptions", "/Transcriptions"), ("add_on_results", "/AddOnResults")])
    .access(Access::PublicBytes("voice/recordings")),
    ops: &[
        Op::list(&[
            Param::date_time("DateCreated"),
            Param::date_time("DateCreated<"),
            Param::date_time("DateCreated>"),
            Param::sid("CallSid", &["CA"]),
            Param::sid("ConferenceSid", &["CF"]),
            Param::boolean("IncludeSoftDeleted"),
        ])
        .by(|_, ctx| Box::pin(list(ctx))),
        Op::fetch()
            .params(&[
                Param::boolean("IncludeSoftDeleted"),
                Param::integer("RequestedChannels", 1, 2),
            ])
            .by(|voice, ctx| Box::pin(fetch(voice, ctx))),
        Op::delete().by(|_, ctx| Box::pin(delete(ctx))),
    ],
};

async fn list(ctx: &Ctx) -> Result<Reply, ApiError> {
    let (from, before) = ctx.form.range(["DateCreated", "DateCreated<", "DateCreated>"]);
    let with_deleted = ctx.form.boolean("IncludeSoftDeleted") == Some(true);
    let wants = |doc: &Doc, name: &str, param: &str| match ctx.form.text(param) {
        Some(wanted) => doc.text(name) == Some(wanted),
        None => true,
    };
    let keep = |doc: &Doc| {
        wants(doc, "call_sid", "CallSid")
            && wants(doc, "conference_sid", "ConferenceSid")
            && from.is_none_or(|from| doc.date_created >= from)
            && before.is_none_or(|before| doc.date_created < before)
            && (with_deleted || doc.text("status") != Some("deleted"))
    };
    let found = rest::documents(ctx, KIND, "", keep).await;
    let (docs, has_next) = found.map_err(|error| rest::store_error(ctx, error))?;
    let records = docs.iter().map(|doc| rest::record(ctx.account, ctx.table, doc)).collect();
    Ok(Reply::List(rest::Page { records, has_next }))
}

/// The recording that the path names, not deleted.
pub(crate) async fn existing(ctx: &Ctx) -> Result<Doc, ApiError> {
    // The sound is WAV, whether its name says so or not, or MP3.
    let name = ctx.param("Sid");
    let name = name.strip_suffix(".wav").or(name.strip_suffix(".mp3")).unwrap_or(name);
    let sid = name.parse::<Sid>().ok();
    let sid = sid.filter(|sid| sid.prefix() == "RE").ok_or_else(|| ctx.not_found())?.to_string();
    let doc = rest::load(&ctx.store, KIND, "", &sid).await;
    let doc = doc.map_err(|error| rest::store_error(ctx, error))?;
    let call = ctx.param("CallSid");
    let with_deleted = ctx.form.boolean("IncludeSoftDeleted") == Some(true);
    doc.filter(|doc| call.is_empty() || doc.text("call_sid") == Some(call))
        .filter(|doc| with_deleted || doc.text("status") != Some("deleted"))
        .ok_or_else(|| ctx.not_found())
}

/// Without extension the sound, with `.json` what is known of it.
async fn fetch(voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    let doc = existing(ctx).await?;
    if ctx.path.ends_with(".json") || ctx.path.ends_with(".xml") || ctx.path.ends_with(".csv") {
        return Ok(Reply::Record(rest::record(ctx.account, ctx.table, &doc)));
    }
    let Some(blob) = doc.text("blob") else { return Err(ctx.not_found()) };
    let body = voice.parts.blobs.get(blob).await.map_err(|error| rest::store_error(ctx, error))?;
    let body = body.ok_or_else(|| ctx.not_found())?;
    let body = channels(body, ctx.form.integer("RequestedChannels"))?;
    if !ctx.param("Sid").ends_with(".mp3") {
        return Ok(Reply::Bytes { content_type: "audio/x-wav".into(), body });
    }
    let made = voice.parts.files.mp3(body).await;
    let body = made.ok_or_else(|| {
        let why = "MP3 is made by 'lame', which is not installed here; ask for .wav";
        ApiError::new(20001, why).with_status(501)
    })?;
    Ok(Reply::Bytes { content_type: "audio/mpeg".into(), body })
}

/// A file as long as `millis` at least: the sound, then silence.
fn padded(sound: Option<&[u8]>, millis: u64) -> Vec<u8> {
    let read = sound.and_then(|file| audio::wav::read(file).ok());
    let mut samples = read.and_then(|sound| sound.into_telephone().ok()).unwrap_or_default();
    let wanted = usize::try_from(millis.saturating_mul(u64::from(audio::RATE)) / 1000);
    samples.resize(samples.len().max(wanted.unwrap_or(usize::MAX).min(SAMPLES_MAX)), 0);
    audio::wav::write(audio::wav::Encoding::Pcm16, audio::RATE, 1, &samples)
        .expect("so few samples fit into a file")
}

/// A file with the channels that are asked for: one, unless both are wanted.
///
/// # Errors
/// 16113 / 400 when two are wanted of one.
fn channels(file: Vec<u8>, wanted: Option<i64>) -> Result<Vec<u8>, ApiError> {
    let Ok(read) = audio::wav::read(&file) else { return Ok(file) };
    match (read.channels, wanted) {
        (1, Some(2)) => {
            let why = "RequestedChannels is 2, and the recording has one";
            Err(ApiError::new(16113, why))
        }
        (2, None | Some(1)) => {
            let mono = audio::wav::to_mono(&read.samples);
            let pcm = audio::wav::Encoding::Pcm16;
            Ok(audio::wav::write(pcm, read.rate, 1, &mono).unwrap_or(file))
        }
        _ => Ok(file),
    }
}

/// The sound goes, what is known of it stays, marked.
pub(crate) async fn delete(ctx: &Ctx) -> Result<Reply, ApiError> {
    let doc = existing(ctx).await?;
    if matches!(doc.text("status"), Some("in-progress" | "paused" | "processing")) {
        let why = "The recording is not over; stop it first";
        return Err(ApiError::new(20009, why).with_status(409));
    }
    let mut fields = doc.fields.clone();
    fields.remove("blob");
    fields.remove("spoken");
    fields.insert("status".into(), "deleted".into());
    let mut batch = ctx.store.batch();
    rest::revise(&mut batch, KIND, "", &doc, &fields, ctx.now);
    ctx.audit(&mut batch, "recording.deleted", &doc.sid, Json::Null);
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    Ok(Reply::Empty)
}

const TRANSCRIPTION_FIELDS: &[Field] = &[
    Field::sid("account_sid", &["AC"]),
    Field::text("api_version").empty("\"2010-04-01\""),
    Field::new("date_created", Wire::Rfc2822),
    Field::new("date_updated", Wire::Rfc2822),
    Field::text("duration"),
    Field::new("price", Wire::Number),
    Field::text("price_unit").empty("\"USD\""),
    Field::sid("recording_sid", &["RE"]),
    Field::sid("sid", &["TR"]),
    Field::new("status", Wire::Enum(&["in-progress", "completed", "failed"])),
    Field::text("transcription_text"),
    Field::text("type"),
    Field::text("uri"),
];

pub static TRANSCRIPTIONS: Resource<Voice> = Resource {
    table: Table::v2010(
        TRANSCRIPTION,
        "/2010-04-01/Accounts/{AccountSid}/Transcriptions",
        "/2010-04-01/Accounts/{AccountSid}/Transcriptions/{Sid}",
    )
    .key("transcriptions")
    .sid("TR")
    .fields(TRANSCRIPTION_FIELDS)
    .access(Access::Keys("voice/transcriptions")),
    ops: &[Op::list(&[]), Op::fetch(), Op::delete()],
};

pub static RECORDING_TRANSCRIPTION: Resource<Voice> = Resource {
    table: Table::v2010(
        "RecordingTranscription",
        "/2010-04-01/Accounts/{AccountSid}/Recordings/{RecordingSid}/Transcriptions",
        "/2010-04-01/Accounts/{AccountSid}/Recordings/{RecordingSid}/Transcriptions/{Sid}",
    )
    .key("transcriptions")
    .sid("TR")
    .fields(TRANSCRIPTION_FIELDS)
    .access(Access::Keys("voice/transcriptions")),
    ops: &[
        Op::list(&[]).by(|_, ctx| Box::pin(list_transcriptions(ctx))),
        Op::fetch().by(|_, ctx| Box::pin(fetch_transcription(ctx))),
        Op::delete().by(|_, ctx| Box::pin(delete_transcription(ctx))),
    ],
};

async fn list_transcriptions(ctx: &Ctx) -> Result<Reply, ApiError> {
    let recording = ctx.param_sid("RecordingSid", &["RE"])?.to_string();
    let failed = |error| rest::store_error(ctx, error);
    let known = rest::load(&ctx.store, KIND, "", &recording).await.map_err(failed)?;
    known.ok_or_else(|| ctx.not_found())?;
    let keep = |doc: &Doc| doc.text("recording_sid") == Some(&recording);
    let (docs, has_next) = rest::documents(ctx, TRANSCRIPTION, "", keep).await.map_err(failed)?;
    let records = docs.iter().map(|doc| rest::record(ctx.account, ctx.table, doc)).collect();
    Ok(Reply::List(rest::Page { records, has_next }))
}

async fn transcription_of(ctx: &Ctx) -> Result<Doc, ApiError> {
    let sid = ctx.param_sid("Sid", &["TR"])?.to_string();
    let doc = rest::load(&ctx.store, TRANSCRIPTION, "", &sid).await;
    let doc = doc.map_err(|error| rest::store_error(ctx, error))?;
    doc.filter(|doc| doc.text("recording_sid") == Some(ctx.param("RecordingSid")))
        .ok_or_else(|| ctx.not_found())
}

async fn fetch_transcription(ctx: &Ctx) -> Result<Reply, ApiError> {
    let doc = transcription_of(ctx).await?;
    Ok(Reply::Record(rest::record(ctx.account, ctx.table, &doc)))
}

async fn delete_transcription(ctx: &Ctx) -> Result<Reply, ApiError> {
    let doc = transcription_of(ctx).await?;
    let mut batch = ctx.store.batch();
    batch.must(
        "DELETE FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = '' AND sid = $3",
        vec![TRANSCRIPTION.into(), doc.sid.as_str().into()],
    );
    ctx.audit(&mut batch, "transcription.deleted", &doc.sid, Json::Null);
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    Ok(Reply::Empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_as_long_as_it_is_said_to_be() {
        let millis = |file: &[u8]| crate::ask::millis_of(file);
        let file = padded(None, 1500);
        assert_eq!((file.len(), millis(&file)), (44 + 24_000, Some(1500)));
        assert_eq!(millis(&padded(Some(&file), 1000)), Some(1500));
        assert_eq!(millis(&padded(Some(b"no sound"), 1000)), Some(1000));
        assert_eq!(millis(b"ID3 no"), None);
        assert_eq!(millis(&file[..20]), None);
    }
}
