//! `/Conferences/{CF}/Recordings`: what everybody says in a conference, recorded as a whole
//! (voice-api §7, §10.1).
//!
//! The recording is asked for by the second who comes, and is told of through their call; it goes
//! on when they leave, until the conference is over.

use contracts::Order;
use kernel::{ApiError, Sid};
use rest::{Access, Ctx, Doc, Field, Op, Page, Reply, Resource, Table, Wire};
use serde_json::Value as Json;
use twiml::voice::Element;

use crate::Voice;
use crate::act::Act;
use crate::call_recording::{SOURCES, STATUSES, WANTED};
use crate::conference::{self, Room};
use crate::recording::{self, KIND, RecordSetup};
use crate::recording_change::{self, CHANGE, Change};

/// What a conference keeps of how it is to be recorded; nothing when it is not.
pub(crate) fn setup(noun: &Element, conference: Sid) -> Json {
    match noun.get("record") {
        Some("record-from-start" | "true") => {
            let setup = RecordSetup::of_verb(noun, "Conference", false);
            let setup = RecordSetup { conference: Some(conference), ..setup };
            serde_json::to_value(setup).unwrap_or_default()
        }
        _ => Json::Null,
    }
}

impl Act<'_> {
    /// The conference that this call has joined is recorded when two are in it.
    pub fn record_conference(&mut self, room: &mut Room) {
        let setup = room.fields.get("record").cloned().unwrap_or_default();
        let Ok(setup) = serde_json::from_value::<RecordSetup>(setup) else { return };
        if !room.has_started() || room.participants.is_empty() {
            return;
        }
        room.fields.remove("record");
        let recording = self.start_recording(setup);
        room.fields.insert("recording".into(), recording.to_string().into());
    }
}

/// What was recorded of a conference as a whole.
///
/// Differs: the recordings of its participants are their calls'.
pub static CONFERENCE_RECORDING: Resource<Voice> = Resource {
    table: Table::v2010(
        "ConferenceRecording",
        "/2010-04-01/Accounts/{AccountSid}/Conferences/{ConferenceSid}/Recordings",
        "/2010-04-01/Accounts/{AccountSid}/Conferences/{ConferenceSid}/Recordings/{Sid}",
    )
    .key("recordings")
    .sid("RE")
    .under(conference::KIND)
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
        Field::text("price"),
        Field::text("price_unit").empty("\"USD\""),
        Field::new("status", Wire::Enum(STATUSES)),
        Field::new("channels", Wire::Integer(0, i64::MAX)),
        Field::new("source", Wire::Enum(SOURCES)),
        Field::new("error_code", Wire::Integer(0, i64::MAX)),
        Field::new("encryption_details", Wire::Json),
        Field::text("uri"),
    ])
    .access(Access::Keys("voice/recordings")),
    ops: &[
        Op::list(WANTED).by(|_, ctx| Box::pin(list(ctx))),
        Op::fetch().by(|_, ctx| Box::pin(fetch(ctx))),
        Op::update(CHANGE).by(|voice, ctx| Box::pin(update(voice, ctx))),
        Op::delete().by(|_, ctx| Box::pin(remove(ctx))),
    ],
};

/// A recording of the conference that the path names.
async fn existing(ctx: &Ctx, sid: &str) -> Result<Doc, ApiError> {
    let failed = |error| rest::store_error(ctx, error);
    let doc = rest::load(&ctx.store, KIND, "", sid).await.map_err(failed)?;
    let conference = ctx.param("ConferenceSid");
    let is_its = |doc: &Doc| {
        doc.text("conference_sid") == Some(conference) && doc.text("status") != Some("deleted")
    };
    doc.filter(is_its).ok_or_else(|| ctx.not_found())
}

async fn list(ctx: &Ctx) -> Result<Reply, ApiError> {
    let failed = |error| rest::store_error(ctx, error);
    let conference = ctx.param_sid("ConferenceSid", &["CF"])?.to_string();
    let known = rest::load(&ctx.store, conference::KIND, "", &conference).await.map_err(failed)?;
    known.ok_or_else(|| ctx.not_found())?;
    let (from, before) = ctx.form.range(["DateCreated", "DateCreated<", "DateCreated>"]);
    let keep = |doc: &Doc| {
        doc.text("conference_sid") == Some(&conference)
            && doc.text("status") != Some("deleted")
            && from.is_none_or(|from| doc.date_created >= from)
            && before.is_none_or(|before| doc.date_created < before)
    };
    let (docs, has_next) = rest::documents(ctx, KIND, "", keep).await.map_err(failed)?;
    let records = docs.iter().map(|doc| rest::record(ctx.account, ctx.table, doc)).collect();
    Ok(Reply::List(Page { records, has_next }))
}

async fn fetch(ctx: &Ctx) -> Result<Reply, ApiError> {
    let doc = existing(ctx, ctx.param("Sid")).await?;
    Ok(Reply::Record(rest::record(ctx.account, ctx.table, &doc)))
}

async fn remove(ctx: &Ctx) -> Result<Reply, ApiError> {
    existing(ctx, ctx.param("Sid")).await?;
    recording::delete(ctx).await
}

/// Ends, pauses or resumes it, by whoever is in the conference; `Twilio.CURRENT` is the one that
/// runs.
///
/// Differs: pauses are not told to the recording callback.
async fn update(voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    let failed = |error| rest::store_error(ctx, error);
    let conference = ctx.param_sid("ConferenceSid", &["CF"])?;
    let room = Room::load(&ctx.store, conference).await.map_err(failed)?;
    let room = room.ok_or_else(|| ctx.not_found())?;
    let sid = match ctx.param("Sid") {
        "Twilio.CURRENT" => room.fields.get("recording").and_then(Json::as_str).unwrap_or_default(),
        sid => sid,
    };
    let doc = existing(ctx, sid).await?;
    let recording: Sid = doc.sid.parse().map_err(|_| ctx.not_found())?;
    let leg = room.participants.first().and_then(|doc| doc.sid.parse().ok());
    let leg = leg.ok_or_else(|| ApiError::new(20001, "Status: the conference is over"))?;
    recording_change::change(ctx, recording, |batch, change| {
        let order = match change {
            Change::Stop => Order::StopRecording { recording },
            Change::Pause { skip } => Order::PauseRecording { recording, skip },
            Change::Resume => Order::ResumeRecording { recording },
        };
        voice.order(batch, leg, ctx.now, order);
    })
    .await
}
