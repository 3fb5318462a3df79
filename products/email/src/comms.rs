//! `comms.twilio.com/v1/Emails` (sendgrid §15): one text for many readers, each with variables of
//! their own.
//!
//! A request is an operation: what it asks for is kept at once, and its readers enter the queue of
//! all mail some hundreds at a time. From there on it is mail like any other.
//!
//! Differs: `schedule` is `{"sendAt": ISO 8601}`, attachments have `content`, `filename` and
//! `contentType`, and the errors of a request are one error whose message names them all; mails are
//! kept as long as all mail. Operations cannot be cancelled.

use std::sync::Arc;

use jobs::{Failure, Job, NewJob, Worker};
use kernel::{ApiError, SidGenerator, Timestamp};
use rest::{
    Access, Ctx, Cursor, Field, Op, Page, Param, Record, Reply, Resource, Table, Val, Wire,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::{AccountBatch, AccountStore, Row, StoreError};

use crate::letter::{Attached, Content, Letter, Person, Personalization, Texts};
use crate::lifecycle::Status;
use crate::reader::{COLUMNS, Reader};
use crate::{Email, check, identity, send};

const KIND: &str = "CommsOperation";
const QUEUE: &str = "email.comms";
const READERS_MAX: usize = 10_000;
/// Readers of one mail, and of one commit.
const READERS_AT_ONCE: usize = 500;
const TAGS_MAX: usize = 10;
const ISSUES_MAX: usize = 50;
const BYTES_MAX: usize = 5 * 1024 * 1024;
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const STATUSES: &[&str] = &[
    "SCHEDULED",
    "QUEUED",
    "SENT",
    "DELIVERED",
    "UNDELIVERED",
    "OPENED",
    "FAILED",
    "CANCELED",
    "INBOUND",
];

pub(crate) static EMAIL: Resource<Email> = Resource {
    table: Table::product("Email", "comms", "/v1/Emails", "/v1/Emails/{Id}")
        .key("emails")
        .borrowed_sids()
        .access(Access::Keys("comms/emails"))
        .fields(&[
            Field::text("id"),
            Field::new("from", Wire::Json),
            Field::new("to", Wire::Json),
            Field::new("status", Wire::Enum(STATUSES)),
            Field::new("related", Wire::Json).empty("[]"),
            Field::new("tags", Wire::Json),
            Field::new("scheduledFor", Wire::Iso8601),
            Field::new("createdAt", Wire::Iso8601),
            Field::new("updatedAt", Wire::Iso8601),
            Field::new("deletedAt", Wire::Iso8601),
        ]),
    ops: &[
        Op::create(&[
            Param::new("from", Wire::Json).required(20001).code(20001),
            Param::new("to", Wire::Json).list().required(20001).code(20001),
            Param::new("content", Wire::Json).required(20001).code(20001),
            Param::new("tags", Wire::Json).code(20001),
            Param::new("schedule", Wire::Json).code(20001),
            Param::text("ipPoolName", 64).code(20001),
        ])
        .json()
        .status(202)
        .fields(&[Field::text("operationId"), Field::new("operationLocation", Wire::Url)])
        .by(|email, ctx| Box::pin(create(email, ctx))),
        Op::list(&[Param::text("operationId", 64)]).by(|_, ctx| Box::pin(list(ctx))),
        Op::fetch().by(|_, ctx| Box::pin(fetch(ctx))),
    ],
};

pub(crate) static OPERATION: Resource<Email> = Resource {
    table: Table::product("EmailOperation", "comms", "", "/v1/Emails/Operations/{Id}")
        .singleton()
        .access(Access::Keys("comms/emails"))
        .fields(&[
            Field::text("id"),
            Field::new("status", Wire::Enum(&["SCHEDULED", "PROCESSING", "COMPLETED", "CANCELED"])),
            Field::new("createdAt", Wire::Iso8601),
            Field::new("updatedAt", Wire::Iso8601),
        ]),
    ops: &[Op::fetch().by(|_, ctx| Box::pin(operation(ctx)))],
};

/// So many digits of a number, 32 of them a digit.
fn base32(mut number: u128, digits: usize) -> String {
    let mut text = vec![b'0'; digits];
    for digit in text.iter_mut().rev() {
        *digit = ALPHABET[(number % 32) as usize];
        number /= 32;
    }
    String::from_utf8(text).expect("the alphabet is ASCII")
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Party {
    address: String,
    name: Option<String>,
    variables: Map<String, Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Words {
    subject: String,
    html: String,
    text: Option<String>,
    attachments: Vec<File>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct File {
    content: String,
    filename: String,
    content_type: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Schedule {
    send_at: Option<String>,
}

/// What is wrong with a request, all of it.
struct Issues(Vec<String>);

impl Issues {
    fn add(&mut self, issue: impl Into<String>) {
        if self.0.len() < ISSUES_MAX {
            self.0.push(issue.into());
        }
    }

    fn read<T: Default + for<'a> Deserialize<'a>>(&mut self, name: &str, text: &str) -> T {
        serde_json::from_str(text).unwrap_or_else(|error| {
            self.add(format!("{name}: {error}"));
            T::default()
        })
    }

    fn address(&mut self, name: &str, address: &str) {
        if !mail::is_address(address.trim()) {
            self.add(format!("{name}.address: {address:?} is no mail address"));
        }
    }

    fn template(&mut self, name: &str, text: &str) {
        if let Err(fault) = liquid::Template::parse(text) {
            self.add(format!("{name}: line {}: {}", fault.line, fault.why));
        }
    }
}

/// The letter that a request means.
///
/// # Errors
/// 20001 with everything that is wrong.
fn letter(ctx: &Ctx) -> Result<Letter, ApiError> {
    let form = &ctx.form;
    let mut issues = Issues(Vec::new());
    let text = |name: &str| form.text(name).unwrap_or("{}");
    let from: Party = issues.read("from", text("from"));
    issues.address("from", &from.address);
    let words: Words = issues.read("content", text("content"));
    for (name, value) in [("content.subject", &words.subject), ("content.html", &words.html)] {
        if value.is_empty() {
            issues.add(format!("{name}: it is required"));
        }
        issues.template(name, value);
    }
    if let Some(text) = &words.text {
        issues.template("content.text", text);
    }
    for (at, file) in words.attachments.iter().enumerate() {
        let is_plain = |text: &str| !text.contains(['\r', '\n', ';', ',']);
        if file.filename.is_empty() || !is_plain(&file.filename) {
            issues.add(format!("content.attachments[{at}].filename: it is missing, or has ; or ,"));
        }
        if !file.content_type.as_deref().is_none_or(is_plain) {
            issues.add(format!("content.attachments[{at}].contentType: it has ; or ,"));
        }
        if file.content.is_empty() || check::decode(&file.content).is_none() {
            issues.add(format!("content.attachments[{at}].content: it is not base64"));
        }
    }
    let tags: Texts = issues.read("tags", text("tags"));
    if tags.len() > TAGS_MAX {
        issues.add(format!("tags: there are {}; at most {TAGS_MAX} are possible", tags.len()));
    }
    for (name, value) in &tags {
        if name.chars().count() > 128 || value.chars().count() > 256 {
            issues.add(format!("tags.{name}: a name has 128 characters at most, a value 256"));
        }
        issues.template(&format!("tags.{name}"), value);
    }
    let schedule: Schedule = issues.read("schedule", text("schedule"));
    let send_at = schedule.send_at.and_then(|text| {
        let at = Timestamp::parse(&text).ok();
        if at.is_none() {
            issues.add(format!("schedule.sendAt: {text:?} is no ISO 8601 time"));
        }
        at.map(Timestamp::as_seconds)
    });
    if form.text("ipPoolName").is_some_and(|name| name.chars().count() < 2) {
        issues.add("ipPoolName: it has 2 characters at least");
    }
    let readers = form.list("to");
    if readers.len() > READERS_MAX {
        issues.add(format!("to: there are {}; at most {READERS_MAX} are possible", readers.len()));
    }
    let mut personalizations = Vec::with_capacity(readers.len().min(READERS_MAX));
    for (at, text) in readers.into_iter().take(READERS_MAX).enumerate() {
        let reader: Party = issues.read(&format!("to[{at}]"), text);
        issues.address(&format!("to[{at}]"), &reader.address);
        personalizations.push(Personalization {
            to: vec![Person { email: reader.address.trim().to_owned(), name: reader.name }],
            dynamic_template_data: Some(Value::Object(reader.variables)),
            ..Personalization::default()
        });
    }
    if !issues.0.is_empty() {
        return Err(ApiError::new(20001, issues.0.join("; ")));
    }
    let content = |kind: &str, value: String| Content { kind: kind.to_owned(), value };
    let mut contents = vec![content("text/html", words.html)];
    contents.extend(words.text.map(|text| content("text/plain", text)));
    let files = words.attachments.into_iter().map(|file| Attached {
        content: file.content,
        filename: file.filename,
        kind: file.content_type,
        ..Attached::default()
    });
    Ok(Letter {
        personalizations,
        from: Person { email: from.address.trim().to_owned(), name: from.name },
        subject: Some(words.subject),
        content: contents,
        attachments: files.collect(),
        custom_args: tags,
        send_at,
        ip_pool_name: form.text("ipPoolName").map(str::to_owned),
        is_liquid: true,
        ..Letter::default()
    })
}

/// Readers of an operation that are to enter the queue, from one on.
#[derive(Serialize, Deserialize)]
struct Entering {
    operation: String,
    blob: String,
    from: usize,
}

async fn create(email: &Email, ctx: &Ctx) -> Result<Reply, ApiError> {
    let letter = letter(ctx)?;
    if !email.parts.development {
        let may = identity::may_send_as(&ctx.store, &letter.from.email).await;
        if !may.map_err(|error| rest::store_error(ctx, error))? {
            let why = "from.address is of no domain that this account has authenticated";
            return Err(ApiError::new(20001, why));
        }
    }
    let bits = base32(ctx.clock.sid("EM").bits(), 26);
    let operation = format!("comms_operation_{bits}");
    let body = send::bytes_of(&operation, &letter);
    if body.len() > BYTES_MAX {
        return Err(ApiError::new(20413, "The request has more than 5 MiB"));
    }
    let failed = |error| rest::store_error(ctx, error);
    let blob = email.parts.blobs.put(&body).await.map_err(failed)?;
    let fields = Map::from_iter([
        ("total".to_owned(), json!(letter.personalizations.len())),
        ("entered".to_owned(), json!(0)),
        ("send_at".to_owned(), json!(letter.send_at)),
    ]);
    let mut batch = ctx.store.batch();
    rest::insert(&mut batch, KIND, "", &operation, &fields, ctx.now);
    let entering = Entering { operation: operation.clone(), blob, from: 0 };
    jobs::add(&mut batch, &ctx.clock, NewJob::now(QUEUE, &ctx.clock, &entering));
    ctx.store.commit(batch).await.map_err(failed)?;
    let mut record = Record::new(&operation);
    let location = format!("{}/v1/Emails/Operations/{operation}", ctx.base);
    record.set("operationId", operation).set("operationLocation", location);
    Ok(Reply::Record(record))
}

/// Lets readers enter the queue.
pub(crate) struct Usher(pub Arc<Email>);

impl Worker for Usher {
    const QUEUE: &'static str = QUEUE;

    async fn run(&self, job: &Job, store: &AccountStore) -> Result<AccountBatch, Failure> {
        self.0.enter(job.read()?, store).await
    }
}

impl Email {
    async fn enter(
        &self,
        entering: Entering,
        store: &AccountStore,
    ) -> Result<AccountBatch, Failure> {
        let mut batch = store.batch();
        let Some(doc) = rest::load(store, KIND, "", &entering.operation).await? else {
            return Ok(batch);
        };
        let whole = send::letter_of(self, &entering.blob).await?;
        let whole = whole.ok_or_else(|| Failure::Hopeless("the letter is gone".into()))?;
        let bits = entering.operation.trim_start_matches("comms_operation_");
        let end = (entering.from + READERS_AT_ONCE).min(whole.personalizations.len());
        let some = whole.personalizations[entering.from..end].iter().enumerate();
        let personalizations = some.map(|(at, one)| {
            let id = format!("comms_email_{bits}{}", base32((entering.from + at) as u128, 3));
            let data = one.dynamic_template_data.clone().unwrap_or_default();
            let fill = |text: &String| {
                let shown = liquid::Template::parse(text).and_then(|made| made.render(&data));
                shown.unwrap_or_default().chars().take(256).collect()
            };
            let tags = whole.custom_args.iter().map(|(name, text)| (name.clone(), fill(text)));
            Personalization { custom_args: tags.collect(), comms_id: Some(id), ..one.clone() }
        });
        let letter = Letter {
            personalizations: personalizations.collect(),
            custom_args: Texts::new(),
            ..whole.clone()
        };
        self.enqueue(&letter, None, &mut batch).await?;
        let now = self.parts.clock.now();
        let mut fields = doc.fields.clone();
        fields.insert("entered".into(), end.into());
        rest::revise(&mut batch, KIND, "", &doc, &fields, now);
        if end < whole.personalizations.len() {
            let next = Entering { from: end, ..entering };
            jobs::add(&mut batch, &self.parts.clock, NewJob::now(QUEUE, &self.parts.clock, &next));
        } else {
            self.parts.blobs.remove(&entering.blob).await?;
        }
        Ok(batch)
    }
}

fn party(email: &str, name: Option<&String>) -> Value {
    json!({"address": email, "name": name})
}

fn status(reader: &Reader, now: Timestamp) -> &'static str {
    let is_later = reader.meta.send_at.is_some_and(|at| at > now.as_seconds());
    match reader.status {
        Status::Queued if is_later => "SCHEDULED",
        Status::Queued => "QUEUED",
        Status::Processed | Status::Deferred => "SENT",
        Status::Delivered if reader.opens > 0 => "OPENED",
        Status::Delivered => "DELIVERED",
        Status::Bounced | Status::Blocked => "UNDELIVERED",
        Status::Dropped => "FAILED",
    }
}

fn record(ctx: &Ctx, row: &Row) -> Record {
    let reader = Reader::read(row);
    let id = reader.meta.comms_id.as_deref().unwrap_or_default();
    let bits = id.trim_start_matches("comms_email_").get(..26).unwrap_or_default();
    let mut record = Record::new(id);
    let operation = format!("comms_operation_{bits}");
    record
        .set("id", id)
        .set("from", party(&reader.from, reader.meta.from_name.as_ref()))
        .set("to", party(&reader.email, reader.meta.to_name.as_ref()))
        .set("status", status(&reader, ctx.now))
        .set("related", json!([{"name": "operation", "id": operation}]))
        .set("tags", json!(reader.meta.custom_args))
        .set("scheduledFor", reader.meta.send_at.map(Timestamp::from_seconds))
        .set("createdAt", reader.created)
        .set("updatedAt", reader.last_event)
        .set("deletedAt", Val::Null);
    record.with_cursor(id.to_owned())
}

async fn fetch(ctx: &Ctx) -> Result<Reply, ApiError> {
    let sql =
        format!("SELECT {COLUMNS} FROM mail_recipient WHERE account_sid = $1 AND comms_id = $2");
    let row = ctx.store.point(&sql, vec![ctx.param("Id").into()]).await;
    let row = row.map_err(|error| rest::store_error(ctx, error))?;
    Ok(Reply::Record(record(ctx, &row.ok_or_else(|| ctx.not_found())?)))
}

/// The ids of an operation's mails lie between these two.
fn range(operation: &str) -> (String, String) {
    let bits = operation.trim_start_matches("comms_operation_");
    (format!("comms_email_{bits}"), format!("comms_email_{bits}~"))
}

async fn list(ctx: &Ctx) -> Result<Reply, ApiError> {
    let (first, last) = match ctx.form.text("operationId") {
        Some(operation) => range(operation),
        None => ("comms_email_".to_owned(), "comms_email_~".to_owned()),
    };
    // Ids begin with their time: the newest are the greatest.
    let (first, last, order) = match &ctx.page.cursor {
        Cursor::Offset => (first, last, "DESC"),
        Cursor::After(key) => (first, last.min(key.clone()), "DESC"),
        Cursor::Before(key) => (first.max(format!("{key}!")), last, "ASC"),
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM mail_recipient WHERE account_sid = $1 AND comms_id >= $2
         AND comms_id < $3 ORDER BY comms_id {order} LIMIT $4 OFFSET $5"
    );
    let params = vec![first.into(), last.into(), ctx.page.limit().into(), ctx.page.offset().into()];
    let rows = ctx.store.query(&sql, params).await;
    let (rows, has_next) = ctx.page.cut(rows.map_err(|error| rest::store_error(ctx, error))?);
    let records = rows.iter().map(|row| record(ctx, row)).collect();
    Ok(Reply::List(Page { records, has_next }))
}

/// Forgets operations from before a time, a bounded number of them.
pub(crate) async fn forget(
    store: &AccountStore,
    before: Timestamp,
    batch: &mut AccountBatch,
) -> Result<usize, StoreError> {
    let end = base32(SidGenerator::lower_bound(before), 26);
    let sql = "SELECT sid FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = $3
               AND sid < $4 ORDER BY sid LIMIT $5";
    let end = format!("comms_operation_{end}");
    let rows = store
        .query(sql, vec![KIND.into(), "".into(), end.into(), (READERS_AT_ONCE as i64).into()])
        .await?;
    for row in &rows {
        batch.run(
            "DELETE FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = $3
             AND sid = $4",
            vec![KIND.into(), "".into(), row.text(0).into()],
        );
    }
    Ok(rows.len())
}

/// Whether any mail of an operation is still under way.
async fn is_under_way(store: &AccountStore, operation: &str) -> Result<bool, StoreError> {
    let (first, last) = range(operation);
    let sql = "SELECT comms_id FROM mail_recipient WHERE account_sid = $1 AND comms_id >= $2
               AND comms_id < $3 AND status IN ('queued', 'processed', 'deferred') LIMIT 1";
    Ok(store.point(sql, vec![first.into(), last.into()]).await?.is_some())
}

async fn operation(ctx: &Ctx) -> Result<Reply, ApiError> {
    let failed = |error| rest::store_error(ctx, error);
    let id = ctx.param("Id");
    let doc = rest::load(&ctx.store, KIND, "", id).await.map_err(failed)?;
    let doc = doc.ok_or_else(|| ctx.not_found())?;
    let is_later = doc.fields["send_at"].as_i64().is_some_and(|at| at > ctx.now.as_seconds());
    let has_entered = doc.fields["entered"] == doc.fields["total"];
    let status = match is_later {
        true => "SCHEDULED",
        false if !has_entered || is_under_way(&ctx.store, id).await.map_err(failed)? => {
            "PROCESSING"
        }
        false => "COMPLETED",
    };
    let mut record = Record::new(id);
    record
        .set("id", id)
        .set("status", status)
        .set("createdAt", doc.date_created)
        .set("updatedAt", doc.date_updated);
    Ok(Reply::Record(record))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_letters_of_theirs() {
        assert_eq!(base32(u128::MAX, 26), "7zzzzzzzzzzzzzzzzzzzzzzzzz");
        assert_eq!(base32(9_999, 3), "9rf");
        let (first, last) = range("comms_operation_01");
        assert!(first.as_str() < "comms_email_01000" && "comms_email_01zzz" < last.as_str());
    }
}
