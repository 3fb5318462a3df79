//! `/v1/Conferences` and `/v1/Conferences/{CF}/Participants`: conferences as a whole, and who was
//! in them.
//!
//! A conference forgets a participant who leaves; what is known of them is kept beside it
//! ([`left`]), one document for each time somebody was in.

use kernel::{ApiError, Sid, SidGenerator, Timestamp};
use numbering::E164;
use rest::{Ctx, Doc, Field, Op, Page, Param, Record, Reply, Resource, Table, Val, Wire};
use serde_json::{Value as Json, json};
use store::{AccountBatch, AccountStore, StoreError};

use super::{ACCESS, DAY, before, moment, page, seconds_between, store_of, summary};
use crate::Voice;
use crate::call::Call;
use crate::conference::{KIND, PARTICIPANT, flag};
use crate::lifecycle::Status;

const PARTICIPATION: &str = "ConferenceParticipation";
/// Conferences of a period that are considered, the newest, and participants of one.
const CONFERENCES_MAX: i64 = 1000;
const PARTICIPANTS_MAX: i64 = 1000;

const REGIONS: &[&str] = &["us1", "us2", "au1", "br1", "ie1", "jp1", "sg1", "de1", "in1"];
const REASONS: &[&str] = &[
    "last_participant_left",
    "conference_ended_via_api",
    "participant_with_end_conference_on_exit_left",
    "last_participant_kicked",
    "participant_with_end_conference_on_exit_kicked",
];
const TAGS: &[&str] = &[
    "invalid_requested_region",
    "duplicate_identity",
    "start_failure",
    "region_configuration_issues",
    "quality_warnings",
    "participant_behavior_issues",
    "high_packet_loss",
    "high_jitter",
    "high_latency",
    "low_mos",
    "detected_silence",
    "no_concurrent_participants",
];

/// Differs: nothing is measured of sound, so there are no tags but of conferences in which nobody
/// was together with somebody else, and no detected issues.
pub static CONFERENCES: Resource<Voice> = Resource {
    table: Table::product(
        "InsightsConference",
        "insights",
        "/v1/Conferences",
        "/v1/Conferences/{ConferenceSid}",
    )
    .key("conferences")
    .fields(&[
        Field::sid("conference_sid", &["CF"]),
        Field::sid("account_sid", &["AC"]),
        Field::text("friendly_name"),
        Field::new("create_time", Wire::Iso8601),
        Field::new("start_time", Wire::Iso8601),
        Field::new("end_time", Wire::Iso8601),
        Field::new("duration_seconds", Wire::Integer(0, i64::MAX)),
        Field::new("connect_duration_seconds", Wire::Integer(0, i64::MAX)),
        Field::new(
            "status",
            Wire::Enum(&["in_progress", "not_started", "completed", "summary_timeout"]),
        ),
        Field::new("max_participants", Wire::Integer(0, i64::MAX)),
        Field::new("max_concurrent_participants", Wire::Integer(0, i64::MAX)),
        Field::new("unique_participants", Wire::Integer(0, i64::MAX)),
        Field::new("end_reason", Wire::Enum(REASONS)),
        Field::sid("ended_by", &["CA"]),
        Field::new("mixer_region", Wire::Enum(REGIONS)),
        Field::new("mixer_region_requested", Wire::Enum(REGIONS)),
        Field::new("recording_enabled", Wire::Boolean).empty("false"),
        Field::new("detected_issues", Wire::Json),
        Field::new("tags", Wire::Json),
        Field::new("tag_info", Wire::Json),
        Field::new("processing_state", Wire::Enum(&["complete", "in_progress", "timeout"])),
        Field::new("url", Wire::Url),
        Field::new("links", Wire::UriMap),
    ])
    .links(&[("conference_participants", "/Participants")])
    .access(ACCESS),
    ops: &[
        Op::list(&[
            Param::text("ConferenceSid", 34),
            Param::text("FriendlyName", 255),
            Param::text("Status", 32),
            Param::text("CreatedAfter", 64).code(17400),
            Param::text("CreatedBefore", 64).code(17400),
            Param::text("MixerRegion", 8),
            Param::text("Tags", 255),
            Param::sid("Subaccount", &["AC"]),
            Param::text("DetectedIssues", 255),
            Param::text("EndReason", 64),
        ])
        .by(|voice, ctx| Box::pin(list(voice, ctx))),
        Op::fetch().by(|_, ctx| Box::pin(fetch(ctx))),
    ],
};

