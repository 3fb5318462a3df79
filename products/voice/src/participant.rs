//! `/Conferences` and their participants, as the API shows and changes them (voice-api §7).

use kernel::{ApiError, Sid};
use rest::{Access, Ctx, Doc, Field, Op, Page, Param, Record, Reply, Resource, Table, Wire};
use serde_json::Value as Json;
use twiml::voice::{Element, Input, Source, Told};

use crate::Voice;
use crate::conference::{self, KIND, PARTICIPANT, Room, flag, method};
use crate::letter::{Letter, What};

const REASONS: &[&str] = &[
    "conference-ended-via-api",
    "participant-with-end-conference-on-exit-left",
    "participant-with-end-conference-on-exit-kicked",
    "last-participant-kicked",
    "last-participant-left",
];

pub static CONFERENCE: Resource<Voice> = Resource {
    table: Table::v2010(
        KIND,
        "/2010-04-01/Accounts/{AccountSid}/Conferences",
        "/2010-04-01/Accounts/{AccountSid}/Conferences/{Sid}",
    )
    .key("conferences")
    .sid("CF")
    .fields(&[
        Field::sid("account_sid", &["AC"]),
        Field::new("date_created", Wire::Rfc2822),
        Field::new("date_updated", Wire::Rfc2822),
        Field::text("api_version").empty("\"2010-04-01\""),
        Field::text("friendly_name"),
        Field::text("region"),
        Field::sid("sid", &["CF"]),
        Field::new("status", Wire::Enum(&["init", "in-progress", "completed"])),
        Field::text("uri"),
        Field::new("subresource_uris", Wire::UriMap),
        Field::new("reason_conference_ended", Wire::Enum(REASONS)),
        Field::sid("call_sid_ending_conference", &["CA"]),
    ])
    .links(&[("participants", "/Participants"), ("recordings", "/Recordings")])
    .access(Access::Keys("voice/conferences")),
    ops: &[
        Op::list(&[
            Param::date_time("DateCreated"),
            Param::date_time("DateCreated<"),
            Param::date_time("DateCreated>"),
            Param::date_time("DateUpdated"),
            Param::date_time("DateUpdated<"),
            Param::date_time("DateUpdated>"),
            Param::text("FriendlyName", 256),
            Param::one_of("Status", &["init", "in-progress", "completed"]),
        ])
        .by(|_, ctx| Box::pin(list(ctx))),
        Op::fetch(),
        Op::update(&[
            Param::one_of("Status", &["completed"]),
            Param::url("AnnounceUrl"),
            Param::method("AnnounceMethod"),
        ])
        .by(|voice, ctx| Box::pin(update(voice, ctx))),
    ],
};

async fn list(ctx: &Ctx) -> Result<Reply, ApiError> {
    let created = ctx.form.range(["DateCreated", "DateCreated<", "DateCreated>"]);
    let updated = ctx.form.range(["DateUpdated", "DateUpdated<", "DateUpdated>"]);
    let within = |at, (from, before): (Option<_>, Option<_>)| {
        from.is_none_or(|from| at >= from) && before.is_none_or(|before| at < before)
    };
    let keep = |doc: &Doc| {
        within(doc.date_created, created)
            && within(doc.date_updated, updated)
            && ctx.form.text("FriendlyName").is_none_or(|n| doc.text("friendly_name") == Some(n))
            && ctx.form.text("Status").is_none_or(|s| doc.text("status") == Some(s))
    };
    let found = rest::documents(ctx, KIND, "", keep).await;
    let (docs, has_next) = found.map_err(|error| rest::store_error(ctx, error))?;
    let records = docs.iter().map(|doc| rest::record(ctx.account, ctx.table, doc)).collect();
    Ok(Reply::List(Page { records, has_next }))
}

