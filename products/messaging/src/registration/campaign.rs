//! `/v1/Services/{MG}/Compliance/Usa2p` and `/v1/Services/PreregisteredUsa2p` (compliance §5.2):
//! what a service's numbers send.
//!
//! A service has one campaign; the campaign claims the service.

use std::time::Duration;

use jobs::Failure;
use kernel::{ApiError, Timestamp};
use rest::{Ctx, Doc, Draft, Field, Op, Param, Reply, Resource, Table, Wire};
use serde_json::{Map, Value as Json, json};
use store::{AccountBatch, AccountStore};

use super::lifecycle::{Event, Machine};
use super::limits::limits;
use super::review::{Step, Subject, Verdict, promise};
use super::{brand, failed, registry_id, rejection, seed, use_case};
use crate::Messaging;
use crate::service::{SERVICE, no_service};

pub(super) const KIND: &str = "UsAppToPerson";

/// Name of the claims of campaigns on services.
pub(super) const CLAIM: &str = "a2p-campaign";

pub(super) const MACHINE: Machine = Machine {
    field: "campaign_status",
    waiting: "PENDING",
    reviewing: "IN_PROGRESS",
    good: "VERIFIED",
    bad: "FAILED",
    suspended: Some("SUSPENDED"),
};

const HOUR: Duration = Duration::from_secs(3600);

const PLAN: &[(Step, Duration)] = &[(Step::Open, HOUR), (Step::Decide, HOUR.saturating_mul(24))];

/// A text that must not be shorter either (21728).
const fn long(name: &'static str, max: u32) -> Param {
    Param::text(name, max).code(21728)
}

const DESCRIPTION: Param = long("Description", 4096).required(21727);
const MESSAGE_FLOW: Param = long("MessageFlow", 2048).required(21727);
const SAMPLES: Param = long("MessageSamples", 1024).required(21727).list();
const LINKS: Param = Param::boolean("HasEmbeddedLinks").required(21727);
const PHONE: Param = Param::boolean("HasEmbeddedPhone").required(21727);

const CREATE: &[Param] = &[
    Param::sid("BrandRegistrationSid", &["BN"]).required(21727).code(21717),
    DESCRIPTION,
    MESSAGE_FLOW,
    SAMPLES,
    Param::text("UsAppToPersonUsecase", 64).required(21727).code(21720),
    LINKS,
    PHONE,
    long("OptInMessage", 320),
    long("OptOutMessage", 320),
    long("HelpMessage", 320),
    long("OptInKeywords", 255).list(),
    long("OptOutKeywords", 255).list(),
    long("HelpKeywords", 255).list(),
    Param::boolean("SubscriberOptIn").default("false"),
    Param::boolean("AgeGated").default("false"),
    Param::boolean("DirectLending").default("false"),
];

const UPDATE: &[Param] = &[
    LINKS,
    PHONE,
    SAMPLES,
    MESSAGE_FLOW,
    DESCRIPTION,
    Param::boolean("AgeGated").required(21727),
    Param::boolean("DirectLending").required(21727),
];

/// Least lengths in characters of what is given.
const LEAST: &[(&str, usize)] = &[
    ("Description", 40),
    ("MessageFlow", 40),
    ("MessageSamples", 20),
    ("OptInMessage", 20),
    ("OptOutMessage", 20),
    ("HelpMessage", 20),
];

const FIELDS: &[Field] = &[
    Field::sid("sid", &["QE"]),
    Field::sid("account_sid", &["AC"]),
    Field::sid("brand_registration_sid", &["BN"]),
    Field::sid("messaging_service_sid", &["MG"]),
    Field::text("description"),
    Field::new("message_samples", Wire::Json).empty("[]"),
    Field::text("us_app_to_person_usecase"),
    Field::new("has_embedded_links", Wire::Boolean),
    Field::new("has_embedded_phone", Wire::Boolean),
    Field::new("subscriber_opt_in", Wire::Boolean),
    Field::new("age_gated", Wire::Boolean),
    Field::new("direct_lending", Wire::Boolean),
    Field::text("campaign_status"),
    Field::text("campaign_id"),
    Field::new("is_externally_registered", Wire::Boolean).empty("false"),
    Field::new("rate_limits", Wire::Json),
    Field::text("message_flow"),
    Field::text("opt_in_message"),
    Field::text("opt_out_message"),
    Field::text("help_message"),
    Field::new("opt_in_keywords", Wire::Json).empty("[]"),
    Field::new("opt_out_keywords", Wire::Json).empty("[]"),
    Field::new("help_keywords", Wire::Json).empty("[]"),
    Field::new("date_created", Wire::Iso8601),
    Field::new("date_updated", Wire::Iso8601),
    Field::new("url", Wire::Url),
    Field::new("mock", Wire::Boolean).empty("false"),
    Field::new("errors", Wire::Json).empty("[]"),
];