/// Differs: of a participant nothing is measured but when it came and went.
pub static PARTICIPANTS: Resource<Voice> = Resource {
    table: Table::product(
        "InsightsConferenceParticipant",
        "insights",
        "/v1/Conferences/{ConferenceSid}/Participants",
        "/v1/Conferences/{ConferenceSid}/Participants/{ParticipantSid}",
    )
    .key("participants")
    .fields(&[
        Field::sid("participant_sid", &["CP"]),
        Field::text("label"),
        Field::sid("conference_sid", &["CF"]),
        Field::sid("call_sid", &["CA"]),
        Field::sid("account_sid", &["AC"]),
        Field::new("call_direction", Wire::Enum(&["inbound", "outbound"])),
        Field::text("from"),
        Field::text("to"),
        Field::new(
            "call_status",
            Wire::Enum(&[
                "answered",
                "completed",
                "busy",
                "fail",
                "noanswer",
                "ringing",
                "canceled",
            ]),
        ),
        Field::text("country_code"),
        Field::new("is_moderator", Wire::Boolean),
        Field::new("join_time", Wire::Iso8601),
        Field::new("leave_time", Wire::Iso8601),
        Field::new("duration_seconds", Wire::Integer(0, i64::MAX)),
        Field::new("outbound_queue_length", Wire::Integer(0, i64::MAX)),
        Field::new("outbound_time_in_queue", Wire::Integer(0, i64::MAX)),
        Field::new("jitter_buffer_size", Wire::Enum(&["large", "small", "medium", "off"])),
        Field::new("is_coach", Wire::Boolean),
        Field::new("coached_participants", Wire::Json),
        Field::new("participant_region", Wire::Enum(REGIONS)),
        Field::new("conference_region", Wire::Enum(REGIONS)),
        Field::new("call_type", Wire::Enum(&["carrier", "client", "sip"])),
        Field::new("processing_state", Wire::Enum(&["complete", "in_progress", "timeout"])),
        Field::new("properties", Wire::Json),
        Field::new("events", Wire::Json),
        Field::new("metrics", Wire::Json),
        Field::new("url", Wire::Url),
    ])
    .access(ACCESS),
    ops: &[
        Op::list(&[
            Param::text("ParticipantSid", 34),
            Param::text("Label", 255),
            Param::text("Events", 64),
        ])
        .by(|_, ctx| Box::pin(participants(ctx))),
        Op::fetch()
            .params(&[Param::text("Events", 64), Param::text("Metrics", 64)])
            .by(|_, ctx| Box::pin(participant(ctx))),
    ],
};

/// The SID of one time that a call was in a conference.
fn participation(call: &str, joined: Timestamp) -> Sid {
    // The cast keeps the low 64 bits, which are random enough to tell calls apart.
    let bits = call.parse::<Sid>().map_or(0, |sid| sid.bits() as u64);
    SidGenerator::numbered("CP", joined, bits)
}

/// Keeps what is known of a participant who leaves.
pub(crate) fn left(batch: &mut AccountBatch, conference: Sid, doc: &Doc, at: Timestamp) {
    let mut fields = doc.fields.clone();
    fields.insert("call_sid".into(), doc.sid.as_str().into());
    fields.insert("joined".into(), doc.date_created.as_micros().into());
    let sid = participation(&doc.sid, doc.date_created).to_string();
    batch.run(
        "INSERT INTO resource (account_sid, kind, parent, sid, body, date_created, date_updated,
         version) VALUES ($1, $2, $3, $4, $5, $6, $6, 1) ON CONFLICT DO NOTHING",
        vec![
            PARTICIPATION.into(),
            conference.into(),
            sid.into(),
            Json::Object(fields).to_string().into(),
            at.into(),
        ],
    );
}