/// Ends a conference, or plays something to everybody in it.
async fn update(voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    let sid = ctx.param_sid("Sid", &["CF"])?;
    let announce = announcement(ctx, "AnnounceUrl", "AnnounceMethod");
    conference::change(ctx, sid, |room, batch| {
        if room.is_over() {
            return Err(ApiError::new(16022, format!("Conference {sid} is over")));
        }
        if ctx.form.text("Status").is_some() {
            room.end(voice, batch, ctx.now, "conference-ended-via-api", None);
        } else if let Some(source) = &announce {
            // Everybody hears it at the same time: one tells of its end.
            for (at, doc) in room.participants.iter().enumerate() {
                let told = if at == 0 { Told::All } else { Told::Nothing };
                let input = Input::Announce { source: source.clone(), told };
                say(voice, ctx, batch, doc, input);
            }
        }
        Ok(())
    })
    .await?;
    let doc = rest::load(&ctx.store, KIND, "", &sid.to_string()).await;
    let doc = doc.map_err(|error| rest::store_error(ctx, error))?.ok_or_else(|| ctx.not_found())?;
    Ok(Reply::Record(rest::record(ctx.account, ctx.table, &doc)))
}

fn announcement(ctx: &Ctx, url: &str, how: &str) -> Option<Source> {
    let url = ctx.form.text(url)?.to_owned();
    Some(Source::Url { url, method: method(ctx.form.text(how)) })
}

/// A participant's call hears of it.
fn say(voice: &Voice, ctx: &Ctx, batch: &mut store::AccountBatch, doc: &Doc, input: Input) {
    if let Ok(call) = doc.sid.parse::<Sid>() {
        voice.send(batch, Letter { call, at: ctx.now, what: What::Machine(input) });
    }
}

const CREATE: &[Param] = &[
    Param::text("From", 256).required(21213),
    Param::text("To", 256).required(21201),
    Param::url("StatusCallback"),
    Param::method("StatusCallbackMethod"),
    Param::text("StatusCallbackEvent", 64).list(),
    Param::text("Label", 128).code(16024),
    Param::integer("Timeout", 1, 600).code(21208),
    Param::boolean("Record"),
    Param::boolean("Muted"),
    Param::one_of("Beep", &["true", "false", "onEnter", "onExit"]),
    Param::boolean("StartConferenceOnEnter"),
    Param::boolean("EndConferenceOnExit"),
    Param::url("WaitUrl"),
    Param::method("WaitMethod"),
    Param::boolean("EarlyMedia"),
    Param::integer("MaxParticipants", 2, 250),
    Param::text("ConferenceRecord", 64),
    Param::text("ConferenceTrim", 64),
    Param::url("ConferenceStatusCallback"),
    Param::method("ConferenceStatusCallbackMethod"),
    Param::text("ConferenceStatusCallbackEvent", 64).list(),
    Param::text("RecordingChannels", 16),
    Param::url("RecordingStatusCallback"),
    Param::method("RecordingStatusCallbackMethod"),
    Param::text("SipAuthUsername", 255),
    Param::text("SipAuthPassword", 255),
    Param::text("Region", 16),
    Param::url("ConferenceRecordingStatusCallback"),
    Param::method("ConferenceRecordingStatusCallbackMethod"),
    Param::text("RecordingStatusCallbackEvent", 64).list(),
    Param::text("ConferenceRecordingStatusCallbackEvent", 64).list(),
    Param::boolean("Coaching"),
    Param::sid("CallSidToCoach", &["CA"]),
    Param::text("JitterBufferSize", 16),
    Param::sid("Byoc", &["BY"]),
    Param::text("CallerId", 256),
    Param::text("CallReason", 50),
    Param::text("RecordingTrack", 16),
    Param::integer("TimeLimit", 1, 86_400),
    Param::text("MachineDetection", 32),
    Param::integer("MachineDetectionTimeout", 3, 60).code(21234),
    Param::integer("MachineDetectionSpeechThreshold", 1000, 6000).code(21234),
    Param::integer("MachineDetectionSpeechEndThreshold", 500, 5000).code(21234),
    Param::integer("MachineDetectionSilenceTimeout", 2000, 10_000).code(21234),
    Param::url("AmdStatusCallback"),
    Param::method("AmdStatusCallbackMethod"),
    Param::text("Trim", 32),
    Param::text("CallToken", 4096),
    Param::url("ClientNotificationUrl"),
    Param::text("CallerDisplayName", 255),
];

