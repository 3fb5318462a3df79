//! `/v1/Voice/{CA}/Summary` and `/v1/Voice/Summaries`: calls as a whole.

use std::time::Duration;

use kernel::ApiError;
use numbering::E164;
use rest::{Ctx, Field, Op, Page, Param, Record, Reply, Resource, Table, Val, Wire};
use serde_json::{Map, Value as Json, json};
use store::AccountStore;

use super::{ACCESS, REACH, before, call, check_choices, moment, page, seconds_between, store_of};
use crate::Voice;
use crate::call::{COLUMNS, Call};
use crate::lifecycle::Status;
use crate::resource::existing;

/// Calls of a period that are considered, the newest.
const CALLS_MAX: i64 = 10_000;
/// How far a list goes back that does not say.
const USUAL_PERIOD: Duration = Duration::from_secs(4 * 3600);

const TYPES: &[&str] = &["carrier", "sip", "trunking", "client", "whatsapp"];
const STATES: &[&str] =
    &["ringing", "completed", "busy", "fail", "noanswer", "canceled", "answered", "undialed"];
const ANSWERED_BY: &[&str] = &[
    "unknown",
    "machine_start",
    "machine_end_beep",
    "machine_end_silence",
    "machine_end_other",
    "human",
    "fax",
];

const FIELDS: &[Field] = &[
    Field::sid("account_sid", &["AC"]),
    Field::sid("call_sid", &["CA"]),
    Field::new("call_type", Wire::Enum(TYPES)),
    Field::new("call_state", Wire::Enum(STATES)),
    Field::new("answered_by", Wire::Enum(ANSWERED_BY)),
    Field::new("processing_state", Wire::Enum(&["complete", "partial"])),
    Field::new("created_time", Wire::Iso8601),
    Field::new("start_time", Wire::Iso8601),
    Field::new("end_time", Wire::Iso8601),
    Field::new("duration", Wire::Integer(0, i64::MAX)),
    Field::new("connect_duration", Wire::Integer(0, i64::MAX)),
    Field::new("from", Wire::Json),
    Field::new("to", Wire::Json),
    Field::new("carrier_edge", Wire::Json),
    Field::new("client_edge", Wire::Json),
    Field::new("sdk_edge", Wire::Json),
    Field::new("sip_edge", Wire::Json),
    Field::new("tags", Wire::Json),
    Field::new("url", Wire::Url),
    Field::new("attributes", Wire::Json),
    Field::new("properties", Wire::Json),
    Field::new("trust", Wire::Json),
    Field::new("annotation", Wire::Json),
];

/// Differs: a summary is complete as soon as its call is over, not half an hour later. Nothing is
/// measured of sound, so its edges, tags and trust are null; `disconnected_by` is not recorded.
pub static SUMMARY: Resource<Voice> = Resource {
    table: Table::product("CallSummary", "insights", "", "/v1/Voice/{CallSid}/Summary")
        .singleton()
        .fields(FIELDS)
        .access(ACCESS),
    ops: &[Op::fetch()
        .params(&[Param::one_of("ProcessingState", &["complete", "partial"]).code(17400)])
        .by(|_, ctx| Box::pin(fetch(ctx)))],
};

/// What no call has here: a filter that wants it finds nothing.
const UNKNOWN: &[&str] = &[
    "FromCarrier",
    "ToCarrier",
    "VerifiedCaller",
    "HasTag",
    "AbnormalSession",
    "BrandedEnabled",
    "VoiceIntegrityEnabled",
    "BrandedBundleSid",
    "BrandedLogo",
    "BrandedType",
    "BrandedUseCase",
    "BrandedCallReason",
    "VoiceIntegrityBundleSid",
    "VoiceIntegrityUseCase",
    "BusinessProfileIdentity",
    "BusinessProfileIndustry",
    "BusinessProfileBundleSid",
    "BusinessProfileType",
];