pub static CAMPAIGN: Resource<Messaging> = Resource {
    table: Table::product(
        KIND,
        "messaging",
        "/v1/Services/{MessagingServiceSid}/Compliance/Usa2p",
        "/v1/Services/{MessagingServiceSid}/Compliance/Usa2p/{Sid}",
    )
    .key("compliance")
    .sid("QE")
    .under(SERVICE.table.name)
    .fields(FIELDS),
    ops: &[
        Op::create(CREATE).with(|m, ctx, draft| Box::pin(submit(m, ctx, draft))),
        Op::list(&[]),
        Op::fetch(),
        Op::update(UPDATE).with(|m, ctx, draft| Box::pin(async move { resubmit(m, ctx, draft) })),
        Op::delete().with(|_, ctx, draft| Box::pin(remove(ctx, draft))),
    ],
};

pub static EXTERNAL: Resource<Messaging> = Resource {
    table: Table::product("ExternalCampaign", "messaging", "/v1/Services/PreregisteredUsa2p", "")
        .collection()
        .sid("QE")
        .fields(&[
            Field::sid("sid", &["QE"]),
            Field::sid("account_sid", &["AC"]),
            Field::text("campaign_id"),
            Field::sid("messaging_service_sid", &["MG"]),
            Field::new("date_created", Wire::Iso8601),
        ]),
    ops: &[Op::create(&[
        Param::text("CampaignId", 64).required(20001),
        Param::sid("MessagingServiceSid", &["MG"]).required(20001),
        Param::boolean("CnpMigration"),
    ])
    .by(|m, ctx| Box::pin(bring(m, ctx)))],
};

/// # Errors
/// 21717 for a brand that is not approved; 21720 and 21719 for a use case that does not exist or
/// does not fit the brand; 21728 for lengths; 20409 when the service has a campaign.
async fn submit(messaging: &Messaging, ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    check_lengths(ctx)?;
    let brand = brand::approved(ctx, draft.text("brand_registration_sid").unwrap_or_default());
    let brand = brand.await?;
    let wanted = draft.text("us_app_to_person_usecase").unwrap_or_default().to_owned();
    if use_case::find(&wanted).is_none() {
        let why = format!("'{wanted}' is no use case: GET …/Compliance/Usa2p/Usecases lists them");
        return Err(ApiError::new(21720, why));
    }
    let brand_type = brand.text("brand_type").unwrap_or_default();
    if !use_case::fits(&wanted, brand_type) {
        let why = format!("The use case {wanted} does not fit a {brand_type} brand");
        return Err(ApiError::new(21719, why));
    }
    let service = ctx.param("MessagingServiceSid").to_owned();
    draft.claim(CLAIM, &service);
    let mock = brand.fields.get("mock").cloned().unwrap_or(Json::Bool(false));
    draft.set("mock", mock);
    draft.set("messaging_service_sid", service.as_str());
    draft.set(MACHINE.field, MACHINE.waiting);
    for (field, default) in defaults() {
        draft.fields.entry(field).or_insert(default);
    }
    let subject = Subject { kind: KIND, parent: &service, sid: &draft.sid };
    promise(messaging, &mut draft.batch, subject, PLAN);
    Ok(())
}

/// What is answered where the campaign does not say.
fn defaults() -> [(String, Json); 5] {
    [
        ("opt_in_keywords", json!(["START"])),
        ("opt_out_keywords", json!(["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"])),
        ("help_keywords", json!(["HELP", "INFO"])),
        (
            "opt_out_message",
            json!(
                "You have successfully been unsubscribed. You will not receive any more messages \
                 from this number. Reply START to resubscribe."
            ),
        ),
        ("help_message", json!("Reply STOP to unsubscribe. Msg&Data Rates May Apply.")),
    ]
    .map(|(field, value)| (field.to_owned(), value))
}

/// Samples are two to five, and texts are long enough to say something.
fn check_lengths(ctx: &Ctx) -> Result<(), ApiError> {
    let short = |why: String| Err(ApiError::new(21728, why));
    let samples = ctx.form.list("MessageSamples").len();
    if !(2..=5).contains(&samples) {
        return short(format!("MessageSamples are {samples}: give 2 to 5"));
    }
    for (name, least) in LEAST {
        for value in ctx.form.list(name) {
            let length = value.chars().count();
            if length < *least {
                return short(format!("{name} has {length} characters; it needs {least} or more"));
            }
        }
    }
    Ok(())
}