const UPDATE: &[Param] = &[
    Param::boolean("Muted"),
    Param::boolean("Hold"),
    Param::url("HoldUrl"),
    Param::method("HoldMethod"),
    Param::url("AnnounceUrl"),
    Param::method("AnnounceMethod"),
    Param::url("WaitUrl"),
    Param::method("WaitMethod"),
    Param::boolean("BeepOnExit"),
    Param::boolean("EndConferenceOnExit"),
    Param::boolean("Coaching"),
    Param::sid("CallSidToCoach", &["CA"]),
];

const STATUSES: &[&str] = &["queued", "connecting", "ringing", "connected", "complete", "failed"];

pub static PARTICIPANTS: Resource<Voice> = Resource {
    table: Table::v2010(
        PARTICIPANT,
        "/2010-04-01/Accounts/{AccountSid}/Conferences/{ConferenceSid}/Participants",
        "/2010-04-01/Accounts/{AccountSid}/Conferences/{ConferenceSid}/Participants/{CallSid}",
    )
    .key("participants")
    .fields(&[
        Field::sid("account_sid", &["AC"]),
        Field::sid("call_sid", &["CA"]),
        Field::text("label"),
        Field::sid("call_sid_to_coach", &["CA"]),
        Field::new("coaching", Wire::Boolean),
        Field::sid("conference_sid", &["CF"]),
        Field::new("date_created", Wire::Rfc2822),
        Field::new("date_updated", Wire::Rfc2822),
        Field::new("end_conference_on_exit", Wire::Boolean),
        Field::new("muted", Wire::Boolean),
        Field::new("hold", Wire::Boolean),
        Field::new("start_conference_on_enter", Wire::Boolean),
        Field::new("status", Wire::Enum(STATUSES)),
        Field::text("queue_time"),
        Field::text("uri"),
    ])
    .access(Access::Keys("voice/conferences")),
    ops: &[
        Op::create(CREATE).by(|voice, ctx| Box::pin(create(voice, ctx))),
        Op::list(&[Param::boolean("Muted"), Param::boolean("Hold"), Param::boolean("Coaching")])
            .by(|_, ctx| Box::pin(list_participants(ctx))),
        Op::fetch().by(|_, ctx| Box::pin(fetch(ctx))),
        Op::update(UPDATE).by(|voice, ctx| Box::pin(update_participant(voice, ctx))),
        Op::delete().by(|voice, ctx| Box::pin(kick(voice, ctx))),
    ],
};

/// The conference that the path names, by SID or by the name of a running one.
async fn conference_of(ctx: &Ctx) -> Result<Option<Sid>, ApiError> {
    let named = ctx.param("ConferenceSid");
    match named.parse::<Sid>() {
        Ok(sid) if sid.prefix() == "CF" => Ok(Some(sid)),
        _ => {
            let found = conference::by_name(&ctx.store, named).await;
            found.map_err(|error| rest::store_error(ctx, error))
        }
    }
}