/// Differs: of a period the newest 10,000 calls are considered.
pub static SUMMARIES: Resource<Voice> = Resource {
    table: Table::product("CallSummaries", "insights", "/v1/Voice/Summaries", "")
        .collection()
        .key("call_summaries")
        .fields(FIELDS)
        .access(ACCESS),
    ops: &[Op::list(&[
        Param::text("From", 255),
        Param::text("To", 255),
        Param::text("FromCarrier", 255),
        Param::text("ToCarrier", 255),
        Param::text("FromCountryCode", 2),
        Param::text("ToCountryCode", 2),
        Param::boolean("VerifiedCaller"),
        Param::boolean("HasTag"),
        Param::text("StartTime", 64).code(17400),
        Param::text("EndTime", 64).code(17400),
        Param::text("CallType", 64),
        Param::text("CallState", 64),
        Param::text("Direction", 64),
        Param::one_of("ProcessingState", &["completed", "started", "partial", "all"]).code(17400),
        Param::one_of("SortBy", &["start_time", "end_time"]).code(17400),
        Param::sid("Subaccount", &["AC"]),
        Param::boolean("AbnormalSession"),
        Param::one_of("AnsweredBy", ANSWERED_BY).code(17400),
        Param::text("AnsweredByAnnotation", 64),
        Param::text("ConnectivityIssueAnnotation", 64),
        Param::text("QualityIssueAnnotation", 64),
        Param::boolean("SpamAnnotation"),
        Param::text("CallScoreAnnotation", 8),
        Param::boolean("BrandedEnabled"),
        Param::boolean("VoiceIntegrityEnabled"),
        Param::text("BrandedBundleSid", 64),
        Param::boolean("BrandedLogo"),
        Param::text("BrandedType", 64),
        Param::text("BrandedUseCase", 64),
        Param::text("BrandedCallReason", 255),
        Param::text("VoiceIntegrityBundleSid", 64),
        Param::text("VoiceIntegrityUseCase", 64),
        Param::text("BusinessProfileIdentity", 255),
        Param::text("BusinessProfileIndustry", 255),
        Param::text("BusinessProfileBundleSid", 64),
        Param::text("BusinessProfileType", 255),
    ])
    .by(|voice, ctx| Box::pin(list(voice, ctx)))],
};

/// The network at the other end of a call.
pub(super) fn call_type(call: &Call) -> &'static str {
    let other = if call.direction == "inbound" { &call.from } else { &call.to };
    match other.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase()).as_deref() {
        Some("client") => "client",
        Some("sip" | "sips") => "sip",
        Some("whatsapp") => "whatsapp",
        _ => "carrier",
    }
}

fn state(call: &Call) -> &'static str {
    match call.status {
        Status::Queued => "undialed",
        Status::Ringing => "ringing",
        Status::InProgress => "answered",
        Status::Completed => "completed",
        Status::Busy => "busy",
        Status::Failed => "fail",
        Status::NoAnswer => "noanswer",
        Status::Canceled => "canceled",
    }
}

/// One party: its address and what its number says by itself.
fn party(role: &str, address: &str) -> Json {
    let number = E164::parse(address).ok();
    let country = number.and_then(E164::country).map(|country| country.iso);
    let place = number.and_then(numbering::locate);
    let mut party = Map::new();
    party.insert(role.to_owned(), address.into());
    party.insert("carrier".to_owned(), Json::Null);
    party.insert("country_code".to_owned(), json!(country));
    party.insert("country_subdivision".to_owned(), json!(place.as_ref().map(|p| p.state)));
    party.insert("city".to_owned(), json!(place.as_ref().map(|p| p.city.as_str())));
    Json::Object(party)
}

fn country(address: &str) -> Option<&'static str> {
    E164::parse(address).ok().and_then(E164::country).map(|country| country.iso)
}

async fn record(ctx: &Ctx, store: &AccountStore, call: &Call) -> Result<Record, ApiError> {
    let annotation = call::annotation(ctx, store, call.sid).await?;
    let shown = annotation.map(|mut shown| {
        shown["account_sid"] = store.account().to_string().into();
        shown["call_sid"] = call.sid.to_string().into();
        shown
    });
    let sid = call.sid.to_string();
    let mut record = Record::at("CallSid", &sid);
    let is_over = call.status.is_final();
    record
        .set("account_sid", store.account())
        .set("call_sid", sid.as_str())
        .set("call_type", call_type(call))
        .set("call_state", state(call))
        .set("answered_by", call.answered_by.as_deref())
        .set("processing_state", if is_over { "complete" } else { "partial" })
        .set("created_time", call.created)
        .set("start_time", call.created)
        .set("end_time", call.ended)
        .set("duration", call.ended.map(|ended| seconds_between(call.created, ended)))
        .set("connect_duration", call.duration_seconds())
        .set("from", party("caller", &call.from))
        .set("to", party("callee", &call.to))
        .set("properties", json!({"direction": call.direction.replace('-', "_")}))
        .set("annotation", shown.map_or(Val::Null, Val::Json));
    let url = format!("{}/v1/Voice/{sid}/Summary", ctx.base);
    record.set("url", url);
    Ok(record.with_cursor(sid))
}