/// Somebody's time in a conference.
struct Stay {
    sid: String,
    call: String,
    fields: serde_json::Map<String, Json>,
    joined: Timestamp,
    left: Option<Timestamp>,
}

/// Everybody who is or was in a conference, in the order they came.
async fn stays(store: &AccountStore, conference: &str) -> Result<Vec<Stay>, StoreError> {
    let sql = "SELECT sid, body, date_created, kind FROM resource WHERE account_sid = $1
               AND kind IN ($2, $3) AND parent = $4 ORDER BY date_created, sid LIMIT $5";
    let params =
        vec![PARTICIPANT.into(), PARTICIPATION.into(), conference.into(), PARTICIPANTS_MAX.into()];
    let rows = store.query(sql, params).await?;
    let stay = |row: &store::Row| {
        let fields: serde_json::Map<String, Json> =
            serde_json::from_str(row.text(1)).unwrap_or_default();
        if row.text(3) == PARTICIPANT {
            let (call, joined) = (row.text(0).to_owned(), row.time(2));
            let sid = participation(&call, joined).to_string();
            return Stay { sid, call, fields, joined, left: None };
        }
        let joined = fields.get("joined").and_then(Json::as_i64).unwrap_or_default();
        Stay {
            sid: row.text(0).to_owned(),
            call: fields.get("call_sid").and_then(Json::as_str).unwrap_or_default().to_owned(),
            joined: Timestamp::from_micros(joined),
            left: Some(row.time(2)),
            fields,
        }
    };
    let mut all: Vec<Stay> = rows.iter().map(stay).collect();
    all.sort_by(|a, b| (a.joined, &a.sid).cmp(&(b.joined, &b.sid)));
    Ok(all)
}

/// The most who were in at one time.
fn most_at_once(stays: &[Stay]) -> i64 {
    let at = |moment: Timestamp| {
        let is_in =
            |stay: &&Stay| stay.joined <= moment && stay.left.is_none_or(|left| left > moment);
        stays.iter().filter(is_in).count()
    };
    let most = stays.iter().map(|stay| at(stay.joined)).max().unwrap_or(0);
    i64::try_from(most).unwrap_or(i64::MAX)
}

async fn record(ctx: &Ctx, store: &AccountStore, doc: &Doc) -> Result<Record, ApiError> {
    let stays = stays(store, &doc.sid).await.map_err(|error| rest::store_error(ctx, error))?;
    let mut calls: Vec<&str> = stays.iter().map(|stay| stay.call.as_str()).collect();
    calls.sort_unstable();
    calls.dedup();
    let moment = |name: &str| {
        let micros = doc.fields.get(name).and_then(Json::as_i64);
        micros.map(Timestamp::from_micros)
    };
    let (started, ended) = (moment("started_at"), moment("ended_at"));
    let is_over = doc.text("status") == Some("completed");
    let status = match (is_over, started) {
        (true, _) => "completed",
        (false, Some(_)) => "in_progress",
        (false, None) => "not_started",
    };
    let most = most_at_once(&stays);
    let seconds = |from: Option<Timestamp>| Some(seconds_between(from?, ended?));
    let mut record = Record::at("ConferenceSid", &doc.sid);
    record
        .set("conference_sid", doc.sid.as_str())
        .set("account_sid", store.account())
        .set("friendly_name", doc.text("friendly_name"))
        .set("create_time", doc.date_created)
        .set("start_time", started)
        .set("end_time", ended)
        .set("duration_seconds", seconds(Some(doc.date_created)))
        .set("connect_duration_seconds", seconds(started))
        .set("status", status)
        .set("max_participants", doc.fields.get("most").and_then(Json::as_i64))
        .set("max_concurrent_participants", most)
        .set("unique_participants", i64::try_from(calls.len()).unwrap_or(i64::MAX))
        .set("end_reason", doc.text("reason_conference_ended").map(|why| why.replace('-', "_")))
        .set("ended_by", doc.text("call_sid_ending_conference"))
        .set("mixer_region", doc.text("region"))
        .set("processing_state", if is_over { "complete" } else { "in_progress" });
    if is_over && most < 2 {
        record.set("tags", json!([TAGS[TAGS.len() - 1]]));
    }
    Ok(record)
}