/// Calls somebody into a conference, which comes into being when they answer.
///
/// Differs: the participant is listed when it is in the conference, not while it rings.
async fn create(voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    let form = &ctx.form;
    let known = conference_of(ctx).await?;
    let name = match known {
        Some(sid) => {
            let room = Room::load(&ctx.store, sid).await;
            let room = room.map_err(|error| rest::store_error(ctx, error))?;
            let room = room.filter(|room| !room.is_over()).ok_or_else(|| {
                ApiError::new(16022, format!("Conference {sid} does not exist or is over"))
            })?;
            let label = form.text("Label");
            if label.is_some_and(|label| room.participant(label).is_some()) {
                return Err(ApiError::new(16026, "Label is another participant's"));
            }
            room.fields.get("friendly_name").and_then(Json::as_str).unwrap_or_default().to_owned()
        }
        None => ctx.param("ConferenceSid").to_owned(),
    };
    let label = form.text("Label");
    if label.is_some_and(|label| label.contains('/') || Sid::is_form("CA", label)) {
        return Err(ApiError::new(16024, "Label has a slash, or is a CallSid"));
    }
    let mut noun = Element { name: "Conference".into(), text: name, ..Element::default() };
    for (attribute, value) in [
        ("participantLabel", form.text("Label")),
        ("muted", form.text("Muted")),
        ("startConferenceOnEnter", form.text("StartConferenceOnEnter")),
        ("endConferenceOnExit", form.text("EndConferenceOnExit")),
        ("beep", form.text("Beep")),
        ("waitUrl", form.text("WaitUrl")),
        ("waitMethod", form.text("WaitMethod")),
        ("maxParticipants", form.text("MaxParticipants")),
        ("region", form.text("Region")),
        ("coach", form.text("CallSidToCoach")),
        ("statusCallback", form.text("ConferenceStatusCallback")),
        ("statusCallbackMethod", form.text("ConferenceStatusCallbackMethod")),
        ("record", form.text("ConferenceRecord")),
        ("recordingStatusCallback", form.text("ConferenceRecordingStatusCallback")),
        ("recordingStatusCallbackMethod", form.text("ConferenceRecordingStatusCallbackMethod")),
    ] {
        noun.attributes.extend(value.map(|value| (attribute.to_owned(), value.to_owned())));
    }
    let events = form.list("ConferenceRecordingStatusCallbackEvent").join(" ");
    if !events.is_empty() {
        noun.attributes.push(("recordingStatusCallbackEvent".to_owned(), events));
    }
    let events = form.list("ConferenceStatusCallbackEvent").join(" ");
    let events = if events.is_empty() { "start end".to_owned() } else { events };
    noun.attributes.push(("statusCallbackEvent".to_owned(), events));
    let call = voice.place_for_conference(ctx, noun).await?;
    let mut record = Record::at("CallSid", &call.to_string());
    record
        .set("account_sid", ctx.account)
        .set("call_sid", call)
        .set("label", form.text("Label"))
        .set("call_sid_to_coach", form.text("CallSidToCoach"))
        .set("coaching", form.boolean("Coaching").unwrap_or(form.has("CallSidToCoach")))
        .set("conference_sid", known)
        .set("date_created", ctx.now)
        .set("date_updated", ctx.now)
        .set("end_conference_on_exit", form.boolean("EndConferenceOnExit").unwrap_or(false))
        .set("muted", form.boolean("Muted").unwrap_or(false))
        .set("hold", false)
        .set("start_conference_on_enter", form.boolean("StartConferenceOnEnter").unwrap_or(true))
        .set("status", "queued")
        .set("queue_time", "0");
    Ok(Reply::Record(record))
}

async fn room_of(ctx: &Ctx) -> Result<Room, ApiError> {
    let sid = conference_of(ctx).await?.ok_or_else(|| ctx.not_found())?;
    let room = Room::load(&ctx.store, sid).await;
    room.map_err(|error| rest::store_error(ctx, error))?.ok_or_else(|| ctx.not_found())
}

fn shown(ctx: &Ctx, room: &Room, doc: &Doc) -> Record {
    let record = rest::record(ctx.account, ctx.table, doc);
    record.with_path("ConferenceSid", &room.sid.to_string())
}

/// Differs: the list is in one page.
async fn list_participants(ctx: &Ctx) -> Result<Reply, ApiError> {
    let room = room_of(ctx).await?;
    let fits = |doc: &&Doc| {
        [("Muted", "muted"), ("Hold", "hold"), ("Coaching", "coaching")]
            .iter()
            .all(|(param, field)| ctx.form.boolean(param).is_none_or(|v| flag(doc, field) == v))
    };
    let records = room.participants.iter().filter(fits).map(|doc| shown(ctx, &room, doc));
    Ok(Reply::List(Page { records: records.collect(), has_next: false }))
}