async fn fetch(ctx: &Ctx) -> Result<Reply, ApiError> {
    let call = existing(ctx, "CallSid").await?;
    super::call::check_reach(ctx, &call)?;
    let partial = ctx.form.text("ProcessingState") == Some("partial");
    if !call.status.is_final() && !partial {
        let why = format!("The summary of {} is complete when the call is over", call.sid);
        return Err(ApiError::new(17001, why));
    }
    Ok(Reply::Record(record(ctx, &ctx.store, &call).await?))
}

async fn list(voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    check_choices(ctx)?;
    let store = store_of(voice, ctx, "Subaccount").await?;
    let earliest = before(ctx.now, REACH);
    let from = moment(ctx, "StartTime")?.unwrap_or(before(ctx.now, USUAL_PERIOD));
    let until = moment(ctx, "EndTime")?.unwrap_or(ctx.now);
    if from < earliest {
        return Err(ApiError::new(17002, "StartTime is more than 30 days ago"));
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM call WHERE account_sid = $1 AND date_created >= $2
         AND date_created <= $3 ORDER BY id DESC LIMIT $4"
    );
    let rows = store.query(&sql, vec![from.into(), until.into(), CALLS_MAX.into()]).await;
    let rows = rows.map_err(|error| rest::store_error(ctx, error))?;
    let mut calls: Vec<Call> = rows.iter().map(Call::of).filter(|call| fits(ctx, call)).collect();
    if ctx.form.text("SortBy") == Some("end_time") {
        calls.sort_by_key(|call| std::cmp::Reverse((call.ended, call.sid.bits())));
    }
    if ANNOTATED.iter().any(|(param, _)| ctx.form.text(param).is_some()) {
        let known = call::annotations(ctx, &store).await?;
        calls.retain(|call| fits_annotation(ctx, known.get(&call.sid.to_string())));
    }
    let (shown, has_next) = page(ctx, calls, |call| call.sid.to_string());
    let mut records = Vec::with_capacity(shown.len());
    for call in &shown {
        records.push(record(ctx, &store, call).await?);
    }
    Ok(Reply::List(Page { records, has_next }))
}

/// Whether a call is as the filters want it.
fn fits(ctx: &Ctx, call: &Call) -> bool {
    let text = |param: &str| ctx.form.text(param);
    let is = |param: &str, value: &str| {
        text(param).is_none_or(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    let address = |param: &str, value: &str| {
        text(param).is_none_or(|wanted| {
            crate::create::number(wanted).as_deref().unwrap_or(wanted) == value
        })
    };
    let is_over = call.status.is_final();
    let processed = match text("ProcessingState").unwrap_or("completed") {
        "completed" => is_over,
        "started" | "partial" => !is_over,
        _ => true,
    };
    // No call has what is not known here, and `false` asks for nothing else.
    let unknown = UNKNOWN.iter().all(|param| match text(param) {
        None => true,
        Some(wanted) => wanted.eq_ignore_ascii_case("false"),
    });
    processed
        && unknown
        && address("From", &call.from)
        && address("To", &call.to)
        && is("FromCountryCode", country(&call.from).unwrap_or_default())
        && is("ToCountryCode", country(&call.to).unwrap_or_default())
        && is("CallType", call_type(call))
        && is("CallState", state(call))
        && text("Direction")
            .is_none_or(|wanted| wanted.replace('-', "_") == call.direction.replace('-', "_"))
        && is("AnsweredBy", call.answered_by.as_deref().unwrap_or_default())
}

/// Filters on what somebody noted, and the field of the note.
const ANNOTATED: &[(&str, &str)] = &[
    ("AnsweredByAnnotation", "answered_by"),
    ("ConnectivityIssueAnnotation", "connectivity_issue"),
    ("QualityIssueAnnotation", "quality_issues"),
    ("SpamAnnotation", "spam"),
    ("CallScoreAnnotation", "call_score"),
];

fn fits_annotation(ctx: &Ctx, annotation: Option<&Json>) -> bool {
    ANNOTATED.iter().all(|(param, name)| {
        let Some(wanted) = ctx.form.text(param) else { return true };
        match annotation.map(|known| &known[*name]) {
            Some(Json::String(text)) => text.eq_ignore_ascii_case(wanted),
            Some(Json::Number(number)) => number.to_string() == wanted,
            Some(Json::Bool(flag)) => wanted.eq_ignore_ascii_case(&flag.to_string()),
            Some(Json::Array(all)) => all.iter().any(|one| one == wanted),
            _ => false,
        }
    })
}