/// The conference of the path.
async fn existing(ctx: &Ctx) -> Result<Doc, ApiError> {
    let sid = ctx.param_sid("ConferenceSid", &["CF"])?.to_string();
    let found = rest::load(&ctx.store, KIND, "", &sid).await;
    found.map_err(|error| rest::store_error(ctx, error))?.ok_or_else(|| ctx.not_found())
}

async fn fetch(ctx: &Ctx) -> Result<Reply, ApiError> {
    Ok(Reply::Record(record(ctx, &ctx.store, &existing(ctx).await?).await?))
}

fn text_of(record: &Record, name: &str) -> String {
    match record.get(name) {
        Some(Val::Text(text)) => text.clone(),
        Some(Val::Json(json)) => json.to_string(),
        _ => String::new(),
    }
}

/// Conferences of a period, the newest first: the last day unless it is said.
async fn list(voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    let store = store_of(voice, ctx, "Subaccount").await?;
    let from = moment(ctx, "CreatedAfter")?.unwrap_or(before(ctx.now, DAY));
    let until = moment(ctx, "CreatedBefore")?.unwrap_or(ctx.now);
    let sql = "SELECT sid FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = ''
               AND date_created >= $3 AND date_created <= $4 ORDER BY sid DESC LIMIT $5";
    let params = vec![KIND.into(), from.into(), until.into(), CONFERENCES_MAX.into()];
    let failed = |error| rest::store_error(ctx, error);
    let rows = store.query(sql, params).await.map_err(failed)?;
    let mut all = Vec::new();
    for row in rows {
        let Some(doc) = rest::load(&store, KIND, "", row.text(0)).await.map_err(failed)? else {
            continue;
        };
        let record = record(ctx, &store, &doc).await?;
        let is = |param: &str, field: &str| {
            ctx.form.text(param).is_none_or(|wanted| text_of(&record, field) == wanted)
        };
        let tags = text_of(&record, "tags");
        let is_tagged = |wanted: &str| wanted.split(',').all(|tag| tags.contains(tag.trim()));
        let fits = is("ConferenceSid", "conference_sid")
            && is("FriendlyName", "friendly_name")
            && is("Status", "status")
            && is("MixerRegion", "mixer_region")
            && is("EndReason", "end_reason")
            && ctx.form.text("Tags").is_none_or(is_tagged)
            // Nothing is detected here.
            && ctx.form.text("DetectedIssues").is_none();
        if fits {
            all.push(record);
        }
    }
    let (records, has_next) = page(ctx, all, |record| text_of(record, "conference_sid"));
    Ok(Reply::List(Page { records, has_next }))
}