/// A failed campaign is corrected and vetted again.
///
/// # Errors
/// 21729 for a suspended campaign; 20409 for one that has not failed; 21728.
///
// Differs: which code refuses the edit of a campaign that has not failed is unconfirmed.
fn resubmit(messaging: &Messaging, ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    check_lengths(ctx)?;
    let sid = draft.sid.clone();
    let status = draft.text(MACHINE.field).unwrap_or_default().to_owned();
    if Some(status.as_str()) == MACHINE.suspended {
        return Err(ApiError::new(21729, format!("The campaign {sid} is SUSPENDED")));
    }
    let Some(next) = MACHINE.apply(&status, Event::Resubmitted) else {
        let why = format!("The campaign {sid} is {status}; only a FAILED one can be changed");
        return Err(ApiError::new(20409, why));
    };
    draft.set(MACHINE.field, next);
    draft.set("errors", json!([]));
    let parent = ctx.param("MessagingServiceSid");
    let subject = Subject { kind: KIND, parent, sid: &sid };
    promise(messaging, &mut draft.batch, subject, PLAN);
    Ok(())
}

async fn remove(ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let service = ctx.param("MessagingServiceSid");
    mark(&ctx.store, service, false, ctx.now, &mut draft.batch).await.map_err(failed(ctx))
}

/// A campaign that another provider has registered.
///
/// # Errors
/// 21701 / 404 for no such service; 20409 when it has a campaign.
async fn bring(messaging: &Messaging, ctx: &Ctx) -> Result<Reply, ApiError> {
    let service = ctx.form.sid("MessagingServiceSid").expect("the table requires it").to_string();
    let campaign = ctx.form.text("CampaignId").unwrap_or_default();
    if messaging.service(&ctx.store, &service).await.map_err(failed(ctx))?.is_none() {
        return Err(no_service(&service));
    }
    let sid = ctx.clock.sid("QE").to_string();
    let mut fields = Map::new();
    fields.insert("messaging_service_sid".into(), service.as_str().into());
    fields.insert("campaign_id".into(), campaign.into());
    fields.insert("is_externally_registered".into(), true.into());
    fields.insert(MACHINE.field.into(), MACHINE.waiting.into());
    let mut batch = ctx.store.batch();
    rest::insert(&mut batch, KIND, &service, &sid, &fields, ctx.now);
    batch.run(
        "INSERT INTO claim (account_sid, sid, name, value) VALUES ($1, $2, $3, $4)",
        vec![sid.as_str().into(), CLAIM.into(), service.as_str().into()],
    );
    promise(messaging, &mut batch, Subject { kind: KIND, parent: &service, sid: &sid }, PLAN);
    ctx.store.commit(batch).await.map_err(failed(ctx))?;
    let mut record = rest::Record::new(&sid);
    record
        .set("sid", sid.as_str())
        .set("account_sid", ctx.account)
        .set("campaign_id", campaign)
        .set("messaging_service_sid", service)
        .set("date_created", ctx.now);
    Ok(Reply::Record(record))
}

pub(super) async fn vet(
    messaging: &Messaging,
    store: &AccountStore,
    doc: &Doc,
) -> Result<Verdict, Failure> {
    let score = match doc.text("brand_registration_sid") {
        None => None,
        Some(sid) => {
            let brand = rest::load(store, brand::KIND, "", sid).await?;
            brand.and_then(|brand| brand.fields.get("brand_score").and_then(Json::as_i64))
        }
    };
    Ok(judge(doc, score, messaging.parts.development))
}

/// How the vetting of a campaign ends. In development a Description that begins `Reject` is
/// rejected with 30880, `Reject 30886` with that reason. A sample with a link of a public shortener
/// is rejected with 30892.
///
// Differs: a campaign of another provider is believed, and has a score from its SID.
fn judge(doc: &Doc, score: Option<i64>, development: bool) -> Verdict {
    let text = |field: &str| doc.text(field).unwrap_or_default();
    let asked = rejection::asked_for(text("description"), rejection::CAMPAIGN);
    if let Some(code) = asked.filter(|_| development) {
        return fails(code, "DESCRIPTION");
    }
    let samples = doc.fields.get("message_samples").and_then(Json::as_array);
    let mut samples = samples.into_iter().flatten().filter_map(Json::as_str);
    if samples.any(rejection::has_shortened_link) {
        return fails(30892, "MESSAGE_SAMPLES");
    }
    let is_external = doc.fields.get("is_externally_registered") == Some(&Json::Bool(true));
    let score = if is_external { Some(1 + (seed(&doc.sid) % 100) as i64) } else { score };
    let mut told = Map::new();
    let granted = limits(text("us_app_to_person_usecase"), score);
    told.insert("rate_limits".into(), granted.json());
    told.insert("mps".into(), granted.mps.into());
    told.insert("daily_cap".into(), granted.daily_cap.into());
    told.insert("errors".into(), json!([]));
    if doc.text("campaign_id").is_none() {
        told.insert("campaign_id".into(), registry_id('C', &doc.sid).into());
    }
    Verdict::Passes(told)
}

