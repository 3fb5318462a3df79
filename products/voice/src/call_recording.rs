//! `/Calls/{CallSid}/Recordings`: recordings of one call, begun and ended by the API
//! (voice-api §10.1).

use kernel::{ApiError, Sid};
use rest::{Access, Ctx, Doc, Field, Op, Page, Param, Reply, Resource, Table, Wire};

use crate::Voice;
use crate::call::Hook;
use crate::conference::method;
use crate::letter::{Letter, What};
use crate::lifecycle::Status;
use crate::recording::{self, KIND, RecordSetup};
use crate::recording_change::{self, CHANGE, Change};
use crate::resource::existing as existing_call;

pub(crate) const STATUSES: &[&str] =
    &["in-progress", "paused", "stopped", "processing", "completed", "absent"];
pub(crate) const SOURCES: &[&str] = &[
    "DialVerb",
    "Conference",
    "OutboundAPI",
    "Trunking",
    "RecordVerb",
    "StartCallRecordingAPI",
    "StartConferenceRecordingAPI",
];

/// Which recordings are listed.
pub(crate) const WANTED: &[Param] = &[
    Param::date_time("DateCreated"),
    Param::date_time("DateCreated<"),
    Param::date_time("DateCreated>"),
];

pub static CALL_RECORDING: Resource<Voice> = Resource {
    table: Table::v2010(
        "CallRecording",
        "/2010-04-01/Accounts/{AccountSid}/Calls/{CallSid}/Recordings",
        "/2010-04-01/Accounts/{AccountSid}/Calls/{CallSid}/Recordings/{Sid}",
    )
    .key("recordings")
    .sid("RE")
    .fields(&[
        Field::sid("account_sid", &["AC"]),
        Field::text("api_version").empty("\"2010-04-01\""),
        Field::sid("call_sid", &["CA"]),
        Field::sid("conference_sid", &["CF"]),
        Field::new("date_created", Wire::Rfc2822),
        Field::new("date_updated", Wire::Rfc2822),
        Field::new("start_time", Wire::Rfc2822),
        Field::text("duration"),
        Field::sid("sid", &["RE"]),
        Field::new("price", Wire::Number),
        Field::text("uri"),
        Field::new("encryption_details", Wire::Json),
        Field::text("price_unit").empty("\"USD\""),
        Field::new("status", Wire::Enum(STATUSES)),
        Field::new("channels", Wire::Integer(0, i64::MAX)),
        Field::new("source", Wire::Enum(SOURCES)),
        Field::new("error_code", Wire::Integer(0, i64::MAX)),
        Field::text("track"),
    ])
    .access(Access::Keys("voice/recordings")),
    ops: &[
        Op::create(&[
            Param::text("RecordingStatusCallbackEvent", 64).list(),
            Param::url("RecordingStatusCallback").code(21205),
            Param::method("RecordingStatusCallbackMethod").code(21209),
            Param::one_of("Trim", &["trim-silence", "do-not-trim"]),
            Param::one_of("RecordingChannels", &["mono", "dual"]),
            Param::one_of("RecordingTrack", &["both", "inbound", "outbound"]),
        ])
        .by(|voice, ctx| Box::pin(create(voice, ctx))),
        Op::list(WANTED).by(|_, ctx| Box::pin(list(ctx))),
        Op::fetch().by(|_, ctx| Box::pin(fetch(ctx))),
        Op::update(CHANGE).by(|voice, ctx| Box::pin(update(voice, ctx))),
        Op::delete().by(|_, ctx| Box::pin(recording::delete(ctx))),
    ],
};

/// Begins to record a running call.
async fn create(voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    let call = existing_call(ctx, "CallSid").await?;
    if call.status != Status::InProgress {
        let why = format!("Call is not in-progress. Cannot record: it is {}", call.status);
        return Err(ApiError::new(21220, why));
    }
    let form = &ctx.form;
    let events = form.list("RecordingStatusCallbackEvent");
    let setup = RecordSetup {
        source: "StartCallRecordingAPI".into(),
        dual: form.text("RecordingChannels") == Some("dual"),
        track: form.text("RecordingTrack").unwrap_or("both").to_owned(),
        callback: form.text("RecordingStatusCallback").map(|url| Hook {
            url: url.to_owned(),
            method: method(form.text("RecordingStatusCallbackMethod")),
            events: events.iter().flat_map(|e| e.split(' ')).map(str::to_owned).collect(),
        }),
        transcribe_callback: None,
        transcribe: false,
        conference: None,
    };
    let sid = ctx.clock.sid("RE");
    let mut batch = ctx.store.batch();
    recording::start(&mut batch, voice, &call, sid, &setup, ctx.now);
    let what = What::Record { recording: sid, setup };
    voice.send(&mut batch, Letter { call: call.sid, at: ctx.now, what });
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    let doc = rest::load(&ctx.store, KIND, "", &sid.to_string()).await;
    let doc = doc.map_err(|error| rest::store_error(ctx, error))?.ok_or_else(|| ctx.not_found())?;
    Ok(Reply::Record(rest::record(ctx.account, ctx.table, &doc)))
}

async fn list(ctx: &Ctx) -> Result<Reply, ApiError> {
    let call = existing_call(ctx, "CallSid").await?.sid.to_string();
    let (from, before) = ctx.form.range(["DateCreated", "DateCreated<", "DateCreated>"]);
    let keep = |doc: &Doc| {
        doc.text("call_sid") == Some(&call)
            && doc.text("status") != Some("deleted")
            && from.is_none_or(|from| doc.date_created >= from)
            && before.is_none_or(|before| doc.date_created < before)
    };
    let found = rest::documents(ctx, KIND, "", keep).await;
    let (docs, has_next) = found.map_err(|error| rest::store_error(ctx, error))?;
    let records = docs.iter().map(|doc| rest::record(ctx.account, ctx.table, doc)).collect();
    Ok(Reply::List(Page { records, has_next }))
}

async fn fetch(ctx: &Ctx) -> Result<Reply, ApiError> {
    let doc = recording::existing(ctx).await?;
    Ok(Reply::Record(rest::record(ctx.account, ctx.table, &doc)))
}

/// Ends, pauses or resumes a recording; `Twilio.CURRENT` is the one that runs.
async fn update(voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    let call = existing_call(ctx, "CallSid").await?;
    let running = recording::running(&ctx.store, &call).await;
    let running = running.map_err(|error| rest::store_error(ctx, error))?;
    let wanted = ctx.param("Sid");
    let recording = match (wanted, &running[..]) {
        ("Twilio.CURRENT", [one]) => *one,
        ("Twilio.CURRENT", [_, _, ..]) => {
            return Err(ApiError::new(16108, "More than one recording runs; name one by its SID"));
        }
        _ => {
            let sid = wanted.parse::<Sid>().map_err(|_| ctx.not_found())?;
            let running = running.into_iter().find(|running| *running == sid);
            running.ok_or_else(|| ctx.not_found())?
        }
    };
    recording_change::change(ctx, recording, |batch, change| {
        let what = match change {
            Change::Stop => What::StopRecord { recording },
            Change::Pause { skip } => What::PauseRecord { recording, skip },
            Change::Resume => What::ResumeRecord { recording },
        };
        voice.send(batch, Letter { call: call.sid, at: ctx.now, what });
    })
    .await
}