async fn stay_record(ctx: &Ctx, conference: &Doc, stay: &Stay) -> Result<Record, ApiError> {
    let call = match stay.call.parse::<Sid>() {
        Ok(sid) => Call::load(&ctx.store, sid).await,
        Err(_) => Ok(None),
    };
    let call = call.map_err(|error| rest::store_error(ctx, error))?;
    let fields = &stay.fields;
    let doc = Doc {
        sid: stay.call.clone(),
        fields: fields.clone(),
        date_created: stay.joined,
        date_updated: stay.joined,
        version: 1,
    };
    let mut record = Record::at("ParticipantSid", &stay.sid);
    record
        .set("participant_sid", stay.sid.as_str())
        .set("label", doc.text("label"))
        .set("conference_sid", conference.sid.as_str())
        .set("call_sid", stay.call.as_str())
        .set("account_sid", ctx.account);
    if let Some(call) = &call {
        let inbound = call.direction == "inbound";
        let other = if inbound { &call.from } else { &call.to };
        let country = E164::parse(other).ok().and_then(E164::country);
        record
            .set("call_direction", if inbound { "inbound" } else { "outbound" })
            .set("from", call.from.as_str())
            .set("to", call.to.as_str())
            .set(
                "call_status",
                match call.status {
                    Status::Queued | Status::Ringing => "ringing",
                    Status::InProgress => "answered",
                    Status::Completed => "completed",
                    Status::Busy => "busy",
                    Status::Failed => "fail",
                    Status::NoAnswer => "noanswer",
                    Status::Canceled => "canceled",
                },
            )
            .set("country_code", country.map(|country| country.iso))
            .set("call_type", summary::call_type(call));
    }
    record
        .set("is_moderator", flag(&doc, "end_conference_on_exit"))
        .set("join_time", stay.joined)
        .set("leave_time", stay.left)
        .set("duration_seconds", stay.left.map(|left| seconds_between(stay.joined, left)))
        .set("is_coach", flag(&doc, "coaching"))
        .set("coached_participants", doc.text("call_sid_to_coach").map(|sid| json!([sid])))
        .set("conference_region", conference.text("region"))
        .set("processing_state", if stay.left.is_some() { "complete" } else { "in_progress" })
        .set(
            "properties",
            json!({
                "start_conference_on_enter": flag(&doc, "start_conference_on_enter"),
                "end_conference_on_exit": flag(&doc, "end_conference_on_exit"),
            }),
        );
    Ok(record)
}

async fn participants(ctx: &Ctx) -> Result<Reply, ApiError> {
    let conference = existing(ctx).await?;
    let stays = stays(&ctx.store, &conference.sid).await;
    let stays = stays.map_err(|error| rest::store_error(ctx, error))?;
    let is = |param: &str, value: &str| ctx.form.text(param).is_none_or(|wanted| wanted == value);
    let mut all = Vec::new();
    for stay in &stays {
        let label = stay.fields.get("label").and_then(Json::as_str).unwrap_or_default();
        if is("ParticipantSid", &stay.sid) && is("Label", label) {
            all.push(stay);
        }
    }
    let (shown, has_next) = page(ctx, all, |stay| stay.sid.clone());
    let mut records = Vec::with_capacity(shown.len());
    for stay in shown {
        records.push(stay_record(ctx, &conference, stay).await?);
    }
    Ok(Reply::List(Page { records, has_next }))
}

/// By its SID, its call's or its label.
async fn participant(ctx: &Ctx) -> Result<Reply, ApiError> {
    let conference = existing(ctx).await?;
    let stays = stays(&ctx.store, &conference.sid).await;
    let stays = stays.map_err(|error| rest::store_error(ctx, error))?;
    let wanted = ctx.param("ParticipantSid");
    let is = |stay: &&Stay| {
        let label = stay.fields.get("label").and_then(Json::as_str);
        stay.sid == wanted || stay.call == wanted || label == Some(wanted)
    };
    let stay = stays.iter().find(is).ok_or_else(|| ctx.not_found())?;
    Ok(Reply::Record(stay_record(ctx, &conference, stay).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_at_once_counts_those_who_are_together() {
        let stay = |joined: i64, left: Option<i64>| Stay {
            sid: String::new(),
            call: String::new(),
            fields: serde_json::Map::new(),
            joined: Timestamp::from_millis(joined),
            left: left.map(Timestamp::from_millis),
        };
        for (stays, expected) in [
            (vec![], 0),
            (vec![stay(0, Some(5))], 1),
            (vec![stay(0, Some(5)), stay(5, Some(9))], 1),
            (vec![stay(0, Some(6)), stay(5, None), stay(7, None)], 2),
            (vec![stay(0, None), stay(1, None), stay(2, None)], 3),
        ] {
            assert_eq!(most_at_once(&stays), expected);
        }
    }
}