fn fails(code: u32, field: &str) -> Verdict {
    let error = rejection::error(Some(code), rejection::words(code), &[field]);
    Verdict::Fails(Map::from_iter([("errors".to_owned(), json!([error]))]))
}

/// What follows from a new status: the service is registered or not; in development a Description
/// that begins `Suspend` is suspended an hour after it was verified.
pub(super) async fn moved(
    messaging: &Messaging,
    store: &AccountStore,
    subject: Subject<'_>,
    fields: &Map<String, Json>,
    batch: &mut AccountBatch,
) -> Result<(), Failure> {
    let is_good = fields.get(MACHINE.field).is_some_and(|status| status == MACHINE.good);
    let now = messaging.parts.clock.now();
    mark(store, subject.parent, is_good, now, batch).await?;
    let description = fields.get("description").and_then(Json::as_str).unwrap_or_default();
    if is_good && messaging.parts.development && description.starts_with("Suspend") {
        promise(messaging, batch, subject, &[(Step::Suspend, HOUR)]);
    }
    Ok(())
}

/// Writes on the service whether its traffic is registered.
async fn mark(
    store: &AccountStore,
    service: &str,
    is_registered: bool,
    now: Timestamp,
    batch: &mut AccountBatch,
) -> Result<(), store::StoreError> {
    let kind = SERVICE.table.name;
    let Some(doc) = rest::load(store, kind, "", service).await? else { return Ok(()) };
    let field = "us_app_to_person_registered";
    if doc.fields.get(field).and_then(Json::as_bool).unwrap_or(false) == is_registered {
        return Ok(());
    }
    let mut fields = doc.fields.clone();
    fields.insert(field.to_owned(), is_registered.into());
    rest::revise(batch, kind, "", &doc, &fields, now);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn campaign(fields: Json) -> Doc {
        let now = Timestamp::parse("2026-01-01").unwrap();
        let fields = fields.as_object().cloned().unwrap();
        let sid = "QE00000000000000000000000000000029".into();
        Doc { sid, fields, date_created: now, date_updated: now, version: 1 }
    }

    #[test]
    fn texts_decide() {
        let link = ["Your order: https://bit.ly/abc, reply STOP", "Another sample of ours"];
        for (description, samples, development, expected) in [
            ("Codes for our customers", ["Your code is 1", "Your code is 2"], true, Ok(225.0)),
            ("Reject 30886 this", ["Your code is 1", "Your code is 2"], true, Err(30886)),
            ("Reject this", ["Your code is 1", "Your code is 2"], true, Err(30880)),
            ("Reject this", ["Your code is 1", "Your code is 2"], false, Ok(225.0)),
            ("Codes for our customers", link, false, Err(30892)),
        ] {
            let doc = campaign(json!({"description": description, "message_samples": samples,
                                      "us_app_to_person_usecase": "2FA"}));
            match (judge(&doc, Some(80), development), expected) {
                (Verdict::Passes(told), Ok(mps)) => {
                    assert_eq!(told["mps"], mps);
                    assert_eq!(told["rate_limits"]["att"]["msg_class"], "A");
                }
                (Verdict::Fails(told), Err(code)) => {
                    assert_eq!(told["errors"][0]["error_code"], code);
                    assert_ne!(told["errors"][0]["description"], "");
                }
                (verdict, _) => panic!("{description}: {verdict:?}"),
            }
        }
    }

    #[test]
    fn a_campaign_from_elsewhere_keeps_its_name() {
        let doc = campaign(json!({"campaign_id": "CABC123", "is_externally_registered": true}));
        let Verdict::Passes(told) = judge(&doc, None, true) else { panic!("it is believed") };
        assert_eq!(told.get("campaign_id"), None);
        assert_eq!(told["mps"], 12.0);
    }
}
