//! `/v1/Content/{Sid}/ApprovalRequests` (whatsapp-content §5).

use jobs::NewJob;
use kernel::{ApiError, Sid};
use rest::{Ctx, Doc, Field, Op, Param, Record, Reply, Resource, Table, Wire};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use store::{AccountBatch, StoreError};
use template::Category;

use crate::Content;
use crate::lifecycle::{Approval, Status};
use crate::resource::{ACCESS, KIND};
use crate::shelf;

/// The member of a template's document that holds its approval; no table shows it.
pub(crate) const FIELD: &str = "approval";
/// Queue of templates before the reviewer.
pub(crate) const REVIEW: &str = "content.review";
/// Times a conditional write is decided again before the caller is told 20409.
const DECISIONS_MAX: usize = 4;

/// The job behind an approval request.
#[derive(Serialize, Deserialize)]
pub(crate) struct Review {
    pub sid: Sid,
}

/// A name in the wrong form is the reviewer's to reject.
const CREATE: &[Param] = &[
    Param::text("name", 512).required(20001),
    Param::one_of("category", &Category::NAMES).required(20001),
    Param::boolean("allow_category_change"),
];

const CREATE_FIELDS: &[Field] = &[
    Field::text("name"),
    Field::text("category"),
    Field::text("content_type"),
    Field::text("status"),
    Field::text("rejection_reason"),
    Field::new("allow_category_change", Wire::Boolean),
];

const FETCH_FIELDS: &[Field] = &[
    Field::sid("sid", &["HX"]),
    Field::sid("account_sid", &["AC"]),
    Field::new("whatsapp", Wire::Json),
    Field::new("url", Wire::Url),
];

pub static APPROVAL_CREATE: Resource<Content> = Resource {
    table: Table::product(
        "ApprovalCreate",
        "content",
        "/v1/Content/{ContentSid}/ApprovalRequests/whatsapp",
        "",
    )
    .collection()
    .fields(CREATE_FIELDS)
    .access(ACCESS),
    ops: &[Op::create(CREATE).json().by(|content, ctx| Box::pin(create(content, ctx)))],
};

pub static APPROVAL_FETCH: Resource<Content> = Resource {
    table: Table::product("ApprovalFetch", "content", "", "/v1/Content/{Sid}/ApprovalRequests")
        .singleton()
        .sid("HX")
        .fields(FETCH_FIELDS)
        .access(ACCESS),
    ops: &[Op::fetch().by(|_, ctx| Box::pin(fetch(ctx)))],
};

/// 20409 when it was submitted before; 92008 when WhatsApp takes none of its types.
///
/// Differs: Twilio's codes for both are not documented. A rejected template cannot be submitted
/// again, but its name can be used for another at once, not after 30 days.
async fn create(content: &Content, ctx: &Ctx) -> Result<Reply, ApiError> {
    for _ in 0..DECISIONS_MAX {
        let doc = existing(ctx, "ContentSid").await?;
        if let Some(known) = shelf::approval(&doc) {
            let why = format!("{} was submitted before and is {}", doc.sid, known.status);
            return Err(ApiError::new(20409, why));
        }
        let approval = requested(ctx, &doc)?;
        let mut batch = ctx.store.batch();
        shelf::put_approval(&mut batch, &doc, &approval);
        announce(&mut batch, ctx, &doc.sid, &approval);
        let review = Review { sid: ctx.param_sid("ContentSid", &["HX"])? };
        let clock = &content.parts.clock;
        jobs::add(&mut batch, clock, NewJob::now(REVIEW, clock, &review));
        match ctx.store.commit(batch).await {
            Ok(_) => return Ok(Reply::Record(shown(&doc.sid, &approval))),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(rest::store_error(ctx, error)),
        }
    }
    Err(ApiError::new(20409, "The template is being changed by others; try again"))
}

/// The approval that the request asks for.
fn requested(ctx: &Ctx, doc: &Doc) -> Result<Approval, ApiError> {
    let kind = shelf::template(doc).and_then(|template| template.reviewed_kind());
    let kind = kind.ok_or_else(|| {
        let why = format!("None of the types of {} can be a WhatsApp template", doc.sid);
        ApiError::new(92008, why)
    })?;
    let text = |name: &str| ctx.form.text(name).unwrap_or_default().to_owned();
    Ok(Approval {
        name: text("name"),
        category: text("category"),
        content_type: kind.name().to_owned(),
        status: Status::Received,
        rejection_reason: String::new(),
        allow_category_change: ctx.form.boolean("allow_category_change").unwrap_or(true),
    })
}

fn announce(batch: &mut AccountBatch, ctx: &Ctx, sid: &str, approval: &Approval) {
    batch.event(&format!("content.{}", approval.status), sid, ctx.now, event_of(approval));
}

/// What an event about an approval says.
pub(crate) fn event_of(approval: &Approval) -> String {
    let mut event = json!({"name": approval.name, "category": approval.category});
    if !approval.rejection_reason.is_empty() {
        event["rejection_reason"] = approval.rejection_reason.as_str().into();
    }
    event.to_string()
}

fn shown(sid: &str, approval: &Approval) -> Record {
    let mut record = Record::at("ContentSid", sid);
    record
        .set("name", approval.name.as_str())
        .set("category", approval.category.as_str())
        .set("content_type", approval.content_type.as_str())
        .set("status", approval.status.as_str())
        .set("rejection_reason", approval.rejection_reason.as_str())
        .set("allow_category_change", approval.allow_category_change);
    record
}

async fn fetch(ctx: &Ctx) -> Result<Reply, ApiError> {
    let doc = existing(ctx, "Sid").await?;
    let mut whatsapp = wire(&doc);
    whatsapp["type"] = "whatsapp".into();
    let mut record = Record::new(&doc.sid);
    record.set("sid", doc.sid.as_str()).set("account_sid", ctx.account).set("whatsapp", whatsapp);
    Ok(Reply::Record(record))
}

/// The approval of a template as lists and answers show it, also before any request.
pub(crate) fn wire(doc: &Doc) -> Json {
    let approval = doc.fields.get(FIELD).cloned();
    approval.unwrap_or_else(|| {
        let kind = shelf::template(doc).and_then(|template| template.reviewed_kind());
        json!({
            "name": "",
            "category": "",
            "content_type": kind.map_or("", |kind| kind.name()),
            "status": "unsubmitted",
            "rejection_reason": "",
            "allow_category_change": true,
        })
    })
}

async fn existing(ctx: &Ctx, param: &str) -> Result<Doc, ApiError> {
    let sid = ctx.param_sid(param, &["HX"])?.to_string();
    let found = rest::load(&ctx.store, KIND, "", &sid).await;
    found.map_err(|error| rest::store_error(ctx, error))?.ok_or_else(|| ctx.not_found())
}