async fn fetch(ctx: &Ctx) -> Result<Reply, ApiError> {
    let room = room_of(ctx).await?;
    let doc = room.participant(ctx.param("CallSid")).ok_or_else(|| ctx.not_found())?;
    Ok(Reply::Record(shown(ctx, &room, doc)))
}

async fn update_participant(voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    let form = &ctx.form;
    let sid = room_of(ctx).await?.sid;
    let hold_url = announcement(ctx, "HoldUrl", "HoldMethod");
    let announce = announcement(ctx, "AnnounceUrl", "AnnounceMethod");
    let wait_url = announcement(ctx, "WaitUrl", "WaitMethod");
    let coach = form.text("CallSidToCoach");
    conference::change(ctx, sid, |room, batch| {
        let found = room.participant(ctx.param("CallSid")).cloned();
        let doc = found.ok_or_else(|| ctx.not_found())?;
        if let Some(target) = coach {
            match room.participant(target) {
                None => return Err(ApiError::new(16028, format!("{target} is not here"))),
                Some(doc) if flag(doc, "hold") => {
                    return Err(ApiError::new(16027, format!("{target} is on hold")));
                }
                Some(_) => {}
            }
        }
        let mut changed = doc.clone();
        let mut events = Vec::new();
        let mut set =
            |field: &str, value: Option<bool>, names: (&'static str, [&'static str; 2])| {
                let Some(value) = value.filter(|value| *value != flag(&doc, field)) else { return };
                changed.fields.insert(field.into(), value.into());
                events.push((names.0, names.1[usize::from(value)]));
            };
        set("muted", form.boolean("Muted"), ("mute", ["participant-unmute", "participant-mute"]));
        set("hold", form.boolean("Hold"), ("hold", ["participant-unhold", "participant-hold"]));
        let modified = ("modify", ["participant-modify"; 2]);
        set("end_conference_on_exit", form.boolean("EndConferenceOnExit"), modified);
        let coaching = form.boolean("Coaching").or(coach.map(|_| true));
        set("coaching", coaching, modified);
        if let Some(target) = coach {
            changed.fields.insert("call_sid_to_coach".into(), target.into());
        }
        rest::revise(batch, PARTICIPANT, &sid.to_string(), &doc, &changed.fields, ctx.now);
        let about = Room::about(&changed);
        for event in events {
            room.tell(voice, batch, ctx.now, event, about.clone());
        }
        room.seat(voice, batch, &changed, ctx.now);
        let held = flag(&changed, "hold");
        let input = match (held != flag(&doc, "hold"), held) {
            (true, true) => Some(Input::Waiting(hold_url.clone())),
            (true, false) => Some(Input::Joined),
            (false, _) if wait_url.is_some() && !room.has_started() => {
                Some(Input::Waiting(wait_url.clone()))
            }
            (false, _) => None,
        };
        if let Some(input) = input {
            say(voice, ctx, batch, &changed, input);
        }
        if let Some(source) = announce.clone() {
            let input = Input::Announce { source, told: Told::One };
            say(voice, ctx, batch, &changed, input);
        }
        Ok(())
    })
    .await?;
    fetch(ctx).await
}

/// Sends a participant away.
async fn kick(voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    let sid = room_of(ctx).await?.sid;
    conference::change(ctx, sid, |room, batch| {
        let found = room.participant(ctx.param("CallSid")).cloned();
        let doc = found.ok_or_else(|| ctx.not_found())?;
        room.left(voice, batch, &doc, ctx.now, "participant_updated_via_api");
        if let Ok(call) = doc.sid.parse::<Sid>() {
            let what = What::LeftConference { ends_call: flag(&doc, "api") };
            voice.send(batch, Letter { call, at: ctx.now, what });
        }
        Ok(())
    })
    .await?;
    Ok(Reply::Empty)
}
